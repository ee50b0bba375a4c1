"""The command line, in a process of its own or in this one; options of a tiny lifecycle."""

import io
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
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


def polylect_in_process(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A command line in this process: no second import of torch."""
    from polylect.cli import main

    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(list(arguments))
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())
