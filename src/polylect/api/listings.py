"""Lists of what there is: results without a folder."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polylect.api.results import Result
from polylect.base import Ledger

if TYPE_CHECKING:
    import polars


class Listing(Result):
    """A list of what there is, a row each; nothing is written."""

    def __init__(self, rows: Sequence[Mapping[str, Any]], lines: Iterable[str]) -> None:
        """A list of these rows, all with the same names, and what a terminal shows of them."""
        super().__init__(Path())
        self._rows = [dict(row) for row in rows]
        self._lines = list(lines)

    @property
    def page(self) -> None:
        """None: a list has no page."""
        return

    @cached_property
    def ledger(self) -> Ledger:
        """Empty."""
        return Ledger()

    def table(self) -> "polars.DataFrame":
        """A row for each."""
        import polars

        return polars.DataFrame(self._rows)

    def lines(self) -> list[str]:
        """A line for each."""
        return self._lines

    def __len__(self) -> int:
        return len(self._rows)
