"""``people.describe``, ``people.fit``, ``people.score``: preferences of people who disagree."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polylect.api.notices import notice
from polylect.api.people_options import (
    CrowdOptions,
    PeopleDescribeOptions,
    PeopleFitOptions,
    PeopleScoreOptions,
)
from polylect.api.results import Plan, Result, out_folder, run_call, settings_of
from polylect.api.text_tables import text_table
from polylect.api.verbs import verb
from polylect.base import Ledger, import_optional, one_blas_thread, read_json

if TYPE_CHECKING:
    import polars

    from polylect.people import Crowd, Description, Model
    from polylect.runs import StepContext

_FIGURES, _USERS, _SCORES = "figures.parquet", "users.parquet", "scores.parquet"


class CrowdDescription(Result):
    """What the people behind preferences are like."""

    def table(self) -> "polars.DataFrame":
        """A row per figure: value, interval, and of how many users or pairs it is."""
        import polars

        return polars.read_parquet(self.path / _FIGURES)

    @property
    def users(self) -> "polars.DataFrame":
        """A row per user: pairs, agreement with the majority, consistency, and whether minority."""
        import polars

        return polars.read_parquet(self.path / _USERS)

    def lines(self) -> list[str]:
        """A line per figure, and what was counted."""
        about = read_json(self.path / "describe.json")
        return [*about["lines"], *self.ledger.lines(), str(self.page)]


class PersonalModel(Result):
    """A fitted personal reward model."""

    @cached_property
    def model(self) -> "Model":
        """The model: ``score``, ``adapt``, ``without``."""
        from polylect.people import load_model

        return load_model(self.path)

    def table(self) -> "polars.DataFrame":
        """One row: method, encoder, users and preferences."""
        import polars

        return polars.DataFrame([read_json(self.path / "fit.json")])

    def lines(self) -> list[str]:
        """What was fitted, and what was counted."""
        row = self.rows()[0]
        about = (
            f"{row['method']}: {row['users']:,} users, {row['preferences']:,} preferences,"
            f" encoder {row['encoder']}"
        )
        if "tax_before" in row:
            about += f"; tax {row['tax_before']:.1%}, limited to {row['tax_after']:.1%}"
        return [about, *self.ledger.lines(), str(self.path)]


class PersonalScores(Result):
    """Scores of texts by a personal reward model."""

    def table(self) -> "polars.DataFrame":
        """A row per row of the file: ``score``, or those of the two sides and which is preferred.

        Scores are log-odds where two are compared.
        """
        import polars

        return polars.read_parquet(self.path / _SCORES)

    def lines(self) -> list[str]:
        """The first rows, and what was counted."""
        table = self.table()
        head = [name for name in table.columns if name != "row"]
        rows = [[row["row"], *(_shown(row[name]) for name in head)]
                for row in table.head(20).iter_rows(named=True)]  # fmt: skip
        more = [f"and {table.height - 20:,} more"] if table.height > 20 else []
        lines = text_table(["row", *head], rows, "r" * (1 + len(head)))
        return [*lines, *more, *self.ledger.lines(), str(self.path / _SCORES)]


def _shown(value: object) -> str:
    return f"{value:+.3f}" if isinstance(value, float) else str(value)


@verb("people describe", PeopleDescribeOptions, name="people.describe")
def people_describe(options: PeopleDescribeOptions) -> CrowdDescription | Plan:
    """Describe the people behind preferences: how far they disagree, and who is a minority.

    Returns a ``CrowdDescription``: ``.table()`` has a row per figure, ``.users`` one per user.

        pl.people.describe("preferences.jsonl").users
    """
    from polylect.runs import Call, Files, Step

    def write(_: object, inputs: object, context: "StepContext") -> None:
        from polylect.base import write_json
        from polylect.people import ONE_OTHER, describe, see_ngrams
        from polylect.report import crowd_lines, write_crowd_page

        crowd = read_people(options.file, options.crowd, options.seed, context.ledger)
        description = describe(crowd, options.seed, options.resamples, see_ngrams)
        context.ledger.count(ONE_OTHER, int(description.alone.sum()))
        names = [name if options.names else str(number)
                 for number, name in enumerate(crowd.users, start=1)]  # fmt: skip
        _figures(description).write_parquet(context.out / _FIGURES)
        _users(description, names).write_parquet(context.out / _USERS)
        lines = crowd_lines(description, options.min_group)
        write_json(context.out / "describe.json", {"lines": lines})
        page = context.out / CrowdDescription.page_name
        write_crowd_page(page, description, crowd, context.ledger, names, options.min_group)

    def plan(out: Path) -> list[str]:
        return [*_planned(options.file, options.crowd, options.seed), f"would write into {out}"]

    settings = settings_of(options, ["file"])
    call = Call(Step("polylect people describe", 3, write), "people-describe", settings,
                {"file": Files(options.file)})  # fmt: skip
    return run_call(call, options.output, "people-describe", CrowdDescription, plan)


@verb("people fit", PeopleFitOptions, name="people.fit")
def people_fit(options: PeopleFitOptions) -> PersonalModel | Plan:
    """Fit a personal reward model to preferences of many users.

    Returns a ``PersonalModel``: ``.model`` scores, and adapts to a new user.

        fitted = pl.people.fit("preferences.jsonl", method="shrinkage")
        pl.people.score(fitted, "answers.jsonl", user="ann").table()
    """
    from polylect.engine import find_encoder
    from polylect.people import WITH_A_MODEL, find_method
    from polylect.runs import Call, Files, Step

    values = {name: setting_value(text) for name, text in options.settings.items()}
    method = find_method(options.method, **values)
    encoder = find_encoder(options.encoder)

    def write(_: object, inputs: object, context: "StepContext") -> None:
        from polylect.base import write_json
        from polylect.people import Origin, limit_tax, read_general, save_model, see

        limited = None
        crowd = read_people(options.file, options.crowd, options.seed, context.ledger)
        cache = options.cache or out.with_name(f"{out.name}-vectors")
        with threads(options.threads, uses_torch=method.uses_torch or encoder.uses_torch):
            seen = see(crowd.texts, encoder, context.ledger, cache)
            model = method.fit(crowd, seen, options.seed)
            context.ledger.add(model.ledger)
            if options.guard is not None:
                guard = read_general(options.guard, options.crowd.default_language, context.ledger)
                guard_seen = see(guard.texts, encoder, context.ledger, cache)
                limited = limit_tax(model, guard, guard_seen, options.tax_share, options.seed)
                model = limited.model
        origin = Origin(data=crowd.digest, encoder=options.encoder,
                        encoder_digest=encoder.digest, seed=options.seed)  # fmt: skip
        save_model(model, context.out, origin)
        row = {"method": options.method, "encoder": options.encoder, "users": len(model.users),
               "preferences": crowd.num_pairs, "texts": len(crowd.texts)}  # fmt: skip
        if limited is not None:
            row |= {"tax_before": limited.before, "tax_after": limited.after}
        write_json(context.out / "fit.json", row)

    def plan(out: Path) -> list[str]:
        lines = _planned(options.file, options.crowd, options.seed)
        return [*lines, f"would fit {options.method}", f"would write into {out}"]

    no_guard = options.guard is None
    left_out = ["file", "cache", "guard", *(["tax_share"] if no_guard else [])]
    settings = settings_of(options, left_out)
    settings |= {"settings": values, "vectors": encoder.content}
    inputs = {"file": options.file}
    if options.guard is not None:
        inputs["guard"] = options.guard
    if options.method in WITH_A_MODEL:
        inputs["model"] = Path(str(values["model"]))
    call = Call(Step("polylect people fit", 4, write), "people-fit", settings,
                {name: Files(path) for name, path in inputs.items()})  # fmt: skip
    out = out_folder(options.output, "people-fit", call.key)
    return run_call(call, options.output, "people-fit", PersonalModel, plan)


@verb("people score", PeopleScoreOptions, name="people.score")
def people_score(options: PeopleScoreOptions) -> PersonalScores | Plan:
    """Score texts as a user would, with a fitted personal reward model.

    Returns ``PersonalScores``: ``.table()`` has a row per row of the file.

        pl.people.score("runs/shrinkage", "answers.jsonl", user="ann").table()
    """
    from polylect.people import (
        UNKNOWN_USER,
        encoder_of,
        load_model,
        read_origin,
        read_texts,
        see,
    )
    from polylect.runs import Call, Files, Step

    model = load_model(options.folder)
    encoder = encoder_of(read_origin(options.folder), options.encoder)
    is_known = options.user in model.users
    if options.user and not is_known:
        notice(f"--user {options.user}: the model does not know this user: scores of the crowd")

    def write(_: object, inputs: object, context: "StepContext") -> None:
        import polars

        texts, are_pairs = read_texts(options.file, options.default_language, context.ledger)
        cache = options.cache or out.with_name(f"{out.name}-vectors")
        with threads(options.threads, uses_torch=model.method.uses_torch or encoder.uses_torch):
            seen = see(texts, encoder, context.ledger, cache)
            scores = model.score(options.user, seen).round(9)
        context.ledger.add(model.ledger)
        num = len(scores) // 2 if are_pairs else len(scores)
        context.ledger.count(UNKNOWN_USER, num if options.user and not is_known else 0)
        columns: dict[str, Any] = {"row": range(1, num + 1), "score": scores}
        if are_pairs:
            first, second = scores[::2], scores[1::2]
            columns = {
                "row": range(1, num + 1),
                "chosen_score": first,
                "rejected_score": second,
                "prefers": [_side(a, b) for a, b in zip(first, second, strict=True)],
            }
        polars.DataFrame(columns).write_parquet(context.out / _SCORES)

    def plan(out: Path) -> list[str]:
        num = len(read_texts(options.file, options.default_language)[0])
        return [f"would score {num:,} texts", f"would write into {out}"]

    settings = settings_of(options, ["file", "folder", "encoder", "cache"])
    settings |= {"vectors": encoder.content}
    files = {"file": Files(options.file), "folder": Files(options.folder)}
    call = Call(Step("polylect people score", 1, write), "people-score", settings, files)
    out = out_folder(options.output, "people-score", call.key)
    return run_call(call, options.output, "people-score", PersonalScores, plan)


@contextmanager
def threads(num: int, *, uses_torch: bool) -> Iterator[None]:
    """Limit BLAS to one thread, and torch, where it is used, to a number of them."""
    with one_blas_thread():
        if not uses_torch:
            yield
            return
        torch = import_optional("torch", "this method", "models")
        before = torch.get_num_threads()
        torch.set_num_threads(num)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def _side(chosen: float, rejected: float) -> str:
    return "tie" if chosen == rejected else "chosen" if chosen > rejected else "rejected"


def read_people(file: Path, options: CrowdOptions, seed: int, ledger: Ledger) -> "Crowd":
    """The preferences of a file, by its own rows or by a published schema."""
    from polylect.people import read_crowd, read_published

    how: dict[str, Any] = {"min_difference": options.min_difference,
                           "max_pairs": options.max_pairs, "seed": seed}  # fmt: skip
    if options.schema is not None:
        return read_published(options.schema, file, ledger, **how)
    return read_crowd(file, options.default_language, ledger, **how)


def _planned(file: Path, options: CrowdOptions, seed: int) -> list[str]:
    crowd = read_people(file, options, seed, Ledger())
    return [f"would read {crowd.num_pairs:,} preferences of {len(crowd.users):,} users between"
            f" {len(crowd.texts):,} texts"]  # fmt: skip


def setting_value(text: str) -> Any:
    """A setting as its type: a number, true, false, none, or text."""
    import json

    try:
        return json.loads({"None": "null", "True": "true", "False": "false"}.get(text, text))
    except ValueError:
        return float(text) if text in {"inf", "-inf"} else text


def _figures(description: "Description") -> "polars.DataFrame":
    import polars

    rows = [{"figure": figure.name, "value": figure.value, "lower": figure.lower,
             "upper": figure.upper, "num": figure.num, "of": figure.of,
             "measure": description.consistency.measure if figure.name == "consistency" else None}
            for figure in description.figures]  # fmt: skip
    schema = {"figure": str, "value": float, "lower": float, "upper": float, "num": int, "of": str,
              "measure": str}  # fmt: skip
    return polars.DataFrame(rows, schema=schema)


def _users(description: "Description", names: list[str]) -> "polars.DataFrame":
    import polars

    consistency = description.consistency
    decided, minority = description.is_decided.tolist(), description.is_minority.tolist()
    return polars.DataFrame({
        "user": names,
        "preferences": description.pairs.tolist(),
        "overlap": description.overlap.tolist(),
        "agreement": description.agreement.tolist(),
        "minority": [is_in if known else None
                     for is_in, known in zip(minority, decided, strict=True)],
        "consistency": consistency.value.tolist(),
        "cases": consistency.num_cases.astype(int).tolist(),
    }, schema_overrides={"minority": polars.Boolean}).fill_nan(None)  # fmt: skip
