"""A whole sweep against the same runs started one by one by hand.

The ten variants of "To Code, or Not To Code" at a small scale, on text that is tokenized
beforehand (both sides read the same tokens). The sweep is one process that trains every stage of
the tree once, in a run folder. By hand is a process per run, which builds the model and trains its
stages, with the same steps and settings: what somebody does who has a training script and a list
of variants.

    python benchmarks/mixtures_sweep.py --out DIR [--tokens 12000] [--num-parameters 300000]

Prints CPU seconds (user and system, of the whole process, start-up included), tokens per CPU
second, and the ratio. The result of both sides is compared: the last checkpoint of every run has
the same digest.
"""

import argparse
import email
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from polylect.mixtures import planned_runs, tokens_saved
from polylect.recipes.mixtures.engine import Sweep, sweep_of, train
from polylect.recipes.mixtures.options import CodeConfig
from polylect.recipes.mixtures.paper import variants
from polylect.recipes.mixtures.texts import Prepared, code_sources, prepare
from polylect.runs import Run


def config_of(options: argparse.Namespace) -> CodeConfig:
    """The settings of both sides."""
    return CodeConfig(
        languages=("de", "en", "ja"),
        web=Path(email.__file__).parent,
        tokens=options.tokens,
        num_parameters=options.num_parameters,
        vocab_size=1024,
        problems=20,
        seeds=1,
    )


def ready_of(run: Run, config: CodeConfig) -> Prepared:
    """The tokens, and the plan of the ten runs; what is done already is only looked up."""
    plans = prepare(run, config, code_sources(config, None))
    return plans.fitted(config, lambda tokens, sizes: [variants(tokens)])


def work(options: argparse.Namespace) -> None:
    """One side's process: the whole sweep, or one of its runs by name."""
    config = config_of(options)
    ready = ready_of(Run(options.out / "text", "benchmark", config), config)
    sweep = sweep_of(ready)
    if options.run is not None:
        alone = (sweep.runs[options.run],)
        sweep = Sweep(ready, alone, sweep.num_parameters)
    name = "sweep" if options.run is None else f"run-{options.run}"
    shutil.rmtree(options.out / name, ignore_errors=True)  # an earlier try trained it already
    run = Run(options.out / name, "benchmark", config)
    made = train(run, sweep, config)
    last = {one.name: made[sweep.chains[one.name][-1]].digest for one in sweep.runs}
    (options.out / f"{name}.json").write_text(json.dumps(last))


def cpu_seconds(options: argparse.Namespace, *more: str) -> float:
    """CPU seconds of a process of one side."""
    command = [sys.executable, __file__, "--out", str(options.out), "--tokens", str(options.tokens),
               "--num-parameters", str(options.num_parameters), *more]  # fmt: skip
    child = subprocess.Popen(command)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, command
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Run both sides and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=12_000)
    parser.add_argument("--num-parameters", type=int, default=300_000)
    parser.add_argument("--side", action="store_true")
    parser.add_argument("--run", type=int, default=None)
    options = parser.parse_args()
    if options.side:
        work(options)
        return
    options.out.mkdir(parents=True, exist_ok=True)
    config = config_of(options)
    ready = ready_of(Run(options.out / "text", "benchmark", config), config)
    runs = planned_runs(ready.plans[0], ready.sizes)
    trained, apart = tokens_saved(runs)
    sweep, hand = cpu_seconds(options, "--side"), []
    print(f"sweep: {sweep:.1f} CPU s", flush=True)
    for number, run in enumerate(runs):
        hand.append(cpu_seconds(options, "--side", "--run", str(number)))
        print(f"{run.name}: {hand[-1]:.1f} CPU s for {run.tokens:,} tokens", flush=True)
    together = json.loads((options.out / "sweep.json").read_text())
    for number, run in enumerate(runs):
        alone = json.loads((options.out / f"run-{number}.json").read_text())
        assert alone == {run.name: together[run.name]}, run.name
    print(f"{len(runs)} runs, {apart:,} tokens of all runs, {trained:,} trained by the sweep")
    for name, seconds in (("sweep", sweep), ("by hand", sum(hand))):
        print(f"{name:>8}: {seconds:6.1f} CPU s, {apart / seconds:8,.0f} tokens of runs per CPU s")
    print(f"cost of the sweep: {sweep / sum(hand):.2f} of by hand (goal 0.70)")
    print(f"tokens alone: {trained / apart:.2f}; last checkpoints equal in all runs")


if __name__ == "__main__":
    main()
