"""Collecting text: drop duplicates, count what seems to be in another language, then split.

The language that a source states stands: what a document seems to be is counted, and dropped only
where that was asked for.

Every document read is either kept or counted under ``dropped: …``.
"""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import polars as pl

from polylect.base import CODE, InputError, Ledger, language
from polylect.mixtures.asked import EveryLanguage
from polylect.mixtures.config import CollectConfig
from polylect.mixtures.sources import TextSource
from polylect.mixtures.split import group_of, split_groups
from polylect.rows import Document, Split
from polylect.runs import Reporter, Silent
from polylect.text import Guess, open_identifier

FLAGGED = "kept: seems to be in another language than it is said to be"
DROPPED = "dropped: seems to be in another language than it is said to be"
WORST = "seems to be in another language: most in one file"
UNKNOWN = "not identified: the identifier does not know the language"
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
    documents = read_text(sources, config, ledger, report)
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


def read_text(
    sources: Sequence[TextSource],
    config: CollectConfig,
    ledger: Ledger,
    report: Reporter | None = None,
) -> list[Document]:
    """All documents, without exact duplicates, in the order of the sources; none is held out.

    Args:
        sources: sources with distinct names.
        config: languages and filters.
        ledger: counts ``read: documents`` and every ``dropped: …`` by language.
        report: receives the source being read.

    Raises:
        InputError: a language is unknown or offered by no source, or two sources have the same
            name.
    """
    wanted = wanted_languages(config.languages)
    check_offered(sources, config.languages)
    names = [source.name for source in sources]
    if len(set(names)) < len(names):
        raise InputError(f"two sources have the same name: {' '.join(sorted(names))}", "rename one")
    return list(_filtered(_read(sources, wanted, ledger, report or Silent()), config, ledger))


@dataclass(frozen=True, slots=True)
class SeemsOther:
    """Documents that were said to be in one language and seem to be in another.

    Attributes:
        said: tag.
        seems: tag.
        kept: documents that stayed.
        dropped: documents that were dropped, where that was asked for.
        file: the one with most of them; empty where that was not kept.
        in_file: documents in it.
    """

    said: str
    seems: str
    kept: int
    dropped: int
    file: str
    in_file: int


def seems_other(ledger: Ledger) -> list[SeemsOther]:
    """What ``collect`` counted by pair of languages, most documents first."""
    counts: dict[str, Counter[str]] = {FLAGGED: Counter(), DROPPED: Counter()}
    files: dict[str, tuple[str, int]] = {}
    for event, where, num in ledger.rows():
        if event in counts:
            counts[event][where] += num
        elif event == WORST:
            pair, _, file = where.partition(": ")
            files[pair] = (file, num)
    kept, dropped = counts[FLAGGED], counts[DROPPED]
    order = sorted({*kept, *dropped}, key=lambda pair: (-kept[pair] - dropped[pair], pair))
    return [
        SeemsOther(said, seems, kept[pair], dropped[pair], *files.get(pair, ("", 0)))
        for pair in order
        for said, _, seems in [pair.partition(" seems ")]
    ]


def wanted_languages(tags: Sequence[str]) -> Collection[str]:
    """Canonical tags, sorted; every language when none are given.

    Raises:
        InputError: an unknown tag.
    """
    named = {language(tag, "languages").tag for tag in tags}
    return tuple(sorted(named)) if named else EveryLanguage()


def check_offered(sources: Sequence[TextSource], tags: Sequence[str]) -> None:
    """Refuse languages that no source has, where all sources know theirs before they are read.

    Args:
        sources: one that knows its languages has an attribute ``offered``.
        tags: languages that were asked for by name.

    Raises:
        InputError: names all of the languages that are missing.
    """
    offers = [getattr(source, "offered", None) for source in sources]
    if None in offers:
        return
    known = {tag for offered in offers if offered is not None for tag in offered}
    missing = [tag for tag in wanted_languages(tags) if tag not in known] if tags else []
    if missing:
        raise _no_text(missing, "no source has any")


def _no_text(tags: Sequence[str], why: str) -> InputError:
    names = ", ".join(f"{tag} ({language(tag).name})" for tag in tags)
    return InputError(
        f"no text in {names}: {why}",
        f"leave {'it' if len(tags) == 1 else 'them'} out of the languages, or add a source",
    )


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
    sources: Sequence[TextSource], wanted: Collection[str], ledger: Ledger, report: Reporter
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
    """The documents, those that seem to be in another language counted."""
    identifier = open_identifier(config.identifier)
    files: Counter[tuple[str, str]] = Counter()
    for batch in _batches(documents):
        texts = [document.text for document in batch if _is_identified(document, config)]
        guesses = iter(identifier.guess(texts))
        for document in batch:
            tag = document.language
            if not _is_identified(document, config):
                ledger.count("not identified: too short", int(tag != CODE.tag), tag)
                yield document
                continue
            guess = next(guesses)
            ledger.count(UNKNOWN, int(not identifier.knows(tag)), tag)
            if not identifier.seems_other(tag, guess, config.min_confidence):
                yield document
                continue
            pair = f"{tag} seems {guess.tag}"
            files[pair, document.id.partition("#")[0]] += 1
            if _is_dropped(guess, config):
                ledger.count(DROPPED, 1, pair)
            else:
                ledger.count(FLAGGED, 1, pair)
                yield document
    for pair in sorted({pair for pair, _ in files}):
        worst = max(sorted(file for name, file in files if name == pair),
                    key=lambda file: files[pair, file])  # fmt: skip
        ledger.count(WORST, files[pair, worst], f"{pair}: {worst}")


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    remaining = iter(documents)
    while batch := list(islice(remaining, _BATCH_DOCUMENTS)):
        yield batch


def _is_dropped(guess: Guess, config: CollectConfig) -> bool:
    least = config.drop_other_language
    return least is not None and guess.probability >= least


def _is_identified(document: Document, config: CollectConfig) -> bool:
    return document.language != CODE.tag and len(document.text) >= config.min_identified_characters


def _short_languages(
    kept: dict[Split, list[Document]], wanted: Collection[str], config: CollectConfig
) -> set[str]:
    """Languages with too few held-out documents; an error if they were requested explicitly."""
    held_out = {
        split: Counter(document.language for document in kept[split])
        for split in (Split.VALIDATION, Split.TEST)
    }
    present = {document.language for documents in kept.values() for document in documents}
    short = {
        tag
        for tag in {*wanted, *present}
        if any(count[tag] < config.min_test_documents for count in held_out.values())
    }
    missing = sorted(short - present) if config.languages else []
    if missing:
        raise _no_text(missing, "nothing was read, or all was dropped")
    for tag in sorted(short) if config.languages else []:
        name = f"{tag} ({language(tag).name})"
        num = sum(document.language == tag for documents in kept.values() for document in documents)
        raise InputError(
            f"too little text in {name}: of {num} documents fewer than"
            f" {config.min_test_documents} are held out for validation or for test",
            "add text, raise test_share and validation_share, or lower min_test_documents",
        )
    return short
