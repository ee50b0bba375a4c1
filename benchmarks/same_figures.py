"""No figure changes: one small artifact of every kind, made twice and compared.

    python benchmarks/same_figures.py make --src src --out DIR [--names after] [--only NAME ...]
    python benchmarks/same_figures.py compare BEFORE AFTER [--names MAP.toml] [--only NAME ...]
    python benchmarks/same_figures.py list

``make`` runs every job of ``same_figures_jobs.py`` with the code in ``--src``, in child processes;
``--names after`` types the new names. About eight CPU minutes. ``compare`` holds what two makes
wrote against each other, kind by kind: tensors, rows, JSON, the numbers of pages and of standard
output. What was made before is brought onto the new names by the map; what is left out of the
comparison is listed in ``same_figures_kinds.py`` with the reason. Exit code 1 where a figure
differs, or a job ended otherwise than it should.

Where tests/fixtures or tests/golden change between two makes, the inputs do: ``compare`` says so.
"""

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from same_figures_compare import ABOUT, compare
from same_figures_inputs import write_inputs
from same_figures_jobs import JOBS, Job
from same_figures_models import serving
from same_figures_names import MAP, Names

CODES = "codes.json"
_SECONDS = 900
_STEP = re.compile(r"@([\w-]+):([\w.-]+)")
_UNSET = ("POLYLECT_DATA", "POLYLECT_API_KEY", "POLYLECT_COMET", "POLYLECT_COMET_MODEL")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make", help="make one artifact of every kind")
    making.add_argument("--src", type=Path, required=True, help="the src folder of a checkout")
    making.add_argument("--out", type=Path, required=True)
    making.add_argument("--names", choices=("before", "after"), default="before")
    making.add_argument("--map", type=Path, default=MAP, help="what --names after reads")
    making.add_argument("--only", nargs="+", default=["*"], help="names of jobs, or patterns")
    comparing = commands.add_parser("compare", help="compare what two makes wrote")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    comparing.add_argument("--names", type=Path, help="map of old names to new ones")
    comparing.add_argument("--only", nargs="+", default=["*"], help="names of jobs, or patterns")
    commands.add_parser("list", help="list the jobs")
    options = parser.parse_args()
    if options.command == "list":
        print("\n".join(f"{job.name:<24}{job.before}" for job in JOBS))
        return 0
    if options.command == "compare":
        names = Names.read(options.names)
        return compare(options.before, options.after, names, options.only)
    names = Names.read(options.map) if options.names == "after" else None
    return make(options.src, options.out, names, options.only)


def make(src: Path, out: Path, names: Names | None, only: Sequence[str]) -> int:
    """Exit code of making, in old names or by a map in new ones: 0 where no job failed."""
    chosen = [job for job in JOBS if any(fnmatch(job.name, pattern) for pattern in only)]
    if not chosen:
        raise SystemExit(f"no job is called {' '.join(only)}; see: same_figures.py list")
    environment = _environment(src)
    for name in ("made", "said") if len(chosen) == len(JOBS) else ():
        shutil.rmtree(out / name, ignore_errors=True)
    write_inputs(out / "inputs", names.inputs if names else {})
    for name in ("made", "said"):
        (out / name).mkdir(exist_ok=True)
    homes = [str(out.resolve()), str(src.resolve())]
    (out / ABOUT).write_text(json.dumps({"homes": homes}) + "\n", "utf-8")
    codes, failed = _codes(out), []
    with serving() as address:
        maker = Maker(out, names, environment, address)
        for job in chosen:
            before = _cpu_seconds()
            code = maker.run(job)
            codes[job.name] = "any" if job.may_fail else code
            (out / CODES).write_text(json.dumps(codes, indent=1) + "\n", "utf-8")
            end = f"  exit code {code}, see said/{job.name}.err" if code else ""
            failed += [job.name] if code and not job.may_fail else []
            print(f"{job.name:<24}{_cpu_seconds() - before:7.1f} s{end}", flush=True)
    print(f"{len(chosen)} jobs, {len(failed)} failed; {_cpu_seconds():.0f} CPU seconds")
    return 1 if failed else 0


def _environment(src: Path) -> dict[str, str]:
    """That of the child processes, after a look at which polylect they import."""
    kept = {name: text for name, text in os.environ.items() if name not in _UNSET}
    environment = kept | {
        "PYTHONPATH": str(src.resolve()), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1",
        "COLUMNS": "100", "LC_ALL": "C.UTF-8",
    }  # fmt: skip
    code = "import polylect; print(polylect.__file__)"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True,
                          text=True, check=False)  # fmt: skip
    if not done.stdout.startswith(str(src.resolve())):
        raise SystemExit(f"{src}: polylect is not imported from there: {done.stdout}{done.stderr}")
    print(f"polylect is {done.stdout.strip()}")
    return environment


@dataclass(frozen=True)
class Maker:
    """Runs jobs in a folder.

    Attributes:
        out: the folder.
        names: what brings the words into new spelling; None leaves the old.
        environment: of the child processes.
        address: of the planted server.
    """

    out: Path
    names: Names | None
    environment: Mapping[str, str]
    address: str

    def run(self, job: Job) -> int:
        """The exit code of a job; what it says goes below ``said``."""
        shutil.rmtree(self.out / "made" / job.name, ignore_errors=True)
        with (
            open(self.out / "said" / f"{job.name}.out", "wb") as heard,
            open(self.out / "said" / f"{job.name}.err", "wb") as complaints,
        ):
            try:
                call = [sys.executable, "-m", "polylect", *self.words(job)]
                return subprocess.run(
                    call, cwd=self.out, env=self.environment, stdout=heard, stderr=complaints,
                    timeout=_SECONDS, check=False,
                ).returncode  # fmt: skip
            except (FileNotFoundError, subprocess.TimeoutExpired) as error:
                complaints.write(f"{error}\n".encode())
                return -1

    def words(self, job: Job) -> list[str]:
        """The command line of a job, in old spelling or in new.

        Raises:
            FileNotFoundError: the step of another job that it begins with is not there.
        """
        words = job.before.split()
        if self.names is not None:
            words = job.after.split() if job.after else self.names.command(words)
        places = {"{out}": f"made/{job.name}", "{server}": self.address}
        for place, text in places.items():
            words = [word.replace(place, text) for word in words]
        return [_STEP.sub(self._step, word) for word in words]

    def _step(self, named: re.Match[str]) -> str:
        """The folder of a step in another job's run."""
        job, label = named.groups()
        label = self.names.label(label) if self.names else label
        steps = self.out / "made" / job / "steps"
        folders = sorted(steps.glob(f"{label}-" + 12 * "[0-9a-f]"))
        if not folders:
            raise FileNotFoundError(f"no step {label} in made/{job}")
        return folders[0].relative_to(self.out).as_posix()


def _codes(out: Path) -> dict[str, int | str]:
    """The exit codes of an earlier make into the folder."""
    return json.loads((out / CODES).read_text("utf-8")) if (out / CODES).is_file() else {}


def _cpu_seconds() -> float:
    """Of all child processes so far."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


if __name__ == "__main__":
    sys.exit(main())
