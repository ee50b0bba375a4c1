"""Seeds: one integer per run, from which every stage derives its own by name."""

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def derive_seed(seed: int, *names: str | int) -> int:
    """A seed in [0, 2**63) for a named purpose; other names give independent seeds.

    >>> derive_seed(0, "order") == derive_seed(0, "order") != derive_seed(0, "sample")
    True
    """
    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *names: str | int) -> "np.random.Generator":
    """A numpy generator (Philox), seeded by ``derive_seed``."""
    import numpy as np

    return np.random.Generator(np.random.Philox(derive_seed(seed, *names)))
