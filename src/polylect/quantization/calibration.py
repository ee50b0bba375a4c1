"""Calibration text: quotas by language and source, rows of equal length, and evaluation rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from polylect.base import (
    InputError,
    Ledger,
    count_look_alikes,
    digest_bytes,
    digest_of,
    generator,
    language,
)
from polylect.quantization.config import SHARES, CalibrationConfig
from polylect.rows import read_dicts
from polylect.text import Tokenizer

SHORT = "left out of measuring: too little text"
"""Ledger event: a language has too little text to measure its damage."""

FEWER = "calibrated on fewer or shorter samples than usual: all the text that there is"
"""Ledger event: the file has less text than the default asks for."""

EMPTY_TEXT = "left out of calibration: empty text"
"""Ledger event: a row whose text is empty or white space, by language."""

NO_SAMPLE = "left out of calibration: a share of less than one sample"
"""Ledger event: a language or source whose quota rounds to no sample."""

_DEFAULT_SAMPLES, _DEFAULT_TOKENS, _LEAST_TOKENS = 64, 512, 16


@dataclass(frozen=True)
class Rows:
    """Rows of token ids, all of one length.

    Attributes:
        ids: int64 [rows, tokens].
        languages: tag of each row.
    """

    ids: np.ndarray
    languages: tuple[str, ...]


@dataclass(frozen=True)
class Calibration:
    """Calibration rows, and the rows that damage is measured on.

    Attributes:
        rows: calibration rows.
        measured: evaluation rows from other text; may be empty.
        digest: content digest of both.
        counts: calibration rows by ``language/source``.
    """

    rows: Rows = field(repr=False)
    measured: Rows = field(repr=False)
    digest: str
    counts: Mapping[str, int]


def read_calibration(
    path: Path, tokenizer: Tokenizer, config: CalibrationConfig, most_tokens: int, ledger: Ledger
) -> Calibration:
    """Calibration and evaluation rows from a text file.

    A row starts with BOS and is filled with texts of one language and source in the seed's order,
    each ended by EOS. Texts for the evaluation rows are taken first and never used for calibration.

    Args:
        path: JSON lines with ``text``, ``language`` and optionally ``source``.
        tokenizer: the model's tokenizer.
        config: quotas, number of rows, seed.
        most_tokens: longest row that the model takes.
        ledger: counts languages that cannot be measured, empty texts, and texts with special
            tokens' texts.

    Raises:
        InputError: the file is broken, a row is too long, or a language of the quotas has no or
            too little text.
    """
    if config.sample_tokens and not 2 <= config.sample_tokens <= most_tokens:
        raise InputError(f"rows of {config.sample_tokens} tokens; the model takes {most_tokens}",
                         f"--sample-tokens {most_tokens}")  # fmt: skip
    texts = _read(path, ledger)
    sizes = {key: sum(map(len, documents)) for key, documents in texts.items()}
    shares = shares_of(config.quotas, sizes, path)
    longest = config.sample_tokens or min(_DEFAULT_TOKENS, most_tokens)
    # A file with less text than usual gives shorter samples, unless their length was asked for.
    lengths = [longest]
    while not config.sample_tokens and lengths[-1] >= 2 * _LEAST_TOKENS:
        lengths.append(lengths[-1] // 2)
    most = config.num_samples or _DEFAULT_SAMPLES
    for length in lengths:
        streams = {
            key: _Stream(documents, tokenizer, generator(config.seed, "calibration", *key))
            for key, documents in sorted(texts.items())
        }
        measured = _measured(streams, config.eval_samples_per_language, length, Ledger())
        num_samples = _most_samples(streams, shares, most, length)
        if num_samples >= (config.num_samples or min(most, len(shares))):
            break
    if num_samples < (config.num_samples or 1):
        is_measured = config.eval_samples_per_language > 0
        wanted = apportion(shares, most)
        raise _too_little(path, streams, wanted, length, num_samples, is_measured=is_measured)
    missing = {tag for tag, _ in texts} - {*measured.languages}
    for tag in sorted(missing) if config.eval_samples_per_language else ():
        ledger.count(SHORT, 1, tag)
    if (num_samples, length) != (most, longest):
        ledger.count(FEWER, 1, f"{num_samples} of {length} tokens, not {most} of {longest}")
    wanted = apportion(shares, num_samples)
    for tag, source in sorted(shares.keys() - wanted.keys()):
        ledger.count(NO_SAMPLE, 1, f"{tag}/{source}" if source else tag)
    id_rows: list[np.ndarray] = []
    tags: list[str] = []
    counts: dict[str, int] = {}
    for (tag, source), num in wanted.items():
        id_rows += streams[tag, source].rows(num, length)
        tags += [tag] * num
        counts[f"{tag}/{source}" if source else tag] = num
    rows = Rows(np.stack(id_rows), tuple(tags))
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


def _most_samples(
    streams: Mapping[tuple[str, str], "_Stream"],
    shares: Mapping[tuple[str, str], float],
    most: int,
    length: int,
) -> int:
    """The largest number of rows up to ``most`` for which every share has text."""
    return next(
        (
            num
            for num in range(most, 0, -1)
            if all(
                streams[key].num_rows(rows, length) == rows
                for key, rows in apportion(shares, num).items()
            )
        ),
        0,
    )


def _too_little(
    path: Path,
    streams: Mapping[tuple[str, str], "_Stream"],
    wanted: Mapping[tuple[str, str], int],
    length: int,
    num_samples: int,
    *,
    is_measured: bool,
) -> InputError:
    """The refusal of a file with too little text; names the number that it is enough for."""
    (tag, source), num, has = next(
        (key, num, has)
        for key, num in wanted.items()
        if (has := streams[key].num_rows(num, length)) < num
    )
    tokens = min(streams[key].num_tokens(num, length) // num for key, num in wanted.items()) + 1
    hint = (
        "add text, or measure nothing: --eval-samples-per-language 0" if is_measured else "add text"
    )
    if num_samples:
        hint = f"--samples {num_samples}, or add text"
    elif tokens >= 2:
        hint = f"--sample-tokens {tokens}, or add text"
    return InputError(
        f"{path}: {tag}{f'/{source}' if source else ''} has text for {has} of {num} rows of"
        f" {length} tokens{', beside those to measure on' if is_measured else ''}",
        hint,
    )


def shares_of(
    quotas: Mapping[str, float], sizes: Mapping[tuple[str, str], int], where: object
) -> dict[tuple[str, str], float]:
    """Share of the rows by language and source; the shares sum to 1.

    A language's share is split over its sources by size, unless sources are named.

    Args:
        quotas: see ``CalibrationConfig``.
        sizes: characters of text by language and source.
        where: the file, for error messages.

    Raises:
        InputError: a language or source has no text, or a share is not positive.
    """
    tags = sorted({tag for tag, _ in sizes})
    if len(quotas) == 1 and next(iter(quotas)) in SHARES:
        name = next(iter(quotas))
        by_tag = {tag: sum(num for key, num in sizes.items() if key[0] == tag) for tag in tags}
        if name == "english":
            quotas = {"en": 1.0}
        else:
            quotas = {tag: 1.0 if name == "uniform" else float(by_tag[tag]) for tag in tags}
    requested = {_key(name): share for name, share in quotas.items()}
    bad = [name for name, share in quotas.items() if not 0 < share < float("inf")]
    if bad or not quotas:
        raise InputError(f"the quota of {bad[0] if bad else 'no language'} is not above 0",
                         "--quota en=1 de=1, or --quota uniform")  # fmt: skip
    missing = sorted({tag for tag, _ in requested} - set(tags))
    if missing:
        raise InputError(
            f"{where}: no text in {' '.join(missing)}, of {len({tag for tag, _ in requested})}"
            f" languages in the quotas (there is {' '.join(tags)})",
            "--quota uniform takes all of the file alike; or add text",
        )
    shares: dict[tuple[str, str], float] = {}
    for (tag, source), share in requested.items():
        matching = {key: num for key, num in sizes.items()
                    if key[0] == tag and source in (None, key[1])}  # fmt: skip
        if not matching:
            known = ", ".join(sorted({key[1] or "(none)" for key in sizes if key[0] == tag}))
            raise InputError(f"{where}: {tag} has no source {source!r} (it has {known})",
                             "change --quota")  # fmt: skip
        for key, num in matching.items():
            shares[key] = shares.get(key, 0.0) + share * num / sum(matching.values())
    total = sum(shares.values())
    return {key: share / total for key, share in sorted(shares.items())}


def apportion(shares: Mapping[tuple[str, str], float], num: int) -> dict[tuple[str, str], int]:
    """Number of rows per share, by largest remainder; shares without a row are left out."""
    exact = {key: share * num for key, share in shares.items()}
    counts = {key: int(rows + 1e-9) for key, rows in exact.items()}
    order = sorted(exact, key=lambda key: (counts[key] - exact[key], key))
    for key in order[: num - sum(counts.values())]:
        counts[key] += 1
    return {key: rows for key, rows in counts.items() if rows}


def _key(name: str) -> tuple[str, str | None]:
    tag, slash, source = name.partition("/")
    return (tag if tag == "code" else language(tag, "--quota").tag), (source if slash else None)


def _read(path: Path, ledger: Ledger) -> dict[tuple[str, str], list[str]]:
    texts: dict[tuple[str, str], list[str]] = {}
    for where, row in read_dicts(path):
        fields = {name: row.get(name) for name in ("text", "language")}
        fields["source"] = row.get("source") or ""
        for name, value in fields.items():
            if not isinstance(value, str):
                problem = "is missing" if value is None else f"is {repr(value)[:40]}"
                raise InputError(f"{where}: {name!r} {problem}", "give text")
        text, tag, source = (str(value) for value in fields.values())
        tag = tag if tag == "code" else language(tag, where).tag
        ledger.count(EMPTY_TEXT, int(not text.strip()), tag)
        if text.strip():
            texts.setdefault((tag, source), []).append(text)
    count_look_alikes(ledger, "sources", {source for _, source in texts})
    if not texts:
        raise InputError(f"{path}: no text", "JSON lines with text and language")
    return texts


class _Stream:
    """Rows from the texts of one language and source; each text is used once."""

    def __init__(self, texts: Sequence[str], tokenizer: Tokenizer, random: Any) -> None:
        self._texts = [texts[i] for i in random.permutation(len(texts))]
        self._tokenizer = tokenizer
        self._left: list[int] = []

    def rows(self, num: int, length: int) -> list[np.ndarray]:
        """The next rows; fewer when the texts run out."""
        self._fill(num, length)
        tokenizer = self._tokenizer
        rows = []
        while len(rows) < num and len(self._left) >= length - 1:
            rows.append(np.array([tokenizer.bos_id, *self._left[: length - 1]], np.int64))
            del self._left[: length - 1]
        return rows

    def _fill(self, num: int, length: int) -> None:
        tokenizer = self._tokenizer
        while len(self._left) < num * (length - 1) and self._texts:
            self._left += [*map(int, tokenizer.encode(self._texts[:1])[0]), tokenizer.eos_id]
            del self._texts[0]

    def num_rows(self, most: int, length: int) -> int:
        """How many of the next ``most`` rows there is text for."""
        self._fill(most, length)
        return min(most, len(self._left) // (length - 1))

    def num_tokens(self, most: int, length: int) -> int:
        """How many tokens there are for the next ``most`` rows."""
        self._fill(most, length)
        return len(self._left)

    def turn(self) -> None:
        """Discard the rest of a partly used text."""
        self._left = []


def _measured(
    streams: Mapping[tuple[str, str], _Stream], num: int, length: int, ledger: Ledger
) -> Rows:
    """Evaluation rows of every language, from its sources in order."""
    id_rows: list[np.ndarray] = []
    tags: list[str] = []
    for tag in sorted({tag for tag, _ in streams}) if num else []:
        language_rows: list[np.ndarray] = []
        for key, stream in streams.items():
            if key[0] == tag:
                language_rows += stream.rows(num - len(language_rows), length)
                stream.turn()
        if len(language_rows) < num:
            ledger.count(SHORT, 1, tag)
        else:
            id_rows += language_rows
            tags += [tag] * num
    ids = np.stack(id_rows) if id_rows else np.empty((0, length), np.int64)
    return Rows(ids, tuple(tags))
