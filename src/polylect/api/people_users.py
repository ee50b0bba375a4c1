"""``people.adapt``, ``people.forget``: a user enters or leaves a fitted model."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from polylect.api.people import PersonalModel, read_people, threads
from polylect.api.people_users_options import PeopleAdaptOptions, PeopleForgetOptions
from polylect.api.results import Plan, out_folder, run_call, settings_of
from polylect.api.verbs import verb
from polylect.base import InputError, Ledger, did_you_mean, digest_of

if TYPE_CHECKING:
    from polylect.people import Crowd
    from polylect.runs import StepContext

_OTHERS = "not read: preferences of other users"


@verb("people adapt", PeopleAdaptOptions, name="people.adapt")
def people_adapt(options: PeopleAdaptOptions) -> PersonalModel | Plan:
    """Add a user to a fitted personal reward model, or learn one anew; the others stay.

    Returns a ``PersonalModel``.

        pl.people.adapt("runs/shrinkage", "of-zoe.jsonl", user="zoe").model.users
    """
    from polylect.people import encoder_of, load_model, read_origin
    from polylect.runs import Call, Files, Step

    origin = read_origin(options.folder)
    model = load_model(options.folder)
    encoder = encoder_of(origin, options.encoder)
    _check_user(options.user)

    def write(_: object, inputs: object, context: "StepContext") -> None:
        from polylect.base import write_json
        from polylect.people import save_model, see

        pairs = _pairs(options, context.ledger)
        cache = options.cache or out.with_name(f"{out.name}-vectors")
        with threads(options.threads, uses_torch=model.method.uses_torch or encoder.uses_torch):
            seen = see(pairs.texts, encoder, context.ledger, cache)
            adapted = replace(model, ledger=context.ledger).adapt(options.user, pairs, seen)
        parent = Files(options.folder).digest
        save_model(adapted, context.out, replace(origin, parent=parent, added=pairs.digest))
        row = {"method": model.method.name, "encoder": origin.encoder,
               "users": len(adapted.users), "preferences": pairs.num_pairs,
               "texts": len(pairs.texts)}  # fmt: skip
        write_json(context.out / "fit.json", row)

    def plan(out: Path) -> list[str]:
        pairs = _pairs(options, Ledger())
        return [f"would read {pairs.num_pairs:,} preferences of the user",
                f"would write into {out}"]  # fmt: skip

    settings = settings_of(options, ["folder", "file", "encoder", "cache"])
    settings |= {"vectors": encoder.content}
    files = {"folder": Files(options.folder), "file": Files(options.file)}
    call = Call(Step("polylect people adapt", 4, write), "people-adapt", settings, files)
    out = out_folder(options.output, "people-adapt", call.key)
    return run_call(call, options.output, "people-adapt", PersonalModel, plan)


@verb("people forget", PeopleForgetOptions, name="people.forget")
def people_forget(options: PeopleForgetOptions) -> PersonalModel | Plan:
    """Delete a user from a fitted personal reward model; the others stay.

    Returns a ``PersonalModel``. Does not unlearn what all users taught together.

        pl.people.forget("runs/with-zoe", user="zoe").model.users
    """
    from polylect.people import load_model, read_origin
    from polylect.runs import Call, Files, Step, without_word

    origin = read_origin(options.folder)
    model = load_model(options.folder)
    _check_user(options.user)
    if options.user not in model.users:
        raise InputError(
            f"--user {options.user}: the model does not know this user",
            did_you_mean(options.user, model.users) or f"it knows {len(model.users):,} others",
        )

    def write(_: object, inputs: object, context: "StepContext") -> None:
        from polylect.base import write_json
        from polylect.people import save_model

        rest = model.without(options.user)
        parent = Files(options.folder).digest
        save_model(rest, context.out, replace(origin, parent=parent, added=""))
        row = {"method": model.method.name, "encoder": origin.encoder, "users": len(rest.users),
               "preferences": 0, "texts": 0}  # fmt: skip
        write_json(context.out / "fit.json", row)

    def plan(out: Path) -> list[str]:
        return ["would delete one user", f"would write into {out}"]

    # The name of who is forgotten does not stay behind in the new folder.
    settings = {"user": digest_of([options.user, origin.data])}
    files = {"folder": Files(options.folder)}
    call = Call(Step("polylect people forget", 1, write), "people-forget", settings, files)
    with without_word(options.user):
        return run_call(call, options.output, "people-forget", PersonalModel, plan)


def _check_user(user: str) -> None:
    if not user:
        raise InputError("--user is empty", "--user NAME")


def _pairs(options: PeopleAdaptOptions, ledger: Ledger) -> "Crowd":
    """The user's own pairs.

    Raises:
        InputError: there is none.
    """
    import numpy as np

    crowd = read_people(options.file, options.crowd, options.seed, ledger)
    if options.user not in crowd.users:
        raise InputError(
            f"{options.file}: no preference of user {options.user}",
            did_you_mean(options.user, crowd.users) or "give the user as the rows name it",
        )
    pairs = crowd.pairs_of(crowd.users.index(options.user))
    ledger.count(_OTHERS, crowd.num_pairs - len(pairs))
    used, numbers = np.unique(
        np.concatenate([crowd.chosen[pairs], crowd.rejected[pairs]]), return_inverse=True
    )
    part = crowd.take(pairs)
    num = len(pairs)
    return replace(
        part, users=(options.user,), user=np.zeros(num, np.int32),
        texts=tuple(crowd.texts[i] for i in used), prompts=crowd.prompts[used],
        chosen=numbers[:num].astype(np.int32), rejected=numbers[num:].astype(np.int32),
    )  # fmt: skip
