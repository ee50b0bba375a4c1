"""Answers of two models to the same prompts, side by side, and the selection of what is judged."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from polylect.base import InputError, Ledger, count_look_alikes
from polylect.base import language as language_of
from polylect.judging.config import GradeConfig, JudgeConfig, JudgingConfig
from polylect.judging.files import ModelAnswers, read_answers
from polylect.rows import Generated, Judgment, Verdict

T = TypeVar("T")

UNMATCHED = "left out: only one model answered"
WITHHELD = "left out: an answer was refused or withheld"
_NO_ANSWER = {"refused", "failed", "filter"}


@dataclass(frozen=True, slots=True)
class AnswerPair:
    """Two answers to one prompt.

    Attributes:
        a: of the baseline.
        b: of the other model.
    """

    a: Generated
    b: Generated

    @property
    def equal(self) -> bool:
        """Whether both answers are the same text, so that there is nothing to judge."""
        return self.a.answer == self.b.answer

    def judgment(
        self, names: tuple[str, str], judge: str, verdict: Verdict, *, swapped: bool = False
    ) -> Judgment:
        """A judge's verdict on the pair.

        Args:
            names: of the two models.
            judge: name of the judge.
            verdict: names a model, wherever it was shown.
            swapped: ``b`` was shown first.
        """
        return Judgment(
            id=self.a.id,
            language=self.a.language,
            model_a=names[0],
            model_b=names[1],
            verdict=verdict,
            judge=judge,
            swapped=swapped,
            sample=self.a.sample,
            category=self.a.category,
            origin=self.a.origin,
        )


def select_pairs(
    config: JudgeConfig, a: Path, b: Path, ledger: Ledger
) -> tuple[tuple[ModelAnswers, ModelAnswers], list[AnswerPair]]:
    """Both models' answers, and the pairs that are judged.

    Raises:
        InputError: a side cannot be read, or nothing is shared.
    """
    sides = read_answers(a), read_answers(b)
    count_look_alikes(ledger, "models", (side.model for side in sides))
    pairs = pair_answers(*sides, ledger)
    _check_languages(config, [pair.a.language for pair in pairs], "pair")
    return sides, _first_of_each_language(pairs, lambda pair: pair.a.language, config)


def select_answers(
    config: GradeConfig, paths: Sequence[Path], ledger: Ledger
) -> tuple[list[ModelAnswers], list[Generated]]:
    """Every model's answers, and those that are graded.

    Raises:
        InputError: a folder cannot be read, two are of one model, or nothing is left.
    """
    sides: list[ModelAnswers] = []
    selected: list[Generated] = []
    for path in paths:
        side = read_answers(path)
        if any(side.model == other.model for other in sides):
            raise InputError(f"two of the folders are of {side.model!r}", "name each model once")
        sides.append(side)
        selected += _first_of_each_language(side.rows, lambda answer: answer.language, config)
    count_look_alikes(ledger, "models", (side.model for side in sides))
    _check_languages(config, [row.language for side in sides for row in side.rows], "answer")
    return sides, selected


def pair_answers(a: ModelAnswers, b: ModelAnswers, ledger: Ledger) -> list[AnswerPair]:
    """Pairs of answers to the same prompt, language and sample, in the order of ``a``.

    Prompts that only one model answered, and answers that a server refused or withheld, are left
    out and counted.

    Raises:
        InputError: a prompt has another text on the other side, an answer is there twice, or
            nothing is shared.
    """
    answers_a, answers_b = _by_key(a), _by_key(b)
    pairs = []
    for key, answer in answers_a.items():
        other = answers_b.get(key)
        if other is None:
            ledger.count(UNMATCHED, 1, answer.language)
            continue
        if answer.messages != other.messages:
            raise InputError(
                f"prompt {answer.id!r} ({answer.language}) has one text for {a.model} and another"
                f" for {b.model}",
                "let both answer the same file",
            )
        if answer.stopped in _NO_ANSWER or other.stopped in _NO_ANSWER:
            ledger.count(WITHHELD, 1, answer.language)
            continue
        pairs.append(AnswerPair(answer, other))
    for _, language, _ in answers_b.keys() - answers_a.keys():
        ledger.count(UNMATCHED, 1, language)
    if not pairs:
        raise InputError(
            f"{a.model} and {b.model} share no prompt", "let both answer the same file"
        )
    return pairs


def _by_key(side: ModelAnswers) -> dict[tuple[str, str, int], Generated]:
    answers: dict[tuple[str, str, int], Generated] = {}
    for answer in side.rows:
        key = (answer.id, answer.language, answer.sample)
        if key in answers:
            raise InputError(
                f"{side.model}: answer {answer.sample} to {answer.id!r} ({answer.language}) is"
                " there twice",
                "generate again",
            )
        answers[key] = answer
    return answers


def _first_of_each_language(
    rows: Iterable[T], language: Callable[[T], str], config: JudgingConfig
) -> list[T]:
    """Rows in the configured languages, at most ``config.limit`` of each."""
    tags = _tags(config)
    counts: dict[str, int] = {}
    selected = []
    for row in rows:
        tag = language(row)
        if tags and tag not in tags:
            continue
        counts[tag] = counts.get(tag, 0) + 1
        if config.limit is None or counts[tag] <= config.limit:
            selected.append(row)
    return selected


def _check_languages(config: JudgingConfig, present: Sequence[str], what: str) -> None:
    """Refuse a configured language in which there is nothing.

    Raises:
        InputError: names the languages, and those that there are.
    """
    absent = [tag for tag in _tags(config) if tag not in present]
    if absent or not present:
        there = " ".join(dict.fromkeys(present)) or "none"
        raise InputError(f"no {what} in {' '.join(absent)}", f"--languages: there are {there}")


def _tags(config: JudgingConfig) -> list[str]:
    return [language_of(name, "--languages").tag for name in config.languages]
