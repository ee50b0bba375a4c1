"""Rounding in place to a narrower type, for parity with mergekit."""

from polylect.checkpoints import Floats, to_bytes, to_floats


def round_to(values: Floats, dtype: str | None) -> Floats:
    """Round each element once to ``dtype`` (BF16, F16) in place; other types change nothing."""
    if dtype in {"BF16", "F16"}:
        to_floats(to_bytes(values, dtype), dtype, out=values)
    return values
