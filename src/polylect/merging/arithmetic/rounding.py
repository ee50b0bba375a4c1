"""Rounding in place to a narrower type, for the mode that does what mergekit does."""

import numpy as np

from polylect.checkpoints import Floats, to_bytes, to_floats


def round_to(values: Floats, dtype: str | None) -> Floats:
    """The same array, each element rounded to ``dtype`` (BF16, F16); as it is for the others."""
    if dtype in {"BF16", "F16"}:
        assert values.dtype == np.float32, "narrow types are rounded from float32"
        to_floats(to_bytes(values, dtype), dtype, out=values)
    return values
