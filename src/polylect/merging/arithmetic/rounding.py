"""Rounding in place to a narrower type, for parity with mergekit."""

import numpy as np

from polylect.checkpoints import Floats, to_bytes, to_floats


def round_to(values: Floats, dtype: str | None) -> Floats:
    """Round each element to ``dtype`` (BF16 or F16) in place; other types change nothing."""
    if dtype in {"BF16", "F16"}:
        assert values.dtype == np.float32, "narrow types are rounded from float32"
        to_floats(to_bytes(values, dtype), dtype, out=values)
    return values
