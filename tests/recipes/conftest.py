"""One tiny lifecycle, made once: real text, every step, a model of 300 thousand parameters."""

import subprocess
import sys
from pathlib import Path

import pytest

TINY = [
    "--languages", "en", "es", "de", "ru", "code",
    "--num-parameters", "300000",
    "--vocab-size", "1024",
    "--base-tokens", "12000",
    "--expert-tokens", "4000",
    "--bytes-per-language", "1500",
]  # fmt: skip


def polylect(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", "import sys; from polylect.cli import main; sys.exit(main())",
         *arguments],
        capture_output=True, text=True, cwd=cwd, check=False,
    )  # fmt: skip


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("lifecycle") / "run"
    done = polylect("run", "lifecycle", "--out", str(out), *TINY)
    assert done.returncode == 0, done.stderr
    return out
