"""Learning from 300 users who disagree: CPU seconds, memory and accuracy of every method.

    python benchmarks/people.py                 every method, each in a process of its own
    python benchmarks/people.py --only vpl gpo  some
    python benchmarks/people.py --sklearn       linear heads beside scikit-learn's

The data are made from a seed: 100 texts and 40 more that no training pair holds, as vectors of
width 384 whose directions differ in size as those of a sentence encoder do; 300 users, 100 training
pairs each, 10 % of the labels flipped. A user's taste is a common one, plus one in five directions,
plus a little in all. "CPU s" is the operating system's for the whole process, with imports (about
1 s, with torch 3 s); "fit s" the CPU time of the fit alone; "adapt ms" the CPU time of adding one
user with 100 pairs, the median of five; accuracy is on true preferences, between texts of training
and between the others. BLAS and torch have one thread. scikit-learn is installed into an
environment of its own below benchmarks/.envs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
ENVS = HERE / ".envs"
SEED = 20250226
USERS, TEXTS, MORE, PAIRS, WIDTH = 300, 100, 40, 100, 384


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="METHOD")
    parser.add_argument("--sklearn", action="store_true")
    parser.add_argument("--run", metavar="METHOD", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(run(options.run)))
    elif options.sklearn:
        beside_sklearn()
    else:
        from polylect.people import METHODS

        compare(options.only or list(METHODS))


def compare(names: list[str]) -> None:
    print(f"{'method':<14}{'CPU s':>8}{'fit s':>8}{'peak MiB':>10}{'adapt ms':>10}"
          f"{'seen':>8}{'others':>8}")  # fmt: skip
    total, peak = 0.0, 0.0
    for name in names:
        with tempfile.TemporaryFile("w+") as output:
            command = [sys.executable, __file__, "--run", name]
            child = subprocess.Popen(command, stdout=output, env=environment())
            _, status, usage = os.wait4(child.pid, 0)
            output.seek(0)
            lines = output.read().splitlines()
        if status:
            print(f"{name:<14}failed")
            continue
        cpu, mib = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
        total, peak, row = total + cpu, max(peak, mib), json.loads(lines[-1])
        print(f"{name:<14}{cpu:>8.1f}{row['fit']:>8.1f}{mib:>10.0f}{row['adapt']:>10.1f}"
              f"{row['seen']:>8.3f}{row['others']:>8.3f}", flush=True)  # fmt: skip
    print(f"{'together':<14}{total:>8.1f}{'':>8}{peak:>10.0f}")


def environment() -> dict[str, str]:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return os.environ | dict.fromkeys(names, "1") | {"PYTHONPATH": str(HERE.parent / "src")}


def make_data():
    """Crowd, all texts as they are seen, and the true scores [texts, users]."""
    from polylect.people import Crowd, Seen, Text

    draw = np.random.default_rng(SEED)
    num = TEXTS + MORE
    vectors = draw.normal(size=(num, WIDTH)) * (1 + np.arange(WIDTH)) ** -0.5
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    common, basis = draw.normal(size=(WIDTH, 1)), draw.normal(size=(WIDTH, 5))
    own = draw.normal(size=(WIDTH, USERS))
    scores = vectors @ (common + basis @ draw.normal(size=(5, USERS)) * 0.7 + 0.5 * own)
    user = np.repeat(np.arange(USERS), PAIRS)
    a = draw.integers(TEXTS, size=len(user))
    b = (a + draw.integers(1, TEXTS, size=len(user))) % TEXTS
    wins = (scores[a, user] > scores[b, user]) ^ (draw.random(len(user)) < 0.1)
    texts = tuple(Text((), f"text {i}", "en") for i in range(num))
    crowd = Crowd(
        tuple(f"user {i:03}" for i in range(USERS)), texts, np.arange(num, dtype=np.int32),
        user.astype(np.int32), np.where(wins, a, b).astype(np.int32),
        np.where(wins, b, a).astype(np.int32),
    )  # fmt: skip
    return crowd, Seen(texts, vectors), scores


def run(name: str) -> dict:
    from polylect.people import find_method

    crowd, seen, scores = make_data()
    started = time.process_time()
    model = find_method(name).fit(crowd, seen)
    fit = time.process_time() - started
    times = []
    for user in range(5):
        pairs = crowd.take(crowd.pairs_of(user))
        started = time.process_time()
        model.adapt("newcomer", pairs, seen)
        times.append(1000 * (time.process_time() - started))
    fitted = np.stack([model.score(user, seen) for user in crowd.users], axis=1)
    return {
        "fit": fit, "adapt": float(np.median(times)),
        "seen": accuracy(scores[:TEXTS], fitted[:TEXTS]),
        "others": accuracy(scores[TEXTS:], fitted[TEXTS:]),
    }  # fmt: skip


def accuracy(scores: np.ndarray, fitted: np.ndarray) -> float:
    draw = np.random.default_rng(SEED)
    a = draw.integers(len(scores), size=500)
    b = (a + draw.integers(1, len(scores), size=500)) % len(scores)
    return float(np.mean((scores[a] > scores[b]) == (fitted[a] > fitted[b])))


SKLEARN = """
import sys
import numpy as np
from sklearn.linear_model import LogisticRegression
data = np.load(sys.argv[1])
weights = []
for user in [-1, *range(5)]:
    x = data["differences"][(data["user"] == user) | (user < 0)]
    signs = np.where(np.arange(len(x)) % 2, 1.0, -1.0)  # it wants both classes
    fit = LogisticRegression(C=1 / float(data["precision"]), fit_intercept=False,
                             solver="newton-cholesky" if user < 0 else "lbfgs",
                             tol=1e-12, max_iter=100000)
    weights.append(fit.fit(x * signs[:, None], signs > 0).coef_[0])
np.save(sys.argv[2], np.stack(weights))
"""


def beside_sklearn() -> None:
    """The largest difference of the scores of all texts: the pooled head, and five users' heads."""
    from polylect.people import find_method

    python = ENVS / "sklearn" / "bin" / "python"
    if not python.is_file():
        venv.create(ENVS / "sklearn", with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "scikit-learn"], check=True)
    crowd, seen, _ = make_data()
    vectors = seen.vectors.astype(np.float64)
    model = find_method("individual").fit(crowd, seen)
    with tempfile.TemporaryDirectory() as folder:
        data, out = Path(folder, "data.npz"), Path(folder, "out.npy")
        np.savez(data, differences=vectors[crowd.chosen] - vectors[crowd.rejected],
                 user=crowd.user, precision=model.shared["precision"][0])  # fmt: skip
        subprocess.run([python, "-c", SKLEARN, data, out], check=True, env=environment())
        theirs = vectors @ np.load(out).T
    for i, user in enumerate(["nobody (pooled)", *crowd.users[:5]]):
        gap = np.abs(model.score(user, seen) - theirs[:, i]).max()
        print(f"{user:<18}largest difference of a score {gap:.1e}")


if __name__ == "__main__":
    main()
