"""What every test may use: processes of its own, none of which outlives it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from child_processes import Children, close_fork_server
from hypothesis import HealthCheck, settings

# As many workers as cores: threads of their own would only wait for each other's.
os.environ.setdefault("OMP_NUM_THREADS", "1")
_SUPPORT = str(Path(__file__).parent / "support")
# Scripts that a test starts import the support modules as the test itself does.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [_SUPPORT, *filter(None, [os.environ.get("PYTHONPATH", "")])]
)

# Speed is never asserted: on a loaded machine the first example alone may take a second.
settings.register_profile("polylect", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("polylect")


@pytest.fixture(scope="session", autouse=True)
def _fork_server() -> Iterator[None]:
    yield
    close_fork_server()


@pytest.fixture
def started() -> Iterator[Children]:
    """Starts processes; those that still run when the test ends are killed and waited for."""
    children = Children()
    yield children
    children.close()
