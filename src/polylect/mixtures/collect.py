"""Collecting text: drop duplicates and text in other languages, then split by translation group.

Every document read is either kept or counted under ``dropped: …``.
"""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import polars as pl

from polylect.base import CODE, LANGUAGES, InputError, Ledger, language
from polylect.mixtures.config import CollectConfig
from polylect.mixtures.sources import TextSource
from polylect.mixtures.split import group_of, split_groups
from polylect.rows import Document, Split
from polylect.runs import Reporter, Silent
from polylect.text import identify_all

_BATCH_DOCUMENTS = 1024
_COUNTS = {
    "language": pl.String, "source": pl.String, "split": pl.String,
    "documents": pl.Int64, "characters": pl.Int64, "bytes": pl.Int64,
}  # fmt: skip


def collect(
    sources: Sequence[TextSource],
    config: CollectConfig,
    ledger: Ledger,
    report: Reporter | None = None,
) -> dict[Split, list[Document]]:
    """The documents of each split, sorted by language, source and id, whatever the source order.

    Documents that share a ``parallel`` key (translations of each other) land in the same split,
    whatever their language and source. All text is held in memory. Only exact duplicates are found,
    up to Unicode normalization and white space.

    Args:
        sources: sources with distinct names.
        config: languages, filters and split shares.
        ledger: counts ``read: documents`` and every ``dropped: …`` by language.
        report: receives the source being read.

    Raises:
        InputError: a language is unknown or empty, there is no text, or a language has too little
            text for held-out splits.
    """
    wanted = wanted_languages(config.languages)
    names = [source.name for source in sources]
    if len(set(names)) < len(names):
        raise InputError(f"two sources have the same name: {' '.join(sorted(names))}", "rename one")
    documents = list(_filtered(_read(sources, wanted, ledger, report or Silent()), config, ledger))
    sides = split_groups(documents, config)
    kept: dict[Split, list[Document]] = {split: [] for split in Split}
    for document in documents:
        kept[sides[group_of(document)]].append(document)
    short = _short_languages(kept, wanted, config)
    for split in Split:
        for document in kept[split]:
            if document.language in short:
                ledger.count("dropped: too few documents in its language", 1, document.language)
        kept[split] = sorted(
            (document for document in kept[split] if document.language not in short),
            key=lambda document: (document.language, document.source, document.id),
        )
    if not kept[Split.TRAIN]:
        few = Counter(document.language for document in documents)
        if not few:
            raise InputError("the sources hold no usable text", "check what they read")
        counts = ", ".join(f"{num} in {tag}" for tag, num in sorted(few.items()))
        raise InputError(
            f"too little text for held-out splits: {counts} (documents of up to 2,000 characters)",
            f"add text: a language needs more than {2 * config.min_test_documents} documents",
        )
    return kept


def wanted_languages(tags: Sequence[str]) -> tuple[str, ...]:
    """Canonical tags, sorted; the default languages and ``code`` when none are given.

    Raises:
        InputError: an unknown tag.
    """
    named = {language(tag, "languages").tag for tag in tags}
    return tuple(sorted(named or {*LANGUAGES, CODE.tag}))


def count_documents(kept: dict[Split, list[Document]]) -> pl.DataFrame:
    """Documents, characters and bytes by language, source and split, sorted."""
    totals: dict[tuple[str, str, str], list[int]] = {}
    for split, documents in kept.items():
        for document in documents:
            sums = totals.setdefault((document.language, document.source, split.value), [0, 0, 0])
            sums[0] += 1
            sums[1] += len(document.text)
            sums[2] += len(document.text.encode())
    rows = [(*key, *sums) for key, sums in sorted(totals.items())]
    return pl.DataFrame(rows, schema=_COUNTS, orient="row")


def _read(
    sources: Sequence[TextSource], wanted: Sequence[str], ledger: Ledger, report: Reporter
) -> Iterator[Document]:
    """All documents without duplicates; the first by source name and order is kept."""
    seen: set[bytes] = set()
    for number, source in enumerate(sorted(sources, key=lambda source: source.name)):
        report.update(number, len(sources), "sources", source.name)
        for document in source.documents(wanted, ledger):
            ledger.count("read: documents", 1, document.language)
            text = " ".join(unicodedata.normalize("NFC", document.text).split())
            key = hashlib.blake2b(f"{document.language}\n{text}".encode(), digest_size=16).digest()
            if key in seen:
                ledger.count("dropped: exact duplicate", 1, document.language)
            else:
                seen.add(key)
                yield document


def _filtered(
    documents: Iterable[Document], config: CollectConfig, ledger: Ledger
) -> Iterator[Document]:
    """The documents except those confidently identified as another language."""
    batch: list[Document] = []
    for document in documents:
        batch.append(document)
        if len(batch) == _BATCH_DOCUMENTS:
            yield from _identified(batch, config, ledger)
            batch = []
    yield from _identified(batch, config, ledger)


def _identified(
    documents: list[Document], config: CollectConfig, ledger: Ledger
) -> Iterator[Document]:
    texts = [document.text for document in documents if _is_identified(document, config)]
    identified = identify_all(texts, LANGUAGES.values())
    for document in documents:
        tag = document.language
        if not _is_identified(document, config):
            if tag != CODE.tag:
                ledger.count("kept unidentified: too short", 1, tag)
            yield document
            continue
        other, probability = next(identified)
        if other is None or (other.tag != tag and probability >= config.min_confidence):
            ledger.count("dropped: identified as another language", 1, tag)
        else:
            yield document


def _is_identified(document: Document, config: CollectConfig) -> bool:
    return document.language != CODE.tag and len(document.text) >= config.min_identified_characters


def _short_languages(
    kept: dict[Split, list[Document]], wanted: Sequence[str], config: CollectConfig
) -> set[str]:
    """Languages with too few held-out documents; an error if they were requested explicitly."""
    held_out = {
        split: Counter(document.language for document in kept[split])
        for split in (Split.VALIDATION, Split.TEST)
    }
    present = {document.language for documents in kept.values() for document in documents}
    short = {
        tag
        for tag in wanted
        if any(count[tag] < config.min_test_documents for count in held_out.values())
    }
    for tag in sorted(short) if config.languages else []:
        name = f"{tag} ({language(tag).name})"
        if tag not in present:
            raise InputError(f"no text in {name}: nothing was read, or all was dropped",
                             "leave it out of the languages, or add a source")  # fmt: skip
        num = sum(document.language == tag for documents in kept.values() for document in documents)
        raise InputError(
            f"too little text in {name}: of {num} documents fewer than"
            f" {config.min_test_documents} are held out for validation or for test",
            "add text, raise test_share and validation_share, or lower min_test_documents",
        )
    return short
