import sys

import numpy as np
import pytest

from polylect.base import release_memory


@pytest.mark.skipif(sys.platform != "linux", reason="skipped: not Linux")
def test_pages_between_blocks_in_use_go_back():
    def resident() -> int:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * 4096

    # Blocks of 100 kB lie on the heap; every second one stays in use.
    blocks = [np.ones(100_000, dtype=np.uint8) for _ in range(800)]
    del blocks[::2]
    before = resident()
    release_memory()
    assert before - resident() > 20_000_000
