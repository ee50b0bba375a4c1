"""Text for calibration: quotas by language and source, rows of equal length, text to measure on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from polylect.base import InputError, Ledger, digest_bytes, digest_of, generator, language
from polylect.quantization.config import SHARES, CalibrationConfig
from polylect.rows import read_dicts
from polylect.text import Tokenizer

SHORT = "left out of measuring: too little text"
"""What the ledger counts for a language whose damage cannot be measured."""

_DEFAULT_TOKENS = 512


@dataclass(frozen=True)
class Rows:
    """Runs of tokens, all of one length.

    Attributes:
        ids: int64 [rows, tokens].
        languages: tag of each row.
    """

    ids: np.ndarray
    languages: tuple[str, ...]


@dataclass(frozen=True)
class Calibration:
    """What a model is quantized by, and what it is measured on.

    Attributes:
        rows: to quantize by.
        measured: of other text, to measure on; any number of rows, also none.
        digest: of both, of what they were drawn from and how.
        counts: rows by ``language/source``.
    """

    rows: Rows = field(repr=False)
    measured: Rows = field(repr=False)
    digest: str
    counts: Mapping[str, int]


def read_calibration(
    path: Path, tokenizer: Tokenizer, config: CalibrationConfig, most_tokens: int, ledger: Ledger
) -> Calibration:
    """The rows that a file and quotas give.

    A row begins with BOS; texts of one language and source follow one another in the seed's order,
    each ended by EOS, until all rows of their quota are full. The texts that are measured on are
    taken first, and never calibrate.

    Args:
        path: JSON lines with ``text`` and ``language``, and ``source`` if you like.
        tokenizer: of the model.
        config: quotas, numbers and the seed.
        most_tokens: that the model takes.
        ledger: counts languages that cannot be measured on.

    Raises:
        InputError: the file is broken, a row too long, or a quota's language has no or too little
            text.
    """
    length = config.row_tokens or min(_DEFAULT_TOKENS, most_tokens)
    if not 2 <= length <= most_tokens:
        raise InputError(f"rows of {length} tokens; the model takes {most_tokens}",
                         f"--row-tokens {most_tokens}")  # fmt: skip
    if config.num_rows < 1 or config.eval_samples_per_language < 0:
        num = config.eval_samples_per_language
        raise InputError(f"{config.num_rows} rows, {num} to measure on",
                         "--rows 64 --eval-samples-per-language 2")  # fmt: skip
    texts = _read(path)
    streams = {
        key: _Stream(own, tokenizer, generator(config.seed, "calibration", *key))
        for key, own in sorted(texts.items())
    }
    shares = shares_of(config.quotas, {key: sum(map(len, own)) for key, own in texts.items()}, path)
    wanted = apportion(shares, config.num_rows)
    measured = _measured(streams, config.eval_samples_per_language, length, ledger)
    found: list[np.ndarray] = []
    tags: list[str] = []
    counts: dict[str, int] = {}
    for (tag, source), num in wanted.items():
        own = streams[tag, source].rows(num, length)
        if len(own) < num:
            raise InputError(
                f"{path}: {tag}{f'/{source}' if source else ''} has text for {len(own)} of"
                f" {num} rows of {length} tokens",
                "add text, or ask for fewer or shorter rows: --rows, --row-tokens",
            )
        found += own
        tags += [tag] * num
        counts[f"{tag}/{source}" if source else tag] = num
    rows = Rows(np.stack(found), tuple(tags))
    return Calibration(
        rows,
        measured,
        digest_of(
            {
                "rows": digest_bytes(rows.ids.tobytes()), "languages": list(rows.languages),
                "measured": digest_bytes(measured.ids.tobytes()),
                "measured_languages": list(measured.languages),
            }
        ),
        counts,
    )  # fmt: skip


def shares_of(
    quotas: Mapping[str, float], sizes: Mapping[tuple[str, str], int], where: object
) -> dict[tuple[str, str], float]:
    """Share of the rows by language and source; they sum to 1.

    A language's share is split over its sources by their sizes, unless sources are named.

    Args:
        quotas: see ``CalibrationConfig``.
        sizes: characters at hand by language and source.
        where: the file, for messages.

    Raises:
        InputError: a language or source is not there, or a share is not positive.
    """
    tags = sorted({tag for tag, _ in sizes})
    if len(quotas) == 1 and next(iter(quotas)) in SHARES:
        name = next(iter(quotas))
        by_tag = {tag: sum(num for key, num in sizes.items() if key[0] == tag) for tag in tags}
        if name == "english":
            quotas = {"en": 1.0}
        else:
            quotas = {tag: 1.0 if name == "uniform" else float(by_tag[tag]) for tag in tags}
    asked = {_key(name): share for name, share in quotas.items()}
    bad = [name for name, share in quotas.items() if not 0 < share < float("inf")]
    if bad or not quotas:
        raise InputError(f"the quota of {bad[0] if bad else 'no language'} is not above 0",
                         "--quota en=1 de=1, or --quota uniform")  # fmt: skip
    missing = sorted({tag for tag, _ in asked} - set(tags))
    if missing:
        raise InputError(
            f"{where}: the quotas ask for {len({tag for tag, _ in asked})} languages; there is no"
            f" text in {' '.join(missing)} (there is {' '.join(tags)})",
            "add text, or change --quota",
        )
    found: dict[tuple[str, str], float] = {}
    for (tag, source), share in asked.items():
        own = {key: num for key, num in sizes.items()
               if key[0] == tag and source in (None, key[1])}  # fmt: skip
        if not own:
            known = ", ".join(sorted({key[1] or "(none)" for key in sizes if key[0] == tag}))
            raise InputError(f"{where}: {tag} has no source {source!r} (it has {known})",
                             "change --quota")  # fmt: skip
        for key, num in own.items():
            found[key] = found.get(key, 0.0) + share * num / sum(own.values())
    total = sum(found.values())
    return {key: share / total for key, share in sorted(found.items())}


def apportion(shares: Mapping[tuple[str, str], float], num: int) -> dict[tuple[str, str], int]:
    """Whole rows by share, largest remainders first; those without a row are left out."""
    exact = {key: share * num for key, share in shares.items()}
    found = {key: int(one + 1e-9) for key, one in exact.items()}
    order = sorted(exact, key=lambda key: (found[key] - exact[key], key))
    for key in order[: num - sum(found.values())]:
        found[key] += 1
    return {key: one for key, one in found.items() if one}


def _key(name: str) -> tuple[str, str | None]:
    tag, slash, source = name.partition("/")
    return (tag if tag == "code" else language(tag, "--quota").tag), (source if slash else None)


def _read(path: Path) -> dict[tuple[str, str], list[str]]:
    texts: dict[tuple[str, str], list[str]] = {}
    for where, row in read_dicts(path):
        text, tag = row.get("text"), row.get("language")
        source = row.get("source") or ""
        if not isinstance(text, str) or not isinstance(tag, str) or not isinstance(source, str):
            raise InputError(f"{where}: needs text and language, both words", "mend the row")
        tag = tag if tag == "code" else language(tag, where).tag
        if text.strip():
            texts.setdefault((tag, source), []).append(text)
    if not texts:
        raise InputError(f"{path}: no text", "JSON lines with text and language")
    return texts


class _Stream:
    """Texts of one language and source as rows; a text is used once."""

    def __init__(self, texts: Sequence[str], tokenizer: Tokenizer, random: Any) -> None:
        self._texts = [texts[i] for i in random.permutation(len(texts))]
        self._tokenizer = tokenizer
        self._left: list[int] = []

    def rows(self, num: int, length: int) -> list[np.ndarray]:
        """The next rows; fewer where the texts end."""
        one = self._tokenizer
        while len(self._left) < num * (length - 1) and self._texts:
            self._left += [*map(int, one.encode(self._texts[:1])[0]), one.eos_id]
            del self._texts[0]
        found = []
        while len(found) < num and len(self._left) >= length - 1:
            found.append(np.array([one.bos_id, *self._left[: length - 1]], np.int64))
            del self._left[: length - 1]
        return found

    def turn(self) -> None:
        """Drop what is left of a text that was begun."""
        self._left = []


def _measured(
    streams: Mapping[tuple[str, str], _Stream], num: int, length: int, ledger: Ledger
) -> Rows:
    """Rows of every language, from its sources in turn."""
    found: list[np.ndarray] = []
    tags: list[str] = []
    for tag in sorted({tag for tag, _ in streams}) if num else []:
        own: list[np.ndarray] = []
        for key, stream in streams.items():
            if key[0] == tag:
                own += stream.rows(num - len(own), length)
                stream.turn()
        if len(own) < num:
            ledger.count(SHORT, 1, tag)
        else:
            found += own
            tags += [tag] * num
    ids = np.stack(found) if found else np.empty((0, length), np.int64)
    return Rows(ids, tuple(tags))
