"""Apertium (Forcada et al. 2011): rule-based translation, called as a process.

Texts go through one process a pair, separated by null characters, in Apertium's stream format
written here: what must be kept, and signs that the format or its marks use, become superblanks,
which no module touches. The marks of unknown words (``*``), of lemmas without a translation
(``@``) and of forms that could not be generated (``#``) are counted and removed, as ``apertium -u``
does; without them the word stays in its own language.
"""

import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from shutil import which

from polylect.base import InputError, Ledger, PolylectError, digest_file, digest_of, language
from polylect.feedback.translation.protocol import Pair, Traits, nearest_pair
from polylect.runs import Reporter

APERTIUM = "apertium"
"""What names it: ``apertium``, or ``apertium:DIR`` of another folder of data."""
UNKNOWN = "unknown to Apertium: words, which stay in their language"
UNTRANSLATED = "unknown to Apertium: lemmas without a translation"
UNGENERATED = "unknown to Apertium: forms that it cannot generate, which stay lemmas"
_COUNTED = {"*": UNKNOWN, "@": UNTRANSLATED, "#": UNGENERATED}
_DATA = Path("/usr/share/apertium")
_MARK = re.compile(r"[*@#](?=\w)")
_BLANK = re.compile(r"\[\[\d+\]\]|[*@#~]+|[\r\n\t]+")
"""What becomes a superblank: marks of what is kept, Apertium's own marks, and line ends."""
_SPECIAL = re.compile(r"([\[\]{}^$/\\@<>])")
_SUPERBLANK = re.compile(r"(?<!\\)\[((?:[^\[\]\\]|\\.)*)\]")
_BATCH = 200
_SECONDS_PER_TEXT, _LEAST_SECONDS = 5.0, 120.0


@dataclass(frozen=True)
class ApertiumSource:
    """Apertium with the language pairs that are installed.

    Attributes:
        name: as the user named it.
        data: folder with ``modes``.
        wanted: pairs that it is used for; all if empty.
    """

    name: str
    data: Path = _DATA
    wanted: tuple[Pair, ...] = ()

    traits = Traits(by_line=True, longest=1000)

    @cached_property
    def modes(self) -> dict[Pair, str]:
        """The name of the mode of every pair.

        Raises:
            InputError: there is no Apertium, or no pair.
        """
        if which(APERTIUM) is None:
            raise InputError(
                "Apertium is not installed", "apt-get install apertium apertium-eng-spa"
            )
        modes: dict[Pair, str] = {}
        for file in sorted((self.data / "modes").glob("*.mode")):
            if (pair := pair_of_mode(file.stem)) is not None:
                modes.setdefault(pair, file.stem)
        if not modes:
            raise InputError(
                f"{self.data}: no language pair of Apertium",
                "apt-get install apertium-eng-spa, or give apertium:DIR",
            )
        return modes

    @property
    def digest(self) -> str:
        """Digest of Apertium's version and of the data files of the pairs."""
        used = {nearest_pair(self.modes, *pair) for pair in self.wanted} or set(self.modes)
        names = sorted(self.modes[pair] for pair in used if pair is not None)
        files: dict[str, str] = {}
        for name in names:
            text = (self.data / "modes" / f"{name}.mode").read_text(encoding="utf-8")
            files[name] = digest_of(text)
            for path in re.findall(r"'([^']+)'", text):
                if Path(path).is_file():
                    files[Path(path).name] = digest_file(Path(path))
        return digest_of({"apertium": _version(), "files": files})

    def pairs(self) -> frozenset[Pair]:
        """The pairs that are installed."""
        return frozenset(self.modes)

    def limited(self, pairs: Iterable[Pair]) -> "ApertiumSource":
        """For these pairs alone."""
        return replace(self, wanted=tuple(sorted(pairs)))

    def open(self, work: Path, report: Reporter, ledger: Ledger) -> "Apertium":
        """The translator; it is fast enough to begin anew after a kill."""
        return Apertium(self, report, ledger)


@dataclass(frozen=True)
class Apertium:
    """The translator."""

    source: ApertiumSource
    report: Reporter
    ledger: Ledger

    def __call__(self, texts: Sequence[str], source: str, target: str) -> list[str | None]:
        """The translations; see ``Translator``.

        Raises:
            PolylectError: the process fails, or does not end.
        """
        pair = nearest_pair(self.source.modes, source, target)
        assert pair is not None, "pairs are checked before"
        mode = self.source.modes[pair]
        results: list[str | None] = []
        for start in range(0, len(texts), _BATCH):
            batch = texts[start : start + _BATCH]
            outputs = self._run(mode, [to_stream(text) for text in batch])
            for text, output in zip(batch, outputs, strict=True):
                for sign, event in _COUNTED.items():
                    num = sum(match[0] == sign for match in _MARK.finditer(_without_blanks(output)))
                    self.ledger.count(event, num, target)
                translation = from_stream(output)
                # A word that is left out, such as a pronoun, leaves its space behind.
                spaced = translation if "  " in text else re.sub(" {2,}", " ", translation)
                results.append(spaced or None)
            self.report.update(len(results), len(texts), "texts")
        return results

    def _run(self, mode: str, streams: Sequence[str]) -> list[str]:
        """The output stream of every input stream, from one process."""
        command = [APERTIUM, "-z", "-f", "none", "-d", str(self.source.data), mode]
        seconds = _LEAST_SECONDS + _SECONDS_PER_TEXT * len(streams)
        try:
            done = subprocess.run(
                command,
                input="".join(f"{stream}\0" for stream in streams).encode(),
                capture_output=True,
                timeout=seconds,
                check=False,
                env=os.environ | {"LC_ALL": "C.UTF-8"},
            )
        except subprocess.TimeoutExpired:
            raise PolylectError(
                f"Apertium did not end in {seconds:.0f} seconds ({mode})", "run it again"
            ) from None
        outputs = done.stdout.decode("utf-8", "replace").split("\0")[: len(streams)]
        if done.returncode or len(outputs) < len(streams):
            why = done.stderr.decode("utf-8", "replace").strip().split("\n")[-1]
            raise PolylectError(
                f"Apertium failed ({mode}): {why or f'{len(outputs)} of {len(streams)} texts'}",
                f"try: echo text | apertium {mode}",
            )
        return outputs


def pair_of_mode(name: str) -> Pair | None:
    """The languages of a mode's name; None for a mode of another kind.

    >>> pair_of_mode("eng-spa"), pair_of_mode("es-pt_BR"), pair_of_mode("en-eo-bytecode")
    (('en', 'es'), ('es', 'pt-BR'), None)
    """
    codes = name.split("-")
    if len(codes) != 2 or any(code.count("_") > 1 for code in codes):
        return None
    try:
        source, target = (language(code.replace("_", "-")).tag for code in codes)
    except InputError:
        return None
    return source, target


def to_stream(text: str) -> str:
    r"""A text in Apertium's stream format, with an end of sentence behind it.

    >>> to_stream("Open [[1]] {now} *here*")
    'Open [\\[\\[1\\]\\]] \\{now\\} [*]here[*].[]'
    """
    parts, start = [], 0
    for match in _BLANK.finditer(text):
        parts += [_escaped(text[start : match.start()]), f"[{_escaped(match[0])}]"]
        start = match.end()
    return "".join([*parts, _escaped(text[start:]), ".[]"])


def from_stream(stream: str) -> str:
    r"""The text of an output stream: without marks of unknown words, and without the end added.

    >>> from_stream(r"Abre [\[\[1\]\]] *now [*]aquí.[]")
    'Abre [[1]] now *aquí'
    """
    stream = re.sub(r"\.\[\]\s*$", "", stream)
    parts, start = [], 0
    for match in _SUPERBLANK.finditer(stream):
        parts += [_MARK.sub("", stream[start : match.start()]), match[1]]
        start = match.end()
    text = "".join([*parts, _MARK.sub("", stream[start:])])
    return re.sub(r"\\(.)", r"\1", text).strip()


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)


def _without_blanks(stream: str) -> str:
    return _SUPERBLANK.sub("", stream)


def _version() -> str:
    done = subprocess.run([APERTIUM, "-V"], capture_output=True, text=True, check=False)
    return done.stdout.strip()
