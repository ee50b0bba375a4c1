"""Inputs of an audit besides the votes: a registry of models, and dated boards."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path

from polylect.base import InputError, check_known
from polylect.rows import check_names, read_rows

LICENSES = ("proprietary", "open-weight", "open-source")
_CLASS_OF = {
    "proprietary": "closed, closed source, commercial, api, api only",
    "open-weight": "open weights, mit, apache 2.0, apache, bsd, bsd 2 clause, bsd 3 clause, gpl, "
    "gpl 3.0, cc by 4.0, cc by sa 4.0, cc by sa 3.0, cc by nc 4.0, cc by nc sa 4.0, "
    "cc by nc sa 3.0, openrail, openrail m, bigcode openrail m, llama 2 community, "
    "llama 3 community, llama 3.1 community, llama 3.2, llama 3.2 community, llama 3.3, "
    "llama 3.3 community, llama 4, llama 4 community, gemma, gemma license, qianwen license, "
    "qwen, qwen license, qwen research, deepseek, deepseek license, mistral research, mrl, "
    "mistral ai research license, falcon 180b tii license, yi license, dbrx license, "
    "jamba open, ai2 impact low risk, nvidia open model, nvidia open, non commercial",
    "open-source": "",
}
"""Licenses that boards print, by class, in lower case and with spaces for hyphens. A license says
whether the weights may be used. That data and code are open too (``open-source``) no license says:
only that word does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One model, or one privately tested variant, of the registry.

    Attributes:
        model: as the votes and boards name it.
        provider: who made it.
        license: one of ``LICENSES``, or a license that ``license_class`` knows, which becomes its
            class; empty if not known.
        private: tested under an anonymous name before any publication.
        tested_from, tested_to: ISO dates of the private test; empty if not known.
        score: final score, also of a private variant; None if it was not published.
        added: ISO date on which it was added to the public board.
        retired: ISO date on which its retirement was announced; empty if it was not.
    """

    model: str
    provider: str
    license: str = ""
    private: bool = False
    tested_from: str = ""
    tested_to: str = ""
    score: float | None = None
    added: str = ""
    retired: str = ""

    def __post_init__(self) -> None:
        check_names(self, "model", "provider")
        object.__setattr__(self, "license", license_class(self.license))
        for name in ("tested_from", "tested_to", "added", "retired"):
            parse_day(getattr(self, name), name)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatedRow:
    """One model on the board of one day.

    Attributes:
        date: ISO date.
        model: its name.
        rating: as shown.
        battles: votes with this model so far.
        lower, upper: 95 % limits, if shown.
        provider, license: if the board shows them, the license as in ``Entry``; the registry has
            precedence.
    """

    date: str
    model: str
    rating: float
    battles: int
    lower: float | None = None
    upper: float | None = None
    provider: str = ""
    license: str = ""

    def __post_init__(self) -> None:
        check_names(self, "model")
        if parse_day(self.date, "date") is None:
            raise InputError("'date' is empty", "give an ISO date, e.g. 2025-04-23")
        if self.battles < 0:
            raise InputError(f"'battles' is {self.battles}", "give votes so far, 0 or more")
        object.__setattr__(self, "license", license_class(self.license))


def license_class(text: str) -> str:
    """One of ``LICENSES`` for a license as boards print it; empty for an empty text.

    >>> license_class("Proprietary"), license_class("Apache-2.0"), license_class("MIT")
    ('proprietary', 'open-weight', 'open-weight')

    Raises:
        InputError: neither a class nor a license of the table.
    """
    words = " ".join(text.lower().replace("-", " ").replace("_", " ").split())
    if not words:
        return ""
    for name in LICENSES:
        if words == name.replace("-", " ") or words in _CLASS_OF[name].split(", "):
            return name
    check_known(text, LICENSES, f"unknown license {text!r}", "give its class:")
    raise AssertionError(text)


def parse_day(text: str, name: str) -> date | None:
    """The date of an ISO text; None for an empty text.

    Raises:
        InputError: not an ISO date.
    """
    if not text:
        return None
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        raise InputError(f"{name!r} is {text!r}", "give an ISO date, e.g. 2025-04-23") from None


@dataclass(frozen=True, eq=False, slots=True)
class Registry:
    """Entries of models; each model once."""

    entries: tuple[Entry, ...]

    @classmethod
    def read(cls, path: Path) -> "Registry":
        """The registry in a ``.jsonl`` or ``.parquet`` file.

        Raises:
            InputError: a row does not fit, or a model comes twice; names the place.
        """
        entries = tuple(read_rows(path, Entry))
        seen: set[str] = set()
        for number, entry in enumerate(entries, start=1):
            if entry.model in seen:
                raise InputError(
                    f"{path}: row {number}: {entry.model!r} comes twice", "keep one row"
                )
            seen.add(entry.model)
        if not entries:
            raise InputError(f"{path}: no entries", "a row needs model and provider")
        return cls(entries)

    def group(self, kind: str, models: Sequence[str]) -> list[str]:
        """Provider or license of each model; ``unknown`` where the registry has none."""
        assert kind in {"provider", "license"}, kind
        known = {entry.model: getattr(entry, kind) for entry in self.entries}
        return [known.get(name) or "unknown" for name in models]

    def entry(self, model: str) -> Entry | None:
        """The entry of a model, or None."""
        return next((entry for entry in self.entries if entry.model == model), None)

    def private_by_provider(self) -> dict[str, list[Entry]]:
        """Private variants by provider, in order of names; providers without any too."""
        providers = sorted({entry.provider for entry in self.entries})
        return {
            name: [entry for entry in self.entries if entry.private and entry.provider == name]
            for name in providers
        }


def read_boards(path: Path) -> tuple[DatedRow, ...]:
    """Dated boards, in order of date and model.

    Raises:
        InputError: a row does not fit, a model comes twice on a day, or there are none.
    """
    rows = sorted(read_rows(path, DatedRow), key=lambda row: (row.date, row.model))
    if not rows:
        raise InputError(f"{path}: no rows", "a row needs date, model, rating and battles")
    for before, after in pairwise(rows):
        if (before.date, before.model) == (after.date, after.model):
            raise InputError(f"{path}: {after.model!r} comes twice on {after.date}", "keep one row")
    return tuple(rows)


def registry_of(boards: Sequence[DatedRow]) -> Registry | None:
    """Providers and licenses that dated boards show; None if they show none."""
    known: dict[str, Entry] = {}
    for row in boards:
        if row.provider or row.license:
            provider = row.provider or "unknown"
            known[row.model] = Entry(model=row.model, provider=provider, license=row.license)
    return Registry(tuple(known.values())) if known else None
