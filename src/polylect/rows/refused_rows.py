"""Rows that a model cannot learn from: each is left out, counted and named; others go on."""

from pathlib import Path

from polylect.base import InputError, Ledger

_MAX_NAMED, _MAX_REASONS = 5, 8
_OTHER = "the chat template cannot write the row"


class RefusedRows:
    """What was wrong with which rows of a file.

    A file that cannot be read is refused as a whole; a row that this model's template cannot write,
    or of which nothing can be learned, only leaves itself out.
    """

    def __init__(self, template: str = "") -> None:
        """No row yet.

        Args:
            template: place of the chat template, which is not a part of a reason.
        """
        self._template = template
        self._first: tuple[str, InputError] | None = None
        self._rows: dict[tuple[str, str], list[str]] = {}

    def add(self, error: InputError, place: str, language: str) -> None:
        """Leave a row out.

        Args:
            error: what is wrong with it.
            place: its file and line.
            language: its tag.
        """
        self._first = self._first or (place, error)
        reason = error.message.removeprefix(f"{place}: ").removeprefix(f"{self._template}: ")
        if len({known for known, _ in self._rows} | {reason}) > _MAX_REASONS:
            reason = _OTHER
        self._rows.setdefault((reason, language), []).append(place)

    def count(self, ledger: Ledger, num_kept: int) -> None:
        """Count the rows as dropped, with their reasons and the first places of each.

        Raises:
            InputError: no row was kept; it is that of the first row.
        """
        if self._first is not None and not num_kept:
            place, error = self._first
            num = sum(map(len, self._rows.values())) - 1
            others = f" (and {num:,} more rows cannot be used)" if num else ""
            message = error.message.removeprefix(f"{place}: ")
            raise InputError(f"{place}: {message}{others}", error.hint)
        for (reason, language), places in self._rows.items():
            ledger.count(f"dropped: {reason}", len(places), f"{language}; {_named(places)}")


def _named(places: list[str]) -> str:
    """The first places, with the name of their file once.

    Example:
        >>> _named(["a/b.jsonl:3", "a/b.jsonl:17"])
        'b.jsonl:3, 17'
    """
    file = Path(places[0].rpartition(":")[0]).name
    lines = [place.rpartition(":")[2].strip() for place in places[:_MAX_NAMED]]
    more = f" and {len(places) - len(lines):,} more" if len(places) > len(lines) else ""
    return (f"{file}:" if file else "") + ", ".join(lines) + more
