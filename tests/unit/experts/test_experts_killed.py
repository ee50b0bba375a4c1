"""Operations that are killed at moments spread over them go on, and give the same bytes."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from expert_models import write_data, write_model
from expert_runs import run

from polylect.base import InputError, file_digests
from polylect.checkpoints import Checkpoint, ShardWriter
from polylect.runs import NOT_CONTENT

SCRIPT = """
import os, signal, sys, time
from pathlib import Path
from polylect.checkpoints import ShardWriter
from polylect.experts import engine
import polylect.runs.folders as folder
sys.path.insert(0, sys.argv[4])
from expert_runs import run

moment, root, name = sys.argv[1], Path(sys.argv[2]), sys.argv[3]

def die(*args, **options):
    os.kill(os.getpid(), signal.SIGKILL)

write, num_written = ShardWriter.write, 0
def write_some(self, *args):
    global num_written
    time.sleep(0.001)  # time for the journal, which waits for the disk
    write(self, *args)
    num_written += 1
    if moment == str(num_written):
        die()

ShardWriter.write = write_some
if moment == "seal": engine.seal = die
if moment == "rename": folder.os.rename = die
run(name, root, root / "out", journal_bytes=500, num_threads=1)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("killed")
    for number, name in enumerate(("seed", "de", "fr", "ja")):
        write_model(root / name, "llama", number)
    write_data(root)
    run("upcycle", root, root / "moe")
    return root


MOMENTS = [
    *(("upcycle", moment) for moment in ("1", "12", "24", "seal", "rename")),
    *(("extend", moment) for moment in ("12", "24", "seal")),
    ("remove", "24"),
    ("export", "12"),
]


@pytest.mark.parametrize(("name", "moment"), MOMENTS)
@pytest.mark.kill
def test_a_killed_operation_goes_on_and_gives_the_same_bytes(
    made, name, moment, tmp_path, monkeypatch
):
    root = tmp_path / "root"
    root.mkdir()
    for path in made.iterdir():
        os.symlink(path, root / path.name)
    whole = run(name, root, root / "whole")
    support = str(Path(__file__).parents[2] / "support")
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), moment, str(root), name, support]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not (root / "out").exists()
    if moment.isdigit():
        with pytest.raises(InputError, match=r"no config\.json"):
            Checkpoint.open(root / ".out.partial")
    written: list[int] = []
    write = ShardWriter.write

    def counting(self, tensor, start, raw):
        written.append(raw.size)
        write(self, tensor, start, raw)

    monkeypatch.setattr(ShardWriter, "write", counting)
    again = run(name, root, root / "out", journal_bytes=500)
    total = sum(info.end - info.begin for info in again.checkpoint.tensors.values())
    assert (sum(written) < total) == (moment in {"12", "24"})  # else all begins again
    assert again.ledger.to_json() == whole.ledger.to_json()
    files = [file_digests(root / place, leave_out=NOT_CONTENT) for place in ("whole", "out")]
    assert files[0] == files[1]
    again.checkpoint.verify()
