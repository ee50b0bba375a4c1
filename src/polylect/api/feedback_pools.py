"""``feedback.pool``: answers of several teachers to the same prompts."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polylect.api.feedback_options import FeedbackPoolOptions
from polylect.api.paths import file_in
from polylect.api.results import Plan, Result, run_call
from polylect.api.tags import note_readings
from polylect.api.text_tables import text_table
from polylect.api.verbs import verb
from polylect.api.without_effect import GREEDY, refuse_without_effect
from polylect.base import InputError, check_known, numbered, parse_pairs

if TYPE_CHECKING:
    import polars

    from polylect.engine import Server
    from polylect.feedback import PoolConfig
    from polylect.runs import Files, Input, StepContext

_FORM = "NAME=PLACE with a checkpoint's folder, http://HOST:PORT/v1#MODEL, or a file of answers"

_STORED = ("answers.parquet", "pool.parquet", "translated.parquet")
"""Stored answers in a result's folder: the first of these that is there."""


class AnswerPool(Result):
    """Answers of several teachers to the same prompts."""

    @property
    def file(self) -> Path:
        """The answers, as Parquet."""
        from polylect.feedback import POOL

        return self.path / POOL

    def table(self) -> "polars.DataFrame":
        """A row per answer: prompt, teacher, text, and where it comes from."""
        import polars

        return polars.read_parquet(self.file)

    @property
    def teachers(self) -> "polars.DataFrame":
        """A row per teacher: kind, license, terms, digest; answers asked for, there, missing."""
        import polars

        from polylect.feedback import TEACHERS

        return polars.read_parquet(self.path / TEACHERS)

    def lines(self) -> list[str]:
        """A line per teacher, and what was counted."""
        rows = [
            [row["teacher"], row["kind"], f"{row['asked']:,}", f"{row['answers']:,}",
             f"{row['missing']:,}", f"{row['empty']:,}", f"{row['reused']:,}",
             row["license"] or "not stated"]
            for row in self.teachers.iter_rows(named=True)
        ]  # fmt: skip
        head = ["teacher", "kind", "asked", "answers", "missing", "empty", "reused", "license"]
        return [*text_table(head, rows, "llrrrrrl"), *self.ledger.lines(), str(self.page)]


@verb("feedback pool", FeedbackPoolOptions, name="feedback.pool")
def feedback_pool(options: FeedbackPoolOptions) -> AnswerPool | Plan:
    """Collect answers of several teachers to the same prompts, each with its origin.

    Returns an ``AnswerPool``: ``.table()`` has a row per answer, ``.teachers`` one per teacher.

        pool = pl.feedback.pool("prompts.jsonl", teacher={"a": "base", "b": "answers.jsonl"})
        pool.teachers
    """
    from polylect.base import Ledger
    from polylect.engine import chosen_prompts
    from polylect.feedback import (
        CHOICES,
        CHOICES_INPUT,
        REUSED_INPUT,
        TEACHER_INPUT,
        asked_of,
        pool_file,
        run_pool,
    )
    from polylect.runs import Call, Files, Step

    note_readings(options.languages, "--languages")
    if options.sampling.temperature == 0:
        refuse_without_effect("feedback pool", options, GREEDY, "sampling")
    places = teacher_places(options)
    config = _config(options, list(places))
    file = file_in(options.prompts, "prompts.jsonl")
    prompts = chosen_prompts(config.generate("pool"), file, Ledger())
    asked = {teacher.name: asked_of(teacher, prompts, None) for teacher in config.teachers}
    inputs: dict[str, Input] = {"prompts": Files(file)}
    inputs |= {f"{TEACHER_INPUT}{name}": place for name, place in places.items()}
    for number, path in enumerate(options.reuse):
        inputs[f"{REUSED_INPUT}{number}"] = Files(pool_file(path))
    if options.choices is not None:
        inputs[CHOICES_INPUT] = Files(file_in(options.choices, CHOICES))

    def write(settings: Any, given: Any, context: "StepContext") -> None:
        from polylect.report import write_pool_page

        run_pool(settings, given, context)
        write_pool_page(context.out, context.ledger)

    def plan(out: Path) -> list[str]:
        lines = [
            f"{name}: {numbered(len(rows), 'prompt')},"
            f" {numbered(len(rows) * options.answers, 'answer')}"
            for name, rows in asked.items()
        ]
        return [*lines, f"would write into {out}"]

    call = Call(Step("polylect feedback pool", 1, write), "feedback-pool", config, inputs)
    return run_call(call, options.output, "feedback-pool", AnswerPool, plan)


def teacher_places(options: FeedbackPoolOptions) -> "dict[str, Files | Server]":
    """What each teacher is, by name.

    Raises:
        InputError: there is none, two have one name, or a place is nothing that answers.
    """
    from polylect.feedback import models_in

    places: dict[str, Files | Server] = {}
    for typed in options.teacher:
        name, text = _named(typed)
        place, own = _place(text, options)
        names = [name or own]
        if not name and not own:
            names = models_in(Path(text))
            if not names:
                raise InputError(f"--teacher {typed}: whose answers are these?",
                                 f"--teacher NAME={typed}")  # fmt: skip
        for each in names:
            if each in places:
                raise InputError(f"two teachers are called {each!r}", f"--teacher NAME={text}")
            places[each] = place
    if not places:
        raise InputError("feedback pool: no teacher", f"--teacher {_FORM}")
    return places


def _named(typed: str) -> tuple[str, str]:
    name, equals, place = typed.partition("=")
    is_named = equals and place and not Path(typed).exists() and not name.startswith("http")
    return (name, place) if is_named else ("", typed)


def _place(text: str, options: FeedbackPoolOptions) -> "tuple[Files | Server, str]":
    """A checkpoint, a server or a file, and the name that it has itself; a file has none."""
    from polylect.checkpoints import Checkpoint
    from polylect.engine import read_address
    from polylect.runs import Files

    address = read_address(text)
    if address is not None:
        url, model = address
        server = options.server.server(url, model or None, f"{url}#NAME")
        return server, server.model.rpartition("/")[2]
    path = Path(text)
    for stored in _STORED if path.is_dir() else ():
        if (path / stored).is_file():
            return Files(path / stored), ""
    if path.is_file():
        return Files(path), ""
    if not path.exists():
        raise InputError(f"--teacher {text}: no such folder or file", f"give {_FORM}")
    return Files(Checkpoint.open(path).path), path.resolve().name


def _config(options: FeedbackPoolOptions, names: list[str]) -> "PoolConfig":
    from polylect.feedback import PoolConfig, TeacherConfig
    from polylect.rows import ANSWER_ORIGINS

    languages = _by_teacher("teacher-languages", options.teacher_languages, names)
    licenses = _by_teacher("license", options.license, names)
    terms = _by_teacher("terms", options.terms, names)
    origins = _by_teacher("answer-origin", options.answer_origin, names)
    for name, origin in origins.items():
        known = [word for word in ANSWER_ORIGINS if word and word != "translated"]
        check_known(origin, known, f"--answer-origin {name}={origin}", "give")
    for name, tags in languages.items():
        note_readings(tags.split(","), f"--teacher-languages {name}")
    teachers = tuple(
        TeacherConfig(
            name=name, languages=tuple(languages[name].split(",")) if name in languages else (),
            license=licenses.get(name, ""), terms=terms.get(name, ""),
            answer_origin=origins.get(name, ""),
        )
        for name in names
    )  # fmt: skip
    return PoolConfig(
        teachers=teachers, sampling=replace(options.sampling, num_samples=options.answers),
        template=options.template, languages=options.languages, limit=options.limit,
        identifier=options.identifier, engine=options.engine.config(),
    )  # fmt: skip


def _by_teacher(option: str, typed: tuple[str, ...], names: list[str]) -> Mapping[str, str]:
    """Values by the name of a teacher.

    Raises:
        InputError: there is no such teacher.
    """
    values = parse_pairs(option, typed)
    for name in values:
        check_known(name, names, f"--{option} {name}=…: no such teacher", "there are")
    return values
