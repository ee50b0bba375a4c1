"""Durations in words."""


def duration(seconds: float) -> str:
    """Seconds in words: ``9 s``, ``3 min 20 s``, ``2 h 5 min``."""
    total = max(0, round(seconds))
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60} s"
    return f"{total // 3600} h {total % 3600 // 60} min"


def rounded(seconds: float) -> str:
    """A duration in words, no finer than an estimate deserves.

    >>> rounded(737)
    '12 min'
    """
    if seconds < 60:
        return duration(seconds)
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
