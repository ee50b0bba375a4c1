"""Ranking a million battles: ours and each peer in turn, each in an environment of its own.

    python benchmarks/rank.py                 all tasks, all contestants
    python benchmarks/rank.py --only ours     one contestant
    python benchmarks/rank.py --limit 120     CPU seconds after which a run counts as not finished

Environments and data are made once under benchmarks/.envs (ignored by git). Every run is a process
of its own; its CPU seconds (with its children) and its peak memory are the operating system's. BLAS
has one thread in all of them. "phase" figures leave out importing and loading; "command" figures
are whole processes.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENVS = HERE / ".envs"
DATA = ENVS / "rank-data"
SOURCE = HERE.parent / "src"
PEERS = {"arena-rank": "arena-rank==0.1.1", "evalica": "evalica==0.4.2"}
TASKS = ("fit", "bootstrap", "refit", "style", "recovery")
SEED = 20250429


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", choices=["ours", *PEERS])
    parser.add_argument("--limit", type=int, default=240)
    parser.add_argument("--run", nargs=2, metavar=("WHO", "TASK"), help=argparse.SUPPRESS)
    parser.add_argument("--make", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        make_data()
    elif options.run:
        who, task = options.run
        print(json.dumps(RUNNERS[who](task)))
    else:
        compare([options.only] if options.only else ["ours", *PEERS], options.limit)


def compare(contestants: list[str], limit: int) -> None:
    if not (DATA / "done").is_file():
        subprocess.run([sys.executable, __file__, "--make"], check=True, env=environment())
    print(f"{'contestant':<12}{'task':<26}{'CPU s':>8}{'wall s':>8}{'peak MiB':>10}  note")
    for who in contestants:
        python = sys.executable if who == "ours" else peer_python(who)
        for task in TASKS:
            line, used = measured([python, __file__, "--run", who, task], limit)
            result = json.loads(line) if line else {"note": f"not finished in {limit} CPU s"}
            phase = result.get("cpu", used["cpu"])
            if phase is not None:
                show(who, "phase " + task, phase, result.get("wall", used["wall"]), used, result)
        if who == "ours":
            for size in ("1m", "10m"):
                with tempfile.TemporaryDirectory() as out:
                    command = [python, "-c", COMMAND, str(DATA / f"{size}.parquet"), "--out", out]
                    for extra in ([], ["--bootstrap", "100"]):
                        _, used = measured([*command, *extra], limit)
                        name = f"command {size} {' '.join(extra)}"
                        show(who, name, used["cpu"], used["wall"], used, {})


COMMAND = "import sys; from polylect.cli import main; sys.exit(main(['rank', *sys.argv[1:]]))"


def show(who: str, task: str, cpu: float, wall: float, used: dict, result: dict) -> None:
    note = result.get("note", "")
    print(f"{who:<12}{task:<26}{cpu:>8.2f}{wall:>8.2f}{used['mib']:>10.0f}  {note}", flush=True)


def measured(command: list[str], limit: int) -> tuple[str, dict]:
    """Last line of the output, or empty when it was stopped; CPU, wall and peak memory."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        child = subprocess.Popen(
            command, stdout=output, env=environment(), start_new_session=True, stderr=sys.stderr
        )
        deadline, done, status, usage = started + 3 * limit, 0, 0, None
        while not done:
            done, status, usage = os.wait4(child.pid, os.WNOHANG)
            if not done:
                time.sleep(0.05)
                if time.perf_counter() > deadline or cpu_of(child.pid) > limit:
                    os.killpg(child.pid, signal.SIGKILL)
        output.seek(0)
        lines = output.read().splitlines()
    used = {
        "cpu": usage.ru_utime + usage.ru_stime,
        "wall": time.perf_counter() - started,
        "mib": usage.ru_maxrss / 1024,
    }
    return (lines[-1] if status == 0 and lines else ""), used


def cpu_of(pid: int) -> float:
    try:
        parts = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return sum(map(int, parts[11:15])) / os.sysconf("SC_CLK_TCK")


def environment() -> dict[str, str]:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    return os.environ | dict.fromkeys(names, "1") | {"PYTHONPATH": str(SOURCE), "XLA_FLAGS": flags}


def peer_python(name: str) -> str:
    """The interpreter of the peer's own environment, made when it is not there."""
    folder = ENVS / name
    python = folder / "bin" / "python"
    if not python.is_file():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", PEERS[name], "pyarrow"], check=True)
    return str(python)


def make_data() -> None:
    """A million and ten million battles of 150 models; a million with four style features."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    DATA.mkdir(parents=True, exist_ok=True)
    num = 150
    for size in (1_000_000, 10_000_000):
        rng = np.random.default_rng(SEED)
        strength = rng.normal(0, 0.6, num)
        weight = np.exp(rng.normal(0, 1, num))
        a = rng.choice(num, size, p=weight / weight.sum())
        b = rng.choice(num, size, p=weight / weight.sum())
        while (same := a == b).any():
            b[same] = rng.choice(num, same.sum(), p=weight / weight.sum())
        win = 1 / (1 + np.exp(strength[b] - strength[a]))
        tie = 0.6 * np.minimum(win, 1 - win)
        draw = rng.random(size)
        outcome = np.where(draw < tie, 2 + (draw < tie / 2), np.where(draw < tie / 2 + win, 0, 1))
        names = pa.array([f"model-{i:03}" for i in range(num)])
        verdicts = pa.array(["A", "B", "TIE", "BOTH_BAD"])
        winners = pa.array(["model_a", "model_b", "tie", "both_bad"])

        def text(codes, values):
            codes = pa.array(codes.astype(np.int32))
            return pa.DictionaryArray.from_arrays(codes, values).cast(pa.string())

        columns = {"model_a": text(a, names), "model_b": text(b, names)}
        table = pa.table(columns | {"verdict": text(outcome, verdicts)})
        label = "1m" if size == 1_000_000 else "10m"
        pq.write_table(table, DATA / f"{label}.parquet")
        if label == "1m":
            styles = rng.normal(0, 1, (num, 4))
            features = {}
            for k in range(4):
                for side, models in (("a", a), ("b", b)):
                    features[f"s{k}_{side}"] = np.exp(styles[models, k] + rng.normal(0, 1, size))
            for k in range(4):
                left, right = features[f"s{k}_a"], features[f"s{k}_b"]
                features[f"s{k}"] = (left - right) / (left + right)
            columns |= {"winner": text(outcome, winners)} | features
            pq.write_table(pa.table(columns), DATA / "1m-peers.parquet")
            del columns["winner"]
            pq.write_table(
                pa.table(columns | {"verdict": text(outcome, verdicts)}), DATA / "1m-style.parquet"
            )
    make_planted()
    (DATA / "done").write_text("")


def make_planted() -> None:
    """200,000 votes of 30 models whose style goes with them; its coefficient is 0.25."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(SEED)
    num, size = 30, 200_000
    strength, style_of = rng.normal(0, 0.5, num), rng.normal(0, 1, num)
    a = rng.integers(0, num, size)
    b = (a + rng.integers(1, num, size)) % num
    style = style_of[a] - style_of[b] + rng.normal(0, 1, size)
    # Zero mean and unit variance, so that every convention has the same coefficient.
    style = (style - style.mean()) / style.std()
    win = 1 / (1 + np.exp(-(strength[a] - strength[b] + 0.25 * style)))
    tie = 0.6 * np.minimum(win, 1 - win)
    draw = rng.random(size)
    outcome = np.where(draw < tie, 2, np.where(draw < tie / 2 + win, 0, 1))
    names = np.array([f"model-{i:02}" for i in range(num)])
    columns = {"model_a": names[a], "model_b": names[b], "s": style}
    columns["winner"] = np.array(["model_a", "model_b", "tie"])[outcome]
    pq.write_table(pa.table(columns), DATA / "planted.parquet")
    truth = (strength - strength.mean()) * 400 / np.log(10)
    (DATA / "planted.json").write_text(
        json.dumps({"elo": truth.tolist(), "own": style_of.tolist()})
    )


def recovery(coefficient: float, elo: object, clock: "Clock") -> dict:
    import numpy as np

    planted = json.loads((DATA / "planted.json").read_text())
    error = np.asarray(elo) - np.mean(np.asarray(elo)) - planted["elo"]
    note = (
        f"coefficient {coefficient:.4f} of 0.25; rating RMSE {np.sqrt(np.mean(error**2)):.1f} Elo"
    )
    note += f", correlation with style {np.corrcoef(error, planted['own'])[0, 1]:.2f}"
    return clock.read(note=note)


class Clock:
    """CPU of this process and its children, and wall time, from one moment to another."""

    def __init__(self) -> None:
        self._cpu, self._wall = self._now(), time.perf_counter()

    def read(self, **more: object) -> dict:
        return {"cpu": self._now() - self._cpu, "wall": time.perf_counter() - self._wall, **more}

    @staticmethod
    def _now() -> float:
        usages = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def run_ours(task: str) -> dict:
    import numpy as np
    import scipy.linalg
    import scipy.sparse.csgraph
    import scipy.special  # noqa: F401

    from polylect import ranking as rank

    if task == "style":
        names = [f"s{k}" for k in range(4)]
        table = rank.read_votes(DATA / "1m-style.parquet", features=names)
        clock = Clock()
        ratings = rank.fit_contextual(table, names)
        return clock.read(note=f"4 coefficients, sandwich, gradient {ratings.gradient_norm:.0e}")
    if task == "recovery":
        table = planted_votes()
        clock = Clock()
        ratings = rank.fit_contextual(table, ["s"])
        return recovery(ratings.parameters[0].value, ratings.elo, clock)
    table = rank.read_votes(DATA / "1m.parquet")
    if task == "refit":
        counts = table.counts()
        start = rank.fit_bradley_terry(counts).strength
        rng = np.random.default_rng(0)
        rows = rng.integers(0, len(table), 1000)
        times = []
        for _ in range(20):
            clock = Clock()
            new = rank.PairCounts.from_cells(
                table.models, table.a[rows], table.b[rows], table.outcome[rows]
            )
            rank.fit_bradley_terry(counts.merged(new), start=start)
            times.append(clock.read())
        middle = sorted(times, key=lambda timing: timing["cpu"])[10]
        note = f"1,000 new votes, with sandwich: {1000 * middle['cpu']:.1f} ms, median of 20"
        return middle | {"note": note}
    clock = Clock()
    counts = table.counts()
    ratings = rank.fit_bradley_terry(counts)
    if task == "bootstrap":
        rank.bootstrap(counts, ratings, 100, seed=0)
        return clock.read(note="counts, fit, sandwich, 100 bootstraps")
    return clock.read(note=f"counts, fit, sandwich; gradient {ratings.gradient_norm:.0e}")


def planted_votes() -> object:
    import numpy as np
    import pyarrow.parquet as pq

    from polylect import ranking as rank

    # The feature is given as a difference already.
    file = DATA / "planted.parquet"
    table = rank.read_votes(file, numbers=["s"])
    assert np.array_equal(table.numbers["s"], pq.read_table(file)["s"].to_numpy())
    return table


def run_arena_rank(task: str) -> dict:
    if task == "refit":
        return {"cpu": None}
    import pandas as pd
    from arena_rank.models.bradley_terry import BradleyTerry
    from arena_rank.models.contextual_bradley_terry import ContextualBradleyTerry
    from arena_rank.utils.data_utils import ContextualPairDataset, PairDataset

    if task == "style":
        names = [f"s{k}" for k in range(4)]
        frame = pd.read_parquet(
            DATA / "1m-peers.parquet", columns=["model_a", "model_b", "winner", *names]
        )
        clock = Clock()
        data = ContextualPairDataset.from_pandas(frame, names, reweighted=False)
        model = ContextualBradleyTerry(data.n_competitors, data.n_features)
        model.compute_ratings_and_cis(data)
        return clock.read(note="4 features, sandwich, default penalty")
    if task == "recovery":
        frame = pd.read_parquet(DATA / "planted.parquet")
        clock = Clock()
        data = ContextualPairDataset.from_pandas(frame, ["s"], reweighted=False)
        model = ContextualBradleyTerry(data.n_competitors, data.n_features)
        result = model.compute_ratings_and_cis(data)
        return recovery(float(model.params["coeffs"][0]), result["ratings"], clock)
    frame = pd.read_parquet(DATA / "1m-peers.parquet", columns=["model_a", "model_b", "winner"])
    clock = Clock()
    data = PairDataset.from_pandas(frame)
    model = BradleyTerry(data.n_competitors)
    if task == "bootstrap":
        model.compute_ratings_and_cis(data, ci_method="bootstrap", num_bootstrap=100)
        return clock.read(note="100 bootstraps")
    model.compute_ratings_and_cis(data)
    return clock.read(note="fit, sandwich")


def run_evalica(task: str) -> dict:
    if task in {"refit", "style", "recovery"}:
        return {"cpu": None}
    import evalica
    import pandas as pd

    frame = pd.read_parquet(DATA / "1m-peers.parquet", columns=["model_a", "model_b", "winner"])
    names = {
        "model_a": evalica.Winner.X,
        "model_b": evalica.Winner.Y,
        "tie": evalica.Winner.Draw,
        "both_bad": evalica.Winner.Draw,
    }
    sides = (
        frame["model_a"].tolist(),
        frame["model_b"].tolist(),
        frame["winner"].map(names).tolist(),
    )
    clock = Clock()
    if task == "bootstrap":
        evalica.bootstrap(
            evalica.bradley_terry, *sides, n_resamples=10, bootstrap_method="percentile"
        )
        result = clock.read()
        note = f"10 bootstraps; 100 would take about {10 * result['cpu']:.0f}"
        return result | {"note": note}
    evalica.bradley_terry(*sides)
    return clock.read(note="fit only, tolerance 1e-6, from lists")


RUNNERS = {"ours": run_ours, "arena-rank": run_arena_rank, "evalica": run_evalica}

if __name__ == "__main__":
    main()
