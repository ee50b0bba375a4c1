"""Which text of a report is of which domain, and which expert is a domain's own."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polylect.base import InputError, Ledger, language
from polylect.experts.content_sample import ContentSample
from polylect.experts.domains import UNTOLD

if TYPE_CHECKING:
    from polylect.rows import Document

SEVERAL_EXPERTS = "without an own expert: a language that several experts learned"
NO_EXPERT = "without an own expert: a language that no expert learned"


@dataclass(frozen=True)
class ReportDomain:
    """A domain of a report.

    Attributes:
        name: of the expert whose text it is, of the file, or the tag of its language.
        expert: number of its own expert; None: it has none.
        source: name of its file or folder.
        num_documents: that were read, of which ``num_texts`` were drawn.
        num_texts: that the report looks at.
        languages: their tags, sorted.
    """

    name: str
    expert: int | None
    source: str
    num_documents: int
    num_texts: int
    languages: tuple[str, ...]


@dataclass(frozen=True)
class ReportText:
    """A document that a report looks at.

    Attributes:
        text: the document.
        language: its tag.
        domain: name of its domain.
        item: its name, unique in its domain and language.
        cluster: what is resampled together: its parallel key, or its name.
    """

    text: str = field(repr=False)
    language: str
    domain: str
    item: str
    cluster: str


@dataclass(frozen=True)
class ReportSource:
    """A file or folder of a report.

    Attributes:
        path: where it lies.
        name: of its domain; empty: it has a domain per language.
        expert: number of the domain's own expert; None: it has none, or each language has its.
    """

    path: Path
    name: str
    expert: int | None


def read_report_texts(
    sources: Sequence[ReportSource],
    domains: Sequence[Mapping[str, Any]],
    *,
    num_texts: int,
    seed: int,
    ledger: Ledger,
    default_language: str = "",
) -> tuple[list[ReportDomain], list[ReportText]]:
    """The domains of a report and their texts, at most so many of a domain and language.

    The own expert of a language (of a source without a name) is the only one whose record in
    config.json names it.

    Args:
        sources: see ``report_sources``; read as ``mixtures.FolderSource`` does.
        domains: what config.json says of each expert's domain.
        num_texts: most texts of a domain and language; which, content and seed decide.
        seed: of the draw.
        ledger: counts what was read of languages, and texts without an own expert.
        default_language: tag of text that has none.

    Raises:
        InputError: a source has no text, or cannot be read.
    """
    from polylect.mixtures import EveryLanguage, FolderSource

    if default_language:
        language(default_language, "--default-language")
    experts = _experts_of_languages(domains)
    reported: list[ReportDomain] = []
    texts: list[ReportText] = []
    for source in sources:
        reader = FolderSource(source.path, default_language or None, "data", untold=UNTOLD)
        samples: dict[str, ContentSample[Document]] = {}
        for document in reader.documents(EveryLanguage(), ledger):
            if text := document.text.strip():
                sample = samples.setdefault(document.language, ContentSample(num_texts, seed))
                sample.offer(text, document)
        if not samples:
            raise InputError(f"{source.path}: a domain without text", "give held-out text")
        parts = {source.name: sorted(samples)} if source.name else {tag: [tag] for tag in
                                                                     sorted(samples)}  # fmt: skip
        for name, tags in parts.items():
            expert = source.expert
            if not source.name:
                known = experts.get(name, ())
                expert = known[0] if len(known) == 1 else None
                if expert is None:
                    event = SEVERAL_EXPERTS if known else NO_EXPERT
                    ledger.count(event, sum(samples[tag].num_offered for tag in tags), name)
            rows = [row for tag in tags for row in _rows(name, tag, samples[tag])]
            num_read = sum(samples[tag].num_offered for tag in tags)
            named_tags = tuple(tag for tag in tags if tag != UNTOLD)
            place = source.path.resolve().name
            reported.append(ReportDomain(name, expert, place, num_read, len(rows), named_tags))
            texts += rows
    return reported, texts


def _rows(domain: str, tag: str, sample: "ContentSample[Document]") -> list[ReportText]:
    """The drawn texts of a domain and language, sorted by name; equal names get a number."""
    seen: Counter[str] = Counter()
    rows = []
    drawn = sample.drawn()
    for text, document in sorted(drawn, key=lambda pair: (pair[1].id, pair[0])):
        seen[document.id] += 1
        again = f" ({seen[document.id]})" if seen[document.id] > 1 else ""
        item = f"{document.id}{again}"
        rows.append(ReportText(text, tag, domain, item, document.parallel or item))
    return rows


def _experts_of_languages(domains: Sequence[Mapping[str, Any]]) -> dict[str, list[int]]:
    """The experts whose records name a language."""
    experts: dict[str, list[int]] = {}
    for number, domain in enumerate(domains):
        for tag in domain.get("languages") or ():
            experts.setdefault(tag, []).append(number)
    return experts


def report_sources(data: Sequence[str], names: Sequence[str]) -> list[ReportSource]:
    """What each file of a report is of; reads none.

    ``NAME=FILE`` is the domain NAME, and files called like experts are their domains; any other
    file beside such ones is a domain without an own expert. Where there is none of either, files as
    many as experts are the experts' in order, and a single file has a domain per language.

    Args:
        data: files and folders, or ``NAME=FILE``.
        names: of the experts, in order.

    Raises:
        InputError: a file is of no domain, or two are of the same.
    """
    given = [_named(entry) for entry in data]
    numbers = {name: number for number, name in enumerate(names)}
    files = [(name or _stem(path), path) for name, path in given]
    has_names = any(name for name, _ in given) or any(name in numbers for name, _ in files)
    if has_names:
        sources = [ReportSource(path, name, numbers.get(name)) for name, path in files]
    elif len(files) == 1:
        sources = [ReportSource(files[0][1], "", None)]
    elif len(files) == len(names):
        sources = [
            ReportSource(path, name, number)
            for number, (name, (_, path)) in enumerate(zip(names, files, strict=True))
        ]
    else:
        raise InputError(
            f"--data: {len(files)} files for {len(names)} experts, and none is called like one"
            f" ({', '.join(names)})",
            f"say whose text each is: --data {names[0]}={files[0][1]}",
        )
    for name, num in Counter(source.name for source in sources).items():
        if num > 1:
            raise InputError(
                f"--data: {num} files for the domain {name}",
                "put them into one folder, or name them: --data NAME=FILE",
            )
    return sources


def check_whose_text(owners: Sequence[str], files: Sequence[Path], names: Sequence[str]) -> None:
    """Refuse a file of one expert that is called like another: files in another order.

    Args:
        owners: names of the experts whose text the files are, in order.
        files: a file or folder of each.
        names: of all experts.

    Raises:
        InputError: names the first.
    """
    for owner, path in zip(owners, files, strict=True):
        called = _stem(path)
        if called != owner and called in names:
            raise InputError(
                f"--data {path}: by its place the text of {owner}, by its name that of {called}",
                "give the files in the order of the experts, or give this one another name",
            )


def _named(entry: str) -> tuple[str, Path]:
    """Name and path of ``NAME=FILE``; no name where the whole is a path."""
    name, equals, path = entry.partition("=")
    if not equals or not name or Path(entry).exists():
        return "", Path(entry)
    if not path:
        raise InputError(f"--data {entry!r}: no file after the name", "give --data NAME=FILE")
    return name, Path(path)


def _stem(path: Path) -> str:
    """The name of a folder, or of a file without its ending."""
    name = path.resolve()
    return name.name if name.is_dir() else name.stem
