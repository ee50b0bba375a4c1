"""Merging 0.5-billion-parameter checkpoints: mergekit, polylect and the floor, in turn.

    python benchmarks/merge.py --rounds 5              # everything; needs 7 GB of disk
    python benchmarks/merge.py --rounds 1 --methods linear ties
    python benchmarks/merge.py --flat                  # memory: 0.1 to 2 B, 2 to 16 inputs
    python benchmarks/merge.py --turnaround            # a candidate of a search, 0.14 B x 4

mergekit runs in benchmarks/.envs/mergekit, each merge in a process of its own, its outputs removed
between runs. The floor reads all inputs but one with ``cat`` and copies that one. Seconds of
digests (which mergekit does not take) are given apart. Each line: median over the rounds.
"""

import argparse
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from polylect.checkpoints import Checkpoint, ShardWriter, TensorSpec, read_raw, to_bytes

MERGEKIT = Path(__file__).parent / ".envs" / "mergekit" / "bin" / "mergekit-yaml"
HIDDEN, MLP, VOCABULARY = 1024, 4096, 32_000
PIECE = 2**20
WEIGHTS = {"linear": [0.4, 0.3, 0.2, 0.1], "ties": [0.5, 0.3, 0.2], "dare_ties": [0.5, 0.3, 0.2]}


def tensors(num_layers):
    shapes = {"model.embed_tokens.weight": (VOCABULARY, HIDDEN)}
    for number in range(num_layers):
        layer = f"model.layers.{number}."
        for letter in "qkvo":
            shapes[f"{layer}self_attn.{letter}_proj.weight"] = (HIDDEN, HIDDEN)
        for name in ("gate", "up"):
            shapes[f"{layer}mlp.{name}_proj.weight"] = (MLP, HIDDEN)
        shapes[f"{layer}mlp.down_proj.weight"] = (HIDDEN, MLP)
        shapes[f"{layer}input_layernorm.weight"] = (HIDDEN,)
        shapes[f"{layer}post_attention_layernorm.weight"] = (HIDDEN,)
    shapes |= {"model.norm.weight": (HIDDEN,), "lm_head.weight": (VOCABULARY, HIDDEN)}
    return [TensorSpec(name, "BF16", shape) for name, shape in shapes.items()]


def make(root, num_models, num_layers):
    """Checkpoint 0 is random; the others are it plus a tenth of its noise."""
    specs, writers = tensors(num_layers), []
    for number in range(num_models):
        folder = root / f"m{number}"
        folder.mkdir(parents=True)
        config = {
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN,
            "intermediate_size": MLP, "num_hidden_layers": num_layers, "num_attention_heads": 16,
            "num_key_value_heads": 16, "vocab_size": VOCABULARY, "tie_word_embeddings": False,
            "torch_dtype": "bfloat16", "rms_norm_eps": 1e-6, "max_position_embeddings": 2048,
            "hidden_act": "silu",
        }  # fmt: skip
        (folder / "config.json").write_text(json.dumps(config))
        writers.append(ShardWriter(folder, specs, max_shard_bytes=300_000_000))
    for place, spec in enumerate(specs):
        num = int(np.prod(spec.shape))
        for start in range(0, num, PIECE):
            size = min(PIECE, num - start)
            base = _noise([place, start], size) * np.float32(0.02)
            for number, writer in enumerate(writers):
                moved = _noise([place, start, number], size) * np.float32(0.002 * (number > 0))
                writer.write(spec.name, start, to_bytes(base + moved, "BF16"))
    for writer in writers:
        writer.finish()


def _noise(seed, size):
    return np.random.default_rng(seed).standard_normal(size, dtype=np.float32)


def recipe(root, method):
    """mergekit's file, which polylect reads too."""
    lines = [f"merge_method: {method}", "dtype: bfloat16", "models:"]
    if method == "slerp":
        lines += [f"  - {{model: {root}/m{number}}}" for number in (0, 1)]
        lines += [f"base_model: {root}/m0", "parameters: {t: 0.4}"]
    else:
        first = 0 if method == "linear" else 1
        lines += [
            f"  - {{model: {root}/m{number}, parameters: {{weight: {weight}}}}}"
            for number, weight in enumerate(WEIGHTS[method], first)
        ]
        if method != "linear":
            lines += [f"base_model: {root}/m0", "parameters: {density: 0.5}"]
    path = root / f"{method}.yml"
    path.write_text("\n".join(lines) + "\n")
    return path


def measured(command, log):
    """CPU seconds, wall seconds and peak MiB of a command, and what it wrote to stderr."""
    before = time.monotonic()
    with open(log, "w") as file:
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=file)
        _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{command[0]} failed: {Path(log).read_text()[-500:]}")
    wall = time.monotonic() - before
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024, Path(log).read_text()


def run(kind, root, method, threads=2):
    out = root / "out"
    shutil.rmtree(out, ignore_errors=True)
    num = 2 if method == "slerp" else 4
    digests = (0.0, 0.0)
    if kind == "floor":
        read = " ".join(f"{root}/m{number}/*.safetensors" for number in range(1, num))
        out.mkdir()
        script = f"cat {read} > /dev/null; cp {root}/m0/*.safetensors {out}"
        result = measured(["sh", "-c", script], root / "log")
    elif kind.startswith("mergekit"):
        extra = {"mergekit": [], "mergekit -j 2 --async-write": ["-j", "2", "--async-write"]}[kind]
        command = [MERGEKIT, recipe(root, method), out, "--no-copy-tokenizer", *extra]
        result = measured([str(part) for part in [*command, "--random-seed", "1"]], root / "log")
    else:
        entry = "import sys;from polylect.cli import main;sys.exit(main())"
        argv = ["merge", str(recipe(root, method)), "--out", str(out), "--threads", str(threads)]
        result = measured([sys.executable, "-c", entry, *argv], root / "log")
        printed = dict(re.findall(r"digest_(cpu|wall) ([\d.]+)", result[3]))
        digests = float(printed["cpu"]), float(printed["wall"])
    cpu, wall, peak, _ = result
    return {
        "cpu": cpu - digests[0], "wall": wall - digests[1], "peak": peak,
        "digest_cpu": digests[0], "digest_wall": digests[1],
    }  # fmt: skip


def different(checkpoint, other):
    checkpoint, other = Checkpoint.open(checkpoint), Checkpoint.open(other)
    return sum(
        int((read_raw(info).view("<u2") != read_raw(other.tensors[name]).view("<u2")).sum())
        for name, info in checkpoint.tensors.items()
    )


def side_by_side(root, methods, rounds, kinds):
    for method in methods:
        runs_of = {kind: [] for kind in kinds}
        for _ in range(rounds):
            for kind in kinds:
                runs_of[kind].append(run(kind, root, method))
        middle = {
            kind: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            for kind, runs in runs_of.items()
        }
        print(f"{method}, {rounds} rounds", flush=True)
        for kind, medians in middle.items():
            times = " ".join(f"{run['cpu']:.2f}" for run in runs_of[kind])
            print(
                f"  {kind:<28} cpu {medians['cpu']:7.2f} s  wall {medians['wall']:7.2f} s  "
                f"peak {medians['peak']:6.0f} MiB  digests {medians['digest_cpu']:.2f} s   "
                f"[{times}]"
            )
        polylect = middle["polylect"]
        for kind in kinds:
            if kind != "polylect":
                print(
                    f"  {kind} / polylect: cpu {middle[kind]['cpu'] / polylect['cpu']:.2f} "
                    f"wall {middle[kind]['wall'] / polylect['wall']:.2f}",
                    flush=True,
                )
        if method == "linear" and "mergekit" in kinds:
            run("mergekit", root, method)
            (root / "out").rename(root / "theirs")
            run("polylect", root, method)
            # In a process of its own: a child's peak counts what its parent held.
            command = [sys.executable, __file__, "--different", root / "out", root / "theirs"]
            num = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            print(f"  elements that differ from mergekit's: {num.strip()}", flush=True)
            shutil.rmtree(root / "theirs")


def flat(root):
    """Peak memory over sizes and numbers of inputs; inputs are hard links to one checkpoint."""
    entry = "import sys;from polylect.cli import main;sys.exit(main())"
    for num_layers in (2, 26, 115):
        shutil.rmtree(root, ignore_errors=True)
        make(root, 1, num_layers)
        for number in range(1, 16):
            shutil.copytree(root / "m0", root / f"m{number}", copy_function=os.link)
        size = Checkpoint.open(root / "m0").num_parameters / 1e9
        for method, num in (("linear", 2), ("linear", 16), ("ties", 2), ("ties", 16)):
            if method == "ties" and num_layers == 115:
                continue  # the same blocks, an hour more
            shutil.rmtree(root / "out", ignore_errors=True)
            models = [str(root / f"m{number}") for number in range(num)]
            argv = ["merge", "--method", method, "--models", *models, "--threads", "2"]
            if method == "ties":
                argv += ["--base", models[0], "--density", "0.5"]
            result = measured(
                [sys.executable, "-c", entry, *argv, "--out", str(root / "out")], root / "log"
            )
            print(
                f"{method:<8} {size:.2f} B  {num:>2} inputs  peak {result[2]:.0f} MiB", flush=True
            )


def turnaround(root, rounds):
    """From weights to a loaded model: in memory, by our file, by mergekit's; in turn, medians."""
    from polylect.merging import MergeConfig
    from polylect.models import load_model
    from polylect.recipes.merge_search.objectives import Pool

    models = tuple((f"m{number}", root / f"m{number}") for number in range(4))
    ways = {
        "in memory": Pool(config=MergeConfig(method="linear"), models=models),
        "written and loaded": Pool(
            config=MergeConfig(method="linear"), models=models, written=True
        ),
    }
    ways["in memory"].model((0.25,) * 4)  # loads the model that is changed from here on
    seconds = {way: [] for way in (*ways, "mergekit and loaded")}
    for number in range(rounds):
        weights = (0.4, 0.3, 0.2, 0.1) if number % 2 else (0.1, 0.2, 0.3, 0.4)
        for way, pool in ways.items():
            cpu, wall = time.process_time(), time.monotonic()
            pool.model(weights)
            seconds[way].append((time.process_time() - cpu, time.monotonic() - wall))
        shutil.rmtree(root / "out", ignore_errors=True)
        command = [MERGEKIT, recipe(root, "linear"), root / "out", "--no-copy-tokenizer"]
        merge_run = measured([str(part) for part in command], root / "log")
        cpu, wall = time.process_time(), time.monotonic()
        load_model(Checkpoint.open(root / "out"))
        spent = time.process_time() - cpu, time.monotonic() - wall
        seconds["mergekit and loaded"].append((merge_run[0] + spent[0], merge_run[1] + spent[1]))
    fastest = [statistics.median(run[at] for run in seconds["in memory"]) for at in (0, 1)]
    for way, runs in seconds.items():
        cpu, wall = (statistics.median(run[at] for run in runs) for at in (0, 1))
        print(
            f"  {way:<20} cpu {cpu:6.2f} s ({cpu / fastest[0]:.1f})  wall {wall:6.2f} s "
            f"({wall / fastest[1]:.1f})   [{' '.join(f'{run[0]:.2f}' for run in runs)}]"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--methods", nargs="+", default=["linear", "slerp", "ties", "dare_ties"])
    parser.add_argument("--kinds", nargs="+", default=[
        "mergekit", "mergekit -j 2 --async-write", "polylect", "floor",
    ])  # fmt: skip
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--flat", action="store_true")
    parser.add_argument("--turnaround", action="store_true")
    parser.add_argument("--different", type=Path, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.different:
        print(different(*options.different))
        return
    root = options.folder or Path(tempfile.mkdtemp(prefix="merge-"))
    try:
        if options.flat:
            flat(root)
            return
        if not (root / "m0").is_dir():
            make(root, 4, 3 if options.turnaround else 26)
        if options.turnaround:
            turnaround(root, options.rounds)
            return
        side_by_side(root, options.methods, options.rounds, options.kinds)
    finally:
        if not options.folder:
            shutil.rmtree(root)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"(this process: {peak:.0f} MiB)")


if __name__ == "__main__":
    main()
