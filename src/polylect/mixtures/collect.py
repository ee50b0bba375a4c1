"""Collecting text: duplicates and foreign text out, split by groups of translations.

Everything read is either kept or counted under ``dropped: …``.
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
    """Documents of every split, sorted by language, source and id; the same for any source order.

    All translations of one thing (documents with one ``parallel`` key, whatever their language and
    source) are on one side. Text is held in memory. It finds exact duplicates only, up to Unicode
    form and white space.

    Args:
        sources: names must differ.
        config: languages, filters and shares.
        ledger: counts ``read: documents`` and every ``dropped: …`` by language.
        report: told which source is read.

    Raises:
        InputError: an unknown or empty language, no text at all, or too little of a language to
            hold some out.
    """
    wanted = wanted_languages(config.languages)
    names = [one.name for one in sources]
    if len(set(names)) < len(names):
        raise InputError(f"two sources have one name: {' '.join(sorted(names))}", "rename one")
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
            (one for one in kept[split] if one.language not in short),
            key=lambda one: (one.language, one.source, one.id),
        )
    if not kept[Split.TRAIN]:
        few = Counter(one.language for one in documents)
        if not few:
            raise InputError("the sources hold no text that could be kept", "check what they read")
        counts = ", ".join(f"{num} in {tag}" for tag, num in sorted(few.items()))
        raise InputError(
            f"too little text to hold some out: {counts} (documents of up to 2,000 characters)",
            f"add text: a language needs more than {2 * config.min_test_documents} documents",
        )
    return kept


def wanted_languages(tags: Sequence[str]) -> tuple[str, ...]:
    """Tags in order, aliases resolved; all languages and ``code`` when none are named.

    Raises:
        InputError: an unknown tag.
    """
    named = {language(one, "languages").tag for one in tags}
    return tuple(sorted(named or {*LANGUAGES, CODE.tag}))


def count_documents(kept: dict[Split, list[Document]]) -> pl.DataFrame:
    """Documents, characters and bytes by language, source and split, sorted."""
    totals: dict[tuple[str, str, str], list[int]] = {}
    for split, documents in kept.items():
        for one in documents:
            sums = totals.setdefault((one.language, one.source, split.value), [0, 0, 0])
            sums[0] += 1
            sums[1] += len(one.text)
            sums[2] += len(one.text.encode())
    rows = [(*key, *sums) for key, sums in sorted(totals.items())]
    return pl.DataFrame(rows, schema=_COUNTS, orient="row")


def _read(
    sources: Sequence[TextSource], wanted: Sequence[str], ledger: Ledger, report: Reporter
) -> Iterator[Document]:
    """All documents, duplicates dropped; the first by source name and order is kept."""
    seen: set[bytes] = set()
    for number, source in enumerate(sorted(sources, key=lambda one: one.name)):
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
    """Documents that are not confidently in another language than theirs."""
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
    texts = [one.text for one in documents if _is_identified(one, config)]
    found = identify_all(texts, LANGUAGES.values())
    for document in documents:
        tag = document.language
        if not _is_identified(document, config):
            if tag != CODE.tag:
                ledger.count("kept unidentified: too short", 1, tag)
            yield document
            continue
        other, probability = next(found)
        if other is None or (other.tag != tag and probability >= config.min_confidence):
            ledger.count("dropped: identified as another language", 1, tag)
        else:
            yield document


def _is_identified(document: Document, config: CollectConfig) -> bool:
    return document.language != CODE.tag and len(document.text) >= config.min_identified_characters


def _short_languages(
    kept: dict[Split, list[Document]], wanted: Sequence[str], config: CollectConfig
) -> set[str]:
    """Languages that have too little to hold some out; an error for those that were asked for."""
    held_out = {
        split: Counter(one.language for one in kept[split])
        for split in (Split.VALIDATION, Split.TEST)
    }
    present = {one.language for documents in kept.values() for one in documents}
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
        num = sum(one.language == tag for documents in kept.values() for one in documents)
        raise InputError(
            f"too little text in {name}: of {num} documents fewer than"
            f" {config.min_test_documents} are held out for validation or for test",
            "add text, raise test_share and validation_share, or lower min_test_documents",
        )
    return short
