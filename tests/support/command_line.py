"""The command line in a process of its own, and the options of a tiny lifecycle on real text."""

import subprocess
import sys
from pathlib import Path

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
