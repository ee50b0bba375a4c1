"""Answers of two models to the same prompts, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from polylect.base import InputError, Ledger, read_json
from polylect.rows import Generated, read_rows

ANSWERS = "answers.parquet"
ALONE = "left out: only one model answered"
WITHHELD = "left out: an answer was refused or withheld"
_NO_ANSWER = {"refused", "filter"}


@dataclass(frozen=True)
class Answers:
    """One model's answers.

    Attributes:
        model: its name.
        rows: the answers, in order.
        digest: of the model that gave them, as its folder's record says; empty where it does not.
    """

    model: str
    rows: tuple[Generated, ...]
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one prompt.

    Attributes:
        a: of the baseline.
        b: of the other model.
    """

    a: Generated
    b: Generated

    @property
    def equal(self) -> bool:
        """Whether the answers are the same text: nothing is left to judge."""
        return self.a.answer == self.b.answer


def read_answers(path: Path) -> Answers:
    """The answers in a folder that ``polylect generate`` wrote, or in a file like it.

    Raises:
        InputError: none are there, or they are of several models.
    """
    file = path / ANSWERS if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"{path}: no {ANSWERS}", f"polylect generate MODEL --out {path}")
    rows = tuple(read_rows(file, Generated))
    names = sorted({one.model for one in rows})
    if len(names) != 1:
        raise InputError(
            f"{file}: answers of {len(names)} models ({', '.join(names[:4])})",
            "give the answers of one model",
        )
    record = file.with_name("step.json")
    digest = ""
    if record.is_file():
        inputs = read_json(record).get("inputs")
        digest = str(inputs.get("model", "")) if isinstance(inputs, dict) else ""
    return Answers(names[0], rows, digest)


def pairs_of(a: Answers, b: Answers, ledger: Ledger) -> list[Pair]:
    """The answers to the same prompt, language and sample, in the order of ``a``.

    What only one of them answered is counted and left out, and so is what a server did not take.

    Raises:
        InputError: a prompt has another text on the other side, an answer is there twice, or
            nothing is shared.
    """
    sides = []
    for side in (a, b):
        own: dict[tuple[str, str, int], Generated] = {}
        for one in side.rows:
            key = (one.id, one.language, one.sample)
            if key in own:
                raise InputError(
                    f"{side.model}: answer {one.sample} to {one.id!r} ({one.language}) is there"
                    " twice",
                    "generate again",
                )
            own[key] = one
        sides.append(own)
    found = []
    for key, one in sides[0].items():
        other = sides[1].get(key)
        if other is None:
            ledger.count(ALONE, 1, one.language)
            continue
        if one.messages != other.messages:
            raise InputError(
                f"prompt {one.id!r} ({one.language}) has one text for {a.model} and another for"
                f" {b.model}",
                "let both answer the same file",
            )
        if one.stopped in _NO_ANSWER or other.stopped in _NO_ANSWER:
            ledger.count(WITHHELD, 1, one.language)
            continue
        found.append(Pair(one, other))
    for key in sides[1].keys() - sides[0].keys():
        ledger.count(ALONE, 1, key[1])
    if not found:
        raise InputError(
            f"{a.model} and {b.model} share no prompt", "let both answer the same file"
        )
    return found


def of_languages(pairs: Sequence[Pair], languages: Sequence[str], limit: int | None) -> list[Pair]:
    """The pairs in some languages (all where none is named), the first ``limit`` of each."""
    counts: dict[str, int] = {}
    found = []
    for one in pairs:
        tag = one.a.language
        if languages and tag not in languages:
            continue
        counts[tag] = counts.get(tag, 0) + 1
        if limit is None or counts[tag] <= limit:
            found.append(one)
    if not found:
        raise InputError(f"no pair in {' '.join(languages)}", "check --languages")
    return found
