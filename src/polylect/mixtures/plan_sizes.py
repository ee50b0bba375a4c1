"""How many tokens of text there are, by language and source: what a plan is checked against."""

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

from polylect.base import InputError, Ledger, read_text
from polylect.mixtures.asked import EveryLanguage
from polylect.mixtures.folder import FolderSource
from polylect.mixtures.table_files import read_frame
from polylect.mixtures.tokens import TokenStore
from polylect.rows import Split
from polylect.text import Tokenizer

SOURCE = "text"
"""The source of counts that name none."""
_DOCUMENTS = f"{Split.TRAIN}.documents.parquet"
_FORM = "give columns language, source and tokens, or in TOML: [de] books = 40_000"
_BATCH = 1024


def read_sizes(path: Path) -> dict[tuple[str, str], int]:
    """Tokens by language and source, from a folder of tokens or a table of counts.

    A folder is one of tokens, or of a run that made one: its training split is counted. A table in
    CSV, Parquet or JSON lines has columns ``language``, ``tokens`` and optionally ``source``. In
    TOML a table per language holds tokens by source, or ``de = 40_000`` stands for one source,
    ``text``.

    Args:
        path: file or folder.

    Raises:
        InputError: no such path, no tokens in it or several folders of them, or a count that is
            none; names the row.
    """
    if path.is_dir():
        return _store_sizes(path)
    if path.suffix == ".toml":
        try:
            data: dict[str, Any] = tomllib.loads(read_text(path))
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"{path}: {error}", _FORM) from None
        by_language = {language: value if isinstance(value, dict) else {SOURCE: value}
                       for language, value in data.items()}  # fmt: skip
        rows = [(language, source, tokens)
                for language, sources in by_language.items()
                for source, tokens in sources.items()]  # fmt: skip
    else:
        frame = read_frame(path, _FORM)
        if missing := [name for name in ("language", "tokens") if name not in frame.columns]:
            raise InputError(f"{path}: no column {missing[0]}", _FORM)
        sources = frame["source"].to_list() if "source" in frame.columns else [SOURCE] * len(frame)
        rows = list(zip(frame["language"], sources, frame["tokens"], strict=True))
    sizes: Counter[tuple[str, str]] = Counter()
    for language, source, tokens in rows:
        if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 0:
            raise InputError(f"{path}: {language}/{source}: {tokens!r} tokens",
                             "give a whole number, 0 or more")  # fmt: skip
        sizes[str(language), str(source or SOURCE)] += tokens
    if not sum(sizes.values()):
        raise InputError(f"{path}: no tokens", _FORM)
    return dict(sizes)


def text_sizes(
    path: Path, tokenizer: Path, ledger: Ledger, default_language: str = ""
) -> dict[tuple[str, str], int]:
    """Tokens of a file or folder of text, by language; the source is ``text``.

    All of it is counted: a training holds some of it back for validation and test.

    Args:
        path: file or folder, as ``FolderSource`` reads it.
        tokenizer: folder of a tokenizer or a model, or ``tokenizer.json``.
        ledger: counts what is not read.
        default_language: tag of all text without one; empty: it is identified.

    Raises:
        InputError: no readable text, or no tokenizer.
    """
    encoder = Tokenizer.load(tokenizer)
    sizes: Counter[tuple[str, str]] = Counter()
    batch: list[tuple[str, str]] = []

    def count() -> None:
        for (language, _), ids in zip(batch, encoder.encode([text for _, text in batch]),
                                      strict=True):  # fmt: skip
            sizes[language, SOURCE] += len(ids)
        batch.clear()

    source = FolderSource(path, default_language or None, SOURCE)
    for document in source.documents(EveryLanguage(), ledger):
        batch.append((document.language, document.text))
        if len(batch) == _BATCH:
            count()
    count()
    if not sizes:
        raise InputError(f"{path}: no text whose language is known",
                         "say what it is: --default-language TAG")  # fmt: skip
    return dict(sizes)


def _store_sizes(path: Path) -> dict[tuple[str, str], int]:
    places = [path] if (path / _DOCUMENTS).is_file() else (
        sorted(place.parent for place in path.rglob(_DOCUMENTS)))  # fmt: skip
    if not places:
        raise InputError(
            f"{path}: no tokens in this folder",
            "give a folder of tokens, the run that made them, or a table of counts",
        )
    sizes = [TokenStore(place, Split.TRAIN).sizes() for place in places]
    if any(other != sizes[0] for other in sizes[1:]):
        raise InputError(f"{path}: several folders of tokens: {', '.join(map(str, places[:4]))}",
                         "give one of them")  # fmt: skip
    return sizes[0]
