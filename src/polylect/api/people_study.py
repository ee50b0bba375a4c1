"""``people.study``: every method on every division of a crowd, and the page."""

from functools import cached_property
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from polylect.api.notices import is_quiet, notice
from polylect.api.people import setting_value
from polylect.api.people_options import PeopleStudyOptions
from polylect.api.results import Plan, Result
from polylect.api.text_tables import text_table
from polylect.api.verbs import verb
from polylect.base import InputError, Ledger, read_json, write_json

if TYPE_CHECKING:
    import polars

    from polylect.people import Study, StudyConfig

_NAME, _RESULT, _SCORES = "people study", "people.json", "scores.parquet"


class PeopleStudy(Result):
    """Whom each method serves, and what it costs whom."""

    @cached_property
    def content(self) -> dict[str, Any]:
        """All of it, as plain values."""
        return read_json(self.path / _RESULT)

    @cached_property
    def ledger(self) -> Ledger:
        """What all steps left out."""
        from polylect.runs import read_run

        return Ledger.from_json(read_run(self.path)["ledger"])

    def table(self) -> "polars.DataFrame":
        """A row per method and figure: value, interval, and the change from the pooled model."""
        import polars

        return polars.DataFrame(self.content["facets"], infer_schema_length=None)

    @property
    def scores(self) -> "polars.DataFrame":
        """The score table: a row per method, user and held-out pair."""
        import polars

        return polars.read_parquet(self.path / _SCORES)

    def lines(self) -> list[str]:
        """A line per method, best first; the spread, and what was counted."""
        content = self.content
        figures = {(row["method"], row["name"]): row for row in content["facets"]}
        verdicts = {row["second"]: row["verdict"] for row in content["against_pooled"]}
        shown = ["macro", "worst user", "worst tenth", "gap", "against the majority"]
        rows = [[method, *(_share(figures.get((method, name))) for name in shown),
                 verdicts.get(method, "")] for method in content["methods"]]  # fmt: skip
        head = ["method", "accuracy", "worst user", "worst tenth", "gap", "against majority",
                "than pooled"]  # fmt: skip
        spread = content["spread"]
        words = (
            f"{spread['best']} {spread['difference'] * 100:.1f} points above {spread['worst']}:"
            f" {spread['verdict']}"
        )
        label = f"split {content['split_label']}; {content['seeds']} seeds"
        table = text_table(head, rows, "l" + "r" * len(shown) + "l")
        return [label, *table, words, *self.ledger.lines(), str(self.page)]


def _share(row: "dict[str, Any] | None") -> str:
    return "–" if row is None or row["value"] is None else f"{row['value']:.1%}"


@verb("people study", PeopleStudyOptions, name="people.study")
def people_study(options: PeopleStudyOptions) -> PeopleStudy | Plan:
    """Compare ways to learn from people who disagree: whom each serves, and what it costs whom.

    Returns a ``PeopleStudy``: ``.table()`` has a row per method and figure, ``.scores`` the score
    table, ``.content`` everything.

        pl.people.study("preferences.jsonl", methods=["individual", "shrinkage"]).page
    """
    from polylect.people import run_study, study_of
    from polylect.runs import Run, display

    config = _config(options)
    if options.base is not None:
        _check_base(options.base, options)
    path = options.output.out or Path("runs") / "people-study"
    if options.output.dry_run:
        return _plan(options, config, path)
    if config.kind == "pair":
        notice("--split pair leaks: texts of the test part are in the training part")
    with (
        display(silent=is_quiet()) as progress,
        Run(path, _NAME, config, num_workers=options.output.workers, display=progress) as run,
    ):
        trials = run_study(run, config, options.file, options.general, options.base)
        study = study_of(trials, config, options.resamples)
        _write(run.path, study, options, config, run.ledger)
        run.finish(["index.html", _RESULT, _SCORES])
    return PeopleStudy(path)


def _config(options: PeopleStudyOptions) -> "StudyConfig":
    from polylect.engine import find_encoder
    from polylect.people import METHODS, ReadConfig, StudyConfig

    reading = ReadConfig(
        schema=options.crowd.schema, default_language=options.crowd.default_language,
        min_difference=options.crowd.min_difference, max_pairs=options.crowd.max_pairs,
        seed=options.seed, encoder=options.encoder, vectors=find_encoder(options.encoder).content,
    )  # fmt: skip
    return StudyConfig(
        reading=reading, methods=options.methods or tuple(METHODS), kind=options.split,
        seeds=options.seeds, test_share=options.test_share, left_out_share=options.left_out,
        settings={name: setting_value(text) for name, text in options.settings.items()},
        model="" if options.model is None else str(options.model), seed=options.seed,
    )  # fmt: skip


def _check_base(base: Path, options: PeopleStudyOptions) -> None:
    from polylect.people import encoder_of, read_origin

    if options.general is None:
        raise InputError("--base without --general: there is nothing to be taxed", "--general FILE")
    encoder_of(read_origin(base), options.encoder)


def _plan(options: PeopleStudyOptions, config: "StudyConfig", path: Path) -> Plan:
    from polylect.people import divide, read_general, read_rows
    from polylect.runs import Run

    crowd = read_rows(options.file, config.reading, Ledger())
    parts = divide(crowd, config.kind, config.seed, test_share=config.test_share,
                   left_out_share=config.left_out_share)  # fmt: skip
    lines = [
        f"would read {crowd.num_pairs:,} preferences of {len(crowd.users):,} users between"
        f" {len(crowd.texts):,} texts",
        f"would hold out {len(parts.test):,} of them; split {parts.label}",
        f"would fit {len(config.all_methods)} methods on {config.seeds} divisions:"
        f" {', '.join(config.all_methods)}",
    ]  # fmt: skip
    if options.general is not None:
        general = read_general(options.general, config.reading.default_language)
        lines.append(f"would ask about {len(general.group):,} general pairs of"
                     f" {', '.join(general.groups)}")  # fmt: skip
    with TemporaryDirectory(prefix="polylect-") as scratch:
        Run(path, _NAME, config, scratch=Path(scratch)).close()  # refuses what holds another run
    return Plan([*lines, f"would write into {path}"])


def _write(
    path: Path, study: "Study", options: PeopleStudyOptions, config: "StudyConfig", ledger: Ledger
) -> None:
    from polylect.base import plain
    from polylect.people import study_json
    from polylect.report import write_people_page

    names = [name if options.names else str(number)
             for number, name in enumerate(study.crowd.users, start=1)]  # fmt: skip
    settings = plain(config) | {"min_group": options.min_group, "resamples": options.resamples}
    table = _score_table(study, names, config)
    table.write(path / _SCORES)
    rmtree(path / "methods", ignore_errors=True)
    for method in study.methods:
        folder = path / "methods" / method
        folder.mkdir(parents=True)
        table.only(checkpoint=method).write(folder / _SCORES)
    write_json(path / _RESULT, study_json(study, names, options.min_group, settings))
    write_people_page(path / PeopleStudy.page_name, study, ledger, names, options.min_group)


def _score_table(study: "Study", names: list[str], config: "StudyConfig") -> Any:
    """A row per method and held-out pair of a division; a user's rows are one cluster."""
    import polars

    from polylect.rows import ScoreTable

    ranked, crowd = study.ranked, study.crowd
    seeds = [config.seed + number for number in ranked.split.tolist()]
    users = [f"user {names[user]}" for user in ranked.user.tolist()]
    languages = [crowd.texts[text].language for text in crowd.chosen[ranked.pair].tolist()]
    items = [f"seed {seed} pair {pair + 1}"
             for seed, pair in zip(seeds, ranked.pair.tolist(), strict=True)]  # fmt: skip
    settings = (f"split={study.kind} encoder={config.reading.encoder}"
                f" test_share={config.test_share:g} data={crowd.digest[:12]}")  # fmt: skip
    same = polars.DataFrame({
        "task": f"people-{study.kind}@1", "language": languages, "group": users, "item": items,
        "cluster": users, "metric": "acc", "weight": 1.0, "chance": 0.5, "settings": settings,
        "truncated": False, "invalid": False,
    })  # fmt: skip
    parts = [
        same.with_columns(checkpoint=polars.lit(method), value=polars.Series(ranked.right[i]))
        for i, method in enumerate(ranked.methods)
    ]
    schema = ScoreTable.concat([]).frame.schema
    columns = [polars.col(name).cast(kind) for name, kind in schema.items()]
    return ScoreTable(polars.concat(parts).select(columns))
