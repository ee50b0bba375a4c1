"""Steps of the recipe ``instructions``: rows of streams, and held-out answers."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from polylect.base import (
    Count,
    InputError,
    Ledger,
    Range,
    Seed,
    check_settings,
    derive_seed,
    digest_of,
    write_json,
    write_text,
)
from polylect.recipes.mixtures.answer_config import AnswerBitsConfig
from polylect.rows import read_conversations, read_dicts
from polylect.runs import Files, StepContext, StepInputs, step
from polylect.text import template_input

TRAIN, HELD, SIZES = "train.jsonl", "held.jsonl", "sizes.json"
TEMPLATED_FILE = "templated.jsonl"
THE_MODEL = "the model"
"""Name of an input beside streams: none can be called so."""
_FEWEST_HELD = 2
TAUGHT = "left out: its prompt is held out"
"""Ledger event: a row that asks what a held-out row of any stream asks; by stream."""


@dataclass(frozen=True, kw_only=True)
class TemplatedConfig:
    """Instructions from labelled data at hand.

    Attributes:
        kinds: of labelled rows; see ``evals.KINDS``.
        languages: tags.
        limit: rows of each kind and language.
        datasets: folder of the data.
        seed: of the templates.
    """

    kinds: tuple[str, ...]
    languages: tuple[str, ...]
    limit: Count
    datasets: Path | None = None
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_settings(self)

    def named_files(self) -> "Mapping[str, LabelledData]":
        """The datasets that the rows come from."""
        return {"labelled data": LabelledData(self.kinds, self.languages, self.datasets)}


@dataclass(frozen=True)
class LabelledData:
    """The files of labelled rows, as an input of a step."""

    kinds: tuple[str, ...]
    languages: tuple[str, ...]
    datasets: Path | None

    @property
    def digest(self) -> str:
        """Digest of every file that is read."""
        from polylect.evals import Source, labelled_rows

        source = Source.at(self.datasets)
        for kind in self.kinds:
            for tag in self.languages:
                next(iter(labelled_rows(kind, source, tag)), None)
        return digest_of(source.digests)


@step(version=1, uses_languages=True)
def templated_rows(config: TemplatedConfig, inputs: StepInputs, context: StepContext) -> None:
    """Writes ``KIND.jsonl`` for every kind of labelled rows, by the templates that ship.

    ``templated.jsonl`` has them all.
    """
    from polylect.evals import Source, labelled_rows
    from polylect.mixtures import instruct, read_template_set

    source = Source.at(config.datasets)
    whole = ""
    for kind in config.kinds:
        group = read_template_set(kind)
        made: list[dict[str, Any]] = []
        for tag in config.languages:
            rows = [row for _, row in zip(range(config.limit), labelled_rows(kind, source, tag),
                                          strict=False)]  # fmt: skip
            made += instruct(rows, [group], context.ledger, seed=config.seed)
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made)
        whole += text
        if text:
            write_text(context.out / f"{kind}.jsonl", text)
    if not whole:
        raise InputError(f"no template and no labelled row in {' '.join(config.languages)}",
                         "check --languages and --datasets")  # fmt: skip
    write_text(context.out / TEMPLATED_FILE, whole)


@dataclass(frozen=True, kw_only=True)
class FittingConfig:
    """Which rows a model can read.

    Attributes:
        streams: their names.
        template: chat template: own, plain, aya, or a Jinja file.
        special_tokens: texts of special tokens in messages: spelled out, or parsed.
    """

    streams: tuple[str, ...]
    template: str = "own"
    special_tokens: Literal["spell", "parse"] = "spell"

    def __post_init__(self) -> None:
        check_settings(self)

    def named_files(self) -> Mapping[str, Files]:
        """The chat template's file, if it is one."""
        return template_input(self.template)


@step(version=2)
def fitting_rows(config: FittingConfig, inputs: StepInputs, context: StepContext) -> None:
    """Writes ``STREAM.jsonl`` for every stream: the rows that a model can read.

    A row that is longer than the model would be dropped while it is trained: shares and passes
    would be of other rows than those that were counted. Inputs: each stream, and ``the model``.

    Raises:
        InputError: a stream has no row that fits.
    """
    from polylect.recipes.mixtures.answer_bits import rows_that_fit

    for stream in config.streams:
        file = inputs[stream].path
        rows = read_conversations(file, ledger=context.ledger)
        places = rows_that_fit(
            inputs[THE_MODEL].path, rows, config.template, config.special_tokens, context.ledger
        )
        lines = [
            json.dumps(row, ensure_ascii=False) + "\n"
            for place, row in read_dicts(file)
            if place in places
        ]
        if not lines:
            raise InputError(f"stream {stream}: no row is short enough for the model",
                             "give shorter rows, or a model with a longer context")  # fmt: skip
        write_text(context.out / f"{stream}.jsonl", "".join(lines))


@dataclass(frozen=True, kw_only=True)
class StreamsConfig:
    """How the rows of streams are kept.

    Attributes:
        streams: names; each is an input.
        languages: tags that are kept; empty keeps all.
        held_out: share of each stream's prompts that is scored and not learned.
        seed: of the split.
    """

    streams: tuple[str, ...]
    languages: tuple[str, ...] = ()
    held_out: Annotated[float, Range(above=0, below=1)] = 0.1
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_settings(self)


@step(version=2, uses_languages=True)
def instruction_streams(config: StreamsConfig, inputs: StepInputs, context: StepContext) -> None:
    """Writes ``train.jsonl``, ``held.jsonl`` and ``sizes.json``; an input for each stream.

    A row's source becomes its stream. Rows of one id (translations of one prompt, say) are on one
    side; what asks the same as a held-out row is not learned, and counted. Of every language that
    has four prompts or more at least two are held out: one says nothing of how answers vary.
    """
    kept: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for stream in config.streams:
        file = inputs[stream].path
        readable = {row.place: row for row in read_conversations(file, ledger=context.ledger)}
        rows = []
        for place, row in read_dicts(file):
            if place not in readable:
                continue  # counted by the reader
            tag = readable[place].language
            if config.languages and tag not in config.languages:
                context.ledger.count("left out: another language", 1, f"{stream} {tag}")
                continue
            asked = digest_of([[turn.role, turn.content] for turn in readable[place].messages[:-1]])
            name = str(row.get("row") or row.get("id") or asked)
            rows.append((name, asked, row | {"source": stream, "language": tag}))
        if len({name for name, _, _ in rows}) < 2:
            raise InputError(f"stream {stream}: {len(rows)} rows, none to hold out",
                             "give at least two prompts")  # fmt: skip
        kept[stream] = rows
    held: list[dict[str, Any]] = []
    for rows in kept.values():
        chosen = _held_names(rows, config)
        held += [row | {"asked": asked, "name": name} for name, asked, row in rows
                 if name in chosen]  # fmt: skip
    asked_held = {row["asked"] for row in held}
    names_held = {row["name"] for row in held}
    train: list[dict[str, Any]] = []
    for stream, rows in kept.items():
        free = [row for name, asked, row in rows
                if asked not in asked_held and name not in names_held]  # fmt: skip
        of_held = sum(row["source"] == stream for row in held)
        context.ledger.count(TAUGHT, len(rows) - len(free) - of_held, stream)
        if not free:
            raise InputError(f"stream {stream}: every prompt is held out in some stream",
                             "give more rows, or a smaller --held-out-share")  # fmt: skip
        train += free
    for name, found in ((TRAIN, train), (HELD, held)):
        lines = (
            json.dumps({key: row[key] for key in row if key not in ("asked", "name")},
                       ensure_ascii=False) + "\n"
            for row in found
        )  # fmt: skip
        write_text(context.out / name, "".join(lines))
    write_json(context.out / SIZES, dict(Counter(row["source"] for row in train)))


def _held_names(rows: list[tuple[str, str, dict[str, Any]]], config: StreamsConfig) -> set[str]:
    """Names of the prompts of a stream that are held out; the seed orders names."""
    by_language: dict[str, set[str]] = {}
    for name, _, row in rows:
        by_language.setdefault(row["language"], set()).add(name)
    chosen: set[str] = set()
    for names in by_language.values():
        order = sorted(names, key=lambda name: derive_seed(config.seed, "held", name))
        fewest = min(_FEWEST_HELD, len(names) // 2)
        chosen |= set(order[: max(fewest, round(config.held_out * len(names)))])
    return chosen or {min(name for name, _, _ in rows)}


@step(version=1)
def score_answers(config: AnswerBitsConfig, inputs: StepInputs, context: StepContext) -> None:
    """Writes ``scores.parquet``: bits per byte of what is learned of every held-out conversation.

    The end of a turn is predicted too; the weight is the bytes of the answers. Task is
    ``answers-STREAM``, group the stream. Inputs: ``model``, ``data`` (conversations).
    """
    from polylect.recipes.mixtures.answer_bits import answer_scores

    rows = read_conversations(inputs["data"].path, ledger=Ledger())
    table = answer_scores(inputs["model"].path, rows, config, context.report, context.ledger)
    table.write(context.out / "scores.parquet")
