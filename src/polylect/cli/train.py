"""``polylect train``: fine-tune on conversations, or align with preferences."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from polylect.cli.options import parse

_ONLY_PREFER = (
    "objective", "beta", "label_smoothing", "alpha", "margin", "sft_weight", "refine",
)  # fmt: skip
_USERS = {
    "label_smoothing": ("dpo", "robust-dpo", "srpo"),
    "alpha": ("srpo",),
    "refine": ("srpo",),
    "margin": ("simpo",),
}
"""Which objectives use an option."""

_TEMPLATES = ("own", "plain", "aya")
_Objective = Literal["dpo", "robust-dpo", "ipo", "ipo-mean", "simpo", "slic", "kto", "srpo", "copg"]
RATE = {"sft": 2e-5, "prefer": 1e-6}
"""Learning rate of a model of 8 billion parameters: TRL's defaults; smaller models take more."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Train a checkpoint on conversations (sft) or on preferences (prefer).

    Conversations are JSON lines with messages (role, content) and language; preferences have
    prompt, chosen, rejected, language, and may have chosen_score and rejected_score. TRL's forms
    are read too. Killed anywhere, the same command goes on where it was, to the same bytes.
    """

    kind: tyro.conf.Positional[Literal["sft", "prefer"]]
    """What is learnt from."""
    model: Path
    """The checkpoint to begin with: a folder in Hugging Face layout."""
    data: Path
    """JSON lines or Parquet."""
    out: Path
    """Folder for the trained checkpoint, metrics.jsonl and the page."""
    objective: _Objective | None = None
    """Of prefer; dpo."""
    learning_rate: float | None = None
    """The peak. Default: 2e-5 (sft) or 1e-6 (prefer) at 8 billion parameters, more for smaller."""
    epochs: float = 1.0
    """How often as many examples as there are; may be a fraction."""
    examples_per_step: int = 8
    """Conversations or pairs of one update."""
    tokens_per_pass: int = 4096
    """Most tokens of one pass: bounds the memory, does not change what is learnt."""
    context_tokens: int | None = None
    """Longest sequence. Default: the model's own limit."""
    over_long: Literal["refuse", "drop"] = "refuse"
    """A longer row: refuse it, or leave it out and count it."""
    template: str = "own"
    """How turns are written: own (the checkpoint's), plain, aya, or a file in Jinja."""
    language: str = ""
    """Tag of rows that name no language."""
    temperature: float = 1.0
    """Of the languages' parts of an epoch: 1 follows their sizes, more evens them out."""
    shares: str = ""
    """Parts by language instead, as de=2,hi=1."""
    schedule: Literal["cosine", "cooldown", "constant", "linear"] = "linear"
    """How the rate falls after the warm-up."""
    warmup: float = 0.1
    """Share of the updates over which the rate rises."""
    beta: float | None = None
    """Tie to the reference. Default: 0.1; SimPO: 2."""
    label_smoothing: float | None = None
    """Probability that a preference is wrong (dpo, robust-dpo, srpo). Default: 0."""
    alpha: float | None = None
    """Share of the improver's loss (srpo). Default: 0.5."""
    margin: float | None = None
    """SimPO's. Default: 1."""
    sft_weight: float | None = None
    """Of the preferred answer's own loss, added to any objective. Default: 0."""
    refine: str | None = None
    """What the model is asked when it is to improve an answer (srpo)."""
    seed: int = 0
    """Of the order of examples."""
    save_every: int = 50
    """Updates between saved states."""
    threads: int = 1
    """Of the processor; the bytes of the result depend on it."""
    dry_run: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Say what would be trained, and write nothing."""


def options_type() -> type:
    """The options of ``train``."""
    return Options


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect train sft|prefer``."""
    options: Any = parse(Options, arguments, "train", Options.__doc__ or "")
    from polylect.base import InputError, no_collection
    from polylect.checkpoints import Checkpoint

    if options.kind == "sft":
        for name in _ONLY_PREFER:
            if getattr(options, name) is not None:
                raise InputError(
                    f"train sft: --{name.replace('_', '-')} belongs to preferences",
                    "polylect train prefer, or leave it out",
                )
    else:
        _check_objective(options)
    from polylect.report.training import write_training_page
    from polylect.runs import Call, Files, display, execute_into, finished_at
    from polylect.runs.progress import TaskReporter
    from polylect.train import prefer, sft

    checkpoint = Checkpoint.open(options.model)
    config = config_of(options, checkpoint.num_parameters)
    steps = {"sft": sft, "prefer": prefer}
    inputs = {"model": Files(options.model), "data": Files(options.data)}
    if options.template not in _TEMPLATES:
        inputs["template"] = Files(Path(options.template))
    call = Call(steps[options.kind], options.out.name, config, inputs)
    made = finished_at(call, options.out)
    if made is not None:
        sys.stderr.write("polylect: this training is there already\n")
        if options.dry_run:
            return 0
        made = execute_into(call, options.out)  # clears what a kill after the rename left
    else:
        with no_collection():
            from polylect.train.forecast import forecast
        told = forecast(options.kind, config, options.model, options.data)
        sys.stdout.write("\n".join(told) + "\n")
        sys.stdout.flush()
        if options.dry_run:
            return 0
        with display() as shown:
            made = execute_into(call, options.out, TaskReporter(options.kind, shown.handle))
    page = write_training_page(made.path, options.kind)
    for event, where, num in made.ledger.rows():
        sys.stdout.write(f"{num:,} {event}" + (f" ({where})" if where else "") + "\n")
    sys.stdout.write(f"{page}\n")
    return 0


def _check_objective(options: Any) -> None:
    """Refuse what the objective would not use, and values that it cannot."""
    from polylect.base import InputError

    objective = options.objective or "dpo"
    for name, users in _USERS.items():
        if getattr(options, name) is not None and objective not in users:
            raise InputError(
                f"train prefer: {objective} has no use for --{name.replace('_', '-')}",
                f"leave it out; it belongs to {', '.join(users)}",
            )
    if options.label_smoothing is not None and not 0 <= options.label_smoothing < 0.5:
        raise InputError(f"--label-smoothing is {options.label_smoothing}",
                         "give 0 or more and less than 0.5")  # fmt: skip
    if options.beta is not None and not options.beta > 0:
        raise InputError(f"--beta is {options.beta}", "give more than 0, e.g. 0.1")
    if options.alpha is not None and not 0 <= options.alpha <= 1:
        raise InputError(f"--alpha is {options.alpha}", "give a part from 0 to 1")


def config_of(options: Any, num_parameters: int) -> Any:
    """The configuration that options stand for, with the default rate of the model's size."""
    from polylect.base import InputError
    from polylect.train import ExamplesConfig, OptimConfig, PreferConfig, SftConfig, default_rate

    for name in ("examples_per_step", "tokens_per_pass", "save_every", "threads"):
        if getattr(options, name) < 1:
            raise InputError(
                f"--{name.replace('_', '-')} is {getattr(options, name)}", "give 1 or more"
            )
    if not 0 <= options.warmup <= 1:
        raise InputError(f"--warmup is {options.warmup}", "give a part from 0 to 1, e.g. 0.1")
    rate = options.learning_rate
    if rate is None:
        rate = default_rate(RATE[options.kind], num_parameters)
    if not rate > 0:
        raise InputError(f"--learning-rate is {rate}", "give more than 0, e.g. 1e-5")
    examples = ExamplesConfig(
        epochs=options.epochs,
        examples_per_step=options.examples_per_step,
        tokens_per_pass=options.tokens_per_pass,
        context_tokens=options.context_tokens,
        over_long=options.over_long,
        template=options.template,
        default_language=options.language,
        temperature=options.temperature,
        shares=_shares(options.shares),
        seed=options.seed,
        save_every=options.save_every,
        threads=options.threads,
    )
    optim = OptimConfig(
        learning_rate=rate, warmup=options.warmup, schedule=options.schedule, floor=0.0,
        weight_decay=0.0, beta2=0.999,
    )  # fmt: skip
    if options.kind == "sft":
        return SftConfig(examples=examples, optim=optim)
    given = {name: getattr(options, name) for name in _ONLY_PREFER}
    asked = {name: value for name, value in given.items() if value is not None}
    return PreferConfig(examples=examples, optim=optim, **asked)


def _shares(text: str) -> Mapping[str, float]:
    """Parts by language, of ``de=2,hi=1``."""
    from polylect.base import InputError, language

    found = {}
    for one in filter(None, (part.strip() for part in text.split(","))):
        tag, equals, part = one.partition("=")
        try:
            value = float(part)
        except ValueError:
            value = -1.0
        if not equals or not value >= 0:
            raise InputError(f"--shares: {one!r} is not TAG=PART", "e.g. --shares de=2,hi=1")
        found[language(tag, "--shares").tag] = value
    return found
