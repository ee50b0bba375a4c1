"""One tiny lifecycle, made once: real text, every step, a model of 300 thousand parameters."""

from pathlib import Path

import pytest
from command_line import TINY, polylect


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("lifecycle") / "run"
    done = polylect("run", "lifecycle", "--out", str(out), *TINY)
    assert done.returncode == 0, done.stderr
    return out
