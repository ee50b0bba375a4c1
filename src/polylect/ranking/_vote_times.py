"""Times of votes: as seconds since 1970, or as ISO text."""

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np

from polylect.base import InputError
from polylect.ranking.counts import FloatArray

_LAST_TIME = 4_102_444_800.0  # 2100-01-01
_FIRST_FINE_TIME = 631_152_000.0  # 1990-01-01
_FINER_UNITS = {"milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": 1e9}


def parse_timestamp(text: str, where: str) -> float:
    """Seconds since 1970 of an ISO time (UTC unless it says otherwise) or of a written number.

    >>> parse_timestamp("2024-01-01T01:00:00+01:00", "time")
    1704067200.0

    Raises:
        InputError: it is neither, or no time that a vote can have; the message begins with
            ``where``.
    """
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise InputError(
                f"{where} is {text!r}, neither a number nor an ISO time", "e.g. 2025-04-29T12:00:00"
            ) from None
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    check_times(np.array([seconds]), lambda _: where)
    return seconds


def check_times(seconds: FloatArray, where: Callable[[int], str]) -> None:
    """Check that times lie between 1970 and 2100, as seconds since 1970 do.

    Args:
        seconds: the times [N].
        where: names the place of a row and the column.

    Raises:
        InputError: one does not; names its place, and the unit that was meant.
    """
    wrong = np.flatnonzero(~((seconds >= 0.0) & (seconds <= _LAST_TIME)))
    if not len(wrong):
        return
    value = float(seconds[wrong[0]])
    for unit, size in _FINER_UNITS.items():
        if _FIRST_FINE_TIME <= value / size <= _LAST_TIME:
            meant = datetime.fromtimestamp(value / size, UTC)
            raise InputError(
                f"{where(int(wrong[0]))} is {value:.15g}: that is {unit}, {meant:%Y-%m-%d}",
                f"give seconds since 1970: divide by {size:,.0f}",
            )
    raise InputError(
        f"{where(int(wrong[0]))} is {value:g}, no time between 1970 and 2100",
        "give seconds since 1970, or an ISO time such as 2025-04-29T12:00:00",
    )
