"""Inputs of an audit besides the votes: a registry of models, and dated boards."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path

from polylect.base import InputError, check_known
from polylect.rows import read_rows

LICENSES = ("proprietary", "open-weight", "open-source")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One model, or one privately tested variant, of the registry.

    Attributes:
        model: as the votes and boards name it.
        provider: who made it.
        license: one of ``LICENSES``; empty if not known.
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
        if not self.model or not self.provider:
            raise InputError("'model' or 'provider' is empty", "fill it in")
        if self.license:
            check_known(self.license, LICENSES, f"unknown license {self.license!r}", "use")
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
        provider, license: if the board shows them; the registry has precedence.
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
        if parse_day(self.date, "date") is None:
            raise InputError("'date' is empty", "give an ISO date, e.g. 2025-04-23")
        if self.battles < 0:
            raise InputError(f"'battles' is {self.battles}", "give votes so far, 0 or more")


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
        if row.provider:
            license = row.license if row.license in LICENSES else ""
            known[row.model] = Entry(model=row.model, provider=row.provider, license=license)
    return Registry(tuple(known.values())) if known else None
