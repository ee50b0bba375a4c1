"""Two tiny lifecycles, made once: on all the sample text, and on a little of it."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import TINY, polylect


def make_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A path that is made once in a test session, whichever of pytest's processes asks first."""
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # the session's folder; each worker has one inside
    made = root / name / "made"
    made.parent.mkdir(exist_ok=True)
    with open(root / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            make(made.parent)
            made.touch()
    return made.parent


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the sample text."""

    def make(folder: Path) -> None:
        done = polylect("run", "lifecycle", "--out", folder / "run", "--workers", "1", *TINY)
        assert done.returncode == 0, done.stderr

    return make_once(tmp_path_factory, "tiny", make) / "run"


@pytest.fixture(scope="session")
def text(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some of the text that the lifecycle read: reading it all takes longer than a search."""

    def make(folder: Path) -> None:
        import polars as pl

        (documents,) = tiny.glob("steps/text-*/train.parquet")
        few = pl.read_parquet(documents).group_by("language", maintain_order=True).head(150)
        rows = few.select("text", "language").to_dicts()
        (folder / "text").mkdir()
        (folder / "text" / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")

    return make_once(tmp_path_factory, "text", make) / "text"


@pytest.fixture(scope="session")
def small(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the user's own text."""

    def make(folder: Path) -> None:
        done = polylect("run", "lifecycle", "--text", text, "--out", folder / "run", *TINY)
        assert done.returncode == 0, done.stderr

    return make_once(tmp_path_factory, "small", make) / "run"


@pytest.fixture(autouse=True)
def announced(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test: its recipes announced exactly the steps that they ran."""
    yield
    folders = [tmp_path]
    folders += [request.getfixturevalue(name) for name in ("tiny", "whole")
                if name in request.fixturenames]  # fmt: skip
    for log in (log for folder in folders for log in folder.rglob("log.txt")):
        if (log.parent / "run.json").is_file():
            lines = [line for line in log.read_text("utf-8").splitlines() if "announced" in line]
            assert lines == []
