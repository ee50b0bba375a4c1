"""Ways to learn from people who disagree, at four levels of disagreement: the studies of issue 19.

    python benchmarks/people_study.py                 all, into runs/people
    python benchmarks/people_study.py persona pandalm some
    python benchmarks/people_study.py --table         what those that are done say

Real texts from ../shared/data (see its README): `persona`, six traits, twelve users on both poles,
60 pairs a trait; `persona-uneven`, three users on one pole and one on the other, 25 pairs a trait;
`persona-minority`, one trait, 45 users on a pole and 5 on the other, 100 pairs each, a tenth of the
labels flipped; `mlqe-pe`, three annotators who prefer the segment they scored higher, 1,000 pairs
each; `pandalm`, three annotators. Five seeds, all methods, split by response, hashed n-grams, one
thread; vpl and gpo with 200 steps of 4 users, not 800 of 16; new users in `persona` and
`persona-minority` alone. `persona-safety`, six methods: 40 pairs a trait, and each of the twelve
users labels 100 further pairs of hh-harmless-test, harmless over harmful.
The general set is hh-harmless-test: the first 400 pairs, as rows of preferences called `safety`.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "shared" / "data"
OUT = Path("runs") / "people"
NAMES = ("persona", "persona-uneven", "persona-minority", "mlqe-pe", "pandalm",
         "persona-safety")  # fmt: skip
ADAPTED = ("persona", "persona-minority")
QUICK = tuple(f"{method}.{name}" for method in ("gpo", "vpl")
              for name in ("num_steps=200", "users_per_step=4"))  # fmt: skip
TRAIT, MLQE_PAIRS, GENERAL = "agreeableness", 1000, 400
PAIRS = {"persona": 60, "persona-uneven": 25, "persona-safety": 40}
SAFE = 100
PLAIN = ("individual", "shrinkage", "personalized", "matching", "kernel")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", default=list(NAMES))
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("POLYLECT_SHARED", DATA)))
    options = parser.parse_args()
    if not options.table:
        for name in options.names:
            study(name, options.data, options.seeds)
    table([name for name in NAMES if (OUT / name / "people.json").is_file()])


def study(name: str, data: Path, seeds: int) -> None:
    if not data.is_dir():
        print(f"skipped {name}: no data in {data}")
        return
    OUT.mkdir(parents=True, exist_ok=True)
    general = write_general(data)
    file, words = write_rows(name, data)
    words += [] if name in ADAPTED else ["--left-out", "0"]
    words += [] if "--methods" in words else ["--settings", *QUICK]
    command = [sys.executable, "-c", "import sys; from polylect.cli import main; sys.exit(main("
               "sys.argv[1:]))", "people", "study", str(file), *words, "--general", str(general),
               "--seeds", str(seeds), "--out", str(OUT / name)]  # fmt: skip
    started = time.monotonic()
    child = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    print(f"{name}: exit {os.waitstatus_to_exitcode(status)}, {usage.ru_utime + usage.ru_stime:.0f}"
          f" CPU s, {time.monotonic() - started:.0f} s, {usage.ru_maxrss / 1024:.0f} MiB",
          flush=True)  # fmt: skip


def environment() -> dict[str, str]:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return os.environ | dict.fromkeys(names, "1") | {"PYTHONPATH": str(HERE.parent / "src")}


def write_general(data: Path) -> Path:
    """The first pairs of hh-harmless-test, as a general set."""
    path = OUT / "safety.jsonl"
    rows = harmless_rows(data)[:GENERAL]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def harmless_rows(data: Path) -> list[dict]:
    """The pairs of hh-harmless-test that differ in the last answer."""
    text = gzip.decompress((data / "hh-harmless-test" / "test.jsonl.gz").read_bytes())
    rows = []
    for line in text.decode("utf-8").splitlines():
        row = json.loads(line)
        prompt, _, chosen = row["chosen"].rpartition("\n\nAssistant:")
        _, _, rejected = row["rejected"].rpartition("\n\nAssistant:")
        if chosen.strip() and rejected.strip() and chosen.strip() != rejected.strip():
            rows.append({"prompt": prompt.strip(), "chosen": chosen.strip(),
                         "rejected": rejected.strip(), "language": "en"})  # fmt: skip
    return rows


def write_rows(name: str, data: Path) -> tuple[Path, list[str]]:
    """The file of a study and the words that say how it is read."""
    if name == "pandalm":
        return next((data / "pandalm").glob("*.json")), ["--schema", "pandalm"]
    if name == "mlqe-pe":
        file = next((data / "mlqe-pe").rglob("en-de*dev*.tar.gz"))
        return file, ["--schema", "mlqe-pe", "--max-pairs", str(MLQE_PAIRS)]
    path = OUT / f"{name}.jsonl"
    words = ["--methods", *PLAIN] if name == "persona-safety" else []
    rows = minority_rows(data) if name == "persona-minority" else persona_rows(name, data)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path, words


def persona_rows(name: str, data: Path) -> list[dict]:
    from polylect.people import persona_crowd

    crowd = persona_crowd(
        data / "persona", num_pairs=PAIRS[name], is_uneven=name.endswith("uneven")
    )
    pairs = zip(crowd.user.tolist(), crowd.chosen.tolist(), crowd.rejected.tolist(), strict=True)
    rows = [row(crowd.users[user], crowd.texts[a].response, crowd.texts[b].response)
            for user, a, b in pairs]  # fmt: skip
    if name == "persona-safety":
        harmless = harmless_rows(data)[GENERAL:]
        for number, user in enumerate(crowd.users):
            part = harmless[number * SAFE : (number + 1) * SAFE]
            rows += [{**pair, "user": user} for pair in part]
    return rows


def minority_rows(data: Path) -> list[dict]:
    """45 users on the high pole of a trait, 5 on the low, who label some of the same pairs."""
    import numpy as np

    from polylect.people import persona_crowd

    crowd = persona_crowd(data / "persona", (TRAIT,), num_pairs=400, num_repeated=0)
    high = crowd.take(crowd.pairs_of(crowd.users.index(f"{TRAIT} high")))
    draw = np.random.default_rng(19)
    rows = []
    for user in range(50):
        for i in np.sort(draw.permutation(high.num_pairs)[:100]).tolist():
            sides = [high.texts[side].response for side in (high.chosen[i], high.rejected[i])]
            is_turned = (user < 5) ^ (draw.random() < 0.1)
            rows.append(row(f"user {user:02}", *(sides[::-1] if is_turned else sides)))
    return rows


def row(user: str, chosen: str, rejected: str) -> dict:
    return {"user": user, "prompt": "", "chosen": chosen, "rejected": rejected, "language": "en"}


def table(names: list[str]) -> None:
    """A row per method, of all studies; then what bears on the paper's claims."""
    results = {name: json.loads((OUT / name / "people.json").read_text()) for name in names}
    macro = {name: {row["method"]: row for row in result["facets"] if row["name"] == "macro"}
             for name, result in results.items()}  # fmt: skip
    against = {name: {row["second"]: row["verdict"] for row in result["against_pooled"]}
               for name, result in results.items()}  # fmt: skip
    methods = list(dict.fromkeys(method for rows in macro.values() for method in rows))
    print("\n| method | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    mark = {"better": " ↑", "worse": " ↓"}
    for method in methods:
        cells = [
            f"{100 * macro[name][method]['value']:.1f}"
            + mark.get(against[name].get(method, ""), "")
            if method in macro[name] else "–"
            for name in names
        ]  # fmt: skip
        print(f"| {method} | " + " | ".join(cells) + " |")
    room_and_gain(results)
    for name, result in results.items():
        claims(name, result)


def room_and_gain(results: dict) -> None:
    """Measured room beside what the methods gain, and their rank correlation."""
    from polylect.stats import rank_correlation

    rows = []
    for name, result in results.items():
        value = {row["method"]: row["value"] for row in result["facets"] if row["name"] == "macro"}
        gain = max(value.values()) - value["pooled"]
        rows.append((name, result["spread"]["room"], gain, result["spread"]["difference"]))
    print("\n| study | room | best over pooled | best over worst |\n|---|---|---|---|")
    for name, room, gain, spread in rows:
        said = "–" if room is None else f"{100 * room:.1f}"
        print(f"| {name} | {said} | {100 * gain:.1f} | {100 * spread:.1f} |")
    rooms = [float("nan") if row[1] is None else row[1] for row in rows]
    print(f"room and gain: {rank_correlation(rooms, [row[2] for row in rows])}")


def claims(name: str, result: dict) -> None:
    facets = {(row["method"], row["name"]): row for row in result["facets"]}
    spread, adapted = result["spread"], result["adaptation"]
    data = {row["name"]: row["value"] for row in result["data"]}
    print(f"\n{name}: users {result['users']}, preferences {result['preferences']},"
          f" divergence {data['divergence']}, consistency {data['consistency']},"
          f" room {spread['room']}")  # fmt: skip
    print(f"  spread {100 * spread['difference']:.1f} points, {spread['best']} over"
          f" {spread['worst']}: {spread['verdict']} (p {spread['p']})")  # fmt: skip
    for method in ("pooled", "individual", "shrinkage", "personalized", "kernel", "gpo"):
        shown = {}
        for figure in ("with the majority", "against the majority", "worst user", "minority",
                       "protection ratio"):  # fmt: skip
            value = facets.get((method, figure), {}).get("value")
            shown[figure] = None if value is None else round(value, 3)
        print(f"  {method}: {shown}")
    print(f"  new users, pairs {adapted['pairs']} (users {adapted['users']})")
    for method, values in adapted["accuracy"].items():
        means = [None if value is None else round(value, 3) for value in values]
        print(f"    {method}: {means}, 95 % at {adapted['needed_for_95_percent'][method]}")
    print(f"  individual overtakes pooled at {adapted['individual_overtakes_pooled']}")
    for tax in result["tax"]:
        if tax["against"] == "pooled":
            print(f"  tax {tax['method']}: mean {100 * tax['mean']:+.1f}, worst"
                  f" {100 * tax['worst']:+.1f}, accuracy {100 * tax['accuracy']:.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
