"""Recipe ``code``: what code in the pre-training mix does to everything else (2408.10914).

Text, code, markup, code-adjacent and synthetic text → one tokenizer → the trainings of all plans,
shared beginnings once → held-out text of every stream (and tasks) → findings. The plans are in
``paper.py``. Copy this file, change it, and run it with ``polylect run FILE.py:code``.
"""

from polylect.evals import find_task
from polylect.mixtures import Plan, Sizes, read_plan
from polylect.recipes.mixtures.engine import Sweep
from polylect.recipes.mixtures.findings import (
    MixtureFindingsConfig,
    compared_pairs,
    find_mixtures,
)
from polylect.recipes.mixtures.options import CodeConfig, MixtureConfig
from polylect.recipes.mixtures.paper import PLANS
from polylect.recipes.mixtures.sweeping import (
    Compared,
    Study,
    forecast_sweep,
    kind_of,
    run_steps,
    run_sweep,
    sweep_ready,
)
from polylect.recipes.mixtures.texts import code_sources, natural_stream
from polylect.runs import Run


def code(run: Run, config: CodeConfig) -> None:
    """Code in the mix: how much, when, of what quality, and which language pays for it.

    Examples:
        polylect run code --dry-run
        polylect run code --experiments variants --seeds 5 --stop-at-width 1.0
        polylect run code --plan mine.toml --text corpus --languages de,hi,yo
    """
    run_sweep(run, config, _ready(run, config), STUDY)


def code_plan(run: Run, config: CodeConfig) -> str:
    """Exact tokens, what sharing saves, the price of a seed; reads the text, trains nothing."""
    return forecast_sweep(run, config, _ready(run, config))


def _ready(run: Run, config: CodeConfig) -> Sweep:
    """The text read and every run planned.

    Raises:
        InputError: as ``sweep_ready``; the user's plan cannot be read, or has no stream of text.
    """

    def plans(tokens: int, sizes: Sizes) -> list[Plan]:
        return [
            make(tokens, config.language_temperature)
            for name in config.experiments
            for make in PLANS[name]
        ]

    users = read_plan(config.plan) if config.plan else None
    if users is not None:
        natural_stream([users])
    return sweep_ready(run, config, code_sources(config, users), plans, users)


def findings_config(sweep: Sweep, config: MixtureConfig) -> MixtureFindingsConfig:
    """What the findings have to know."""
    text, code_stream = main_streams(sweep)
    return MixtureFindingsConfig(
        runs=run_steps(sweep),
        text=text,
        code=code_stream,
        task_kinds={find_task(name).name: kind_of(name) for name in config.tasks},
        task_metrics={find_task(name).name: find_task(name).metric for name in config.tasks},
    )


def main_streams(sweep: Sweep) -> tuple[str, str]:
    """The stream of text in natural languages, and that of code; empty without one."""
    streams = {name: stream for plan in sweep.ready.plans for name, stream in plan.streams.items()}
    codes = [name for name, stream in streams.items() if stream.is_added]
    return natural_stream(sweep.ready.plans), "web" if "web" in codes else next(iter(codes), "")


def compared(sweep: Sweep) -> list[Compared]:
    """Every pair of the claims, on text and on code."""
    return [
        (before, after, (stream,))
        for before, after in compared_pairs(run_steps(sweep))
        for stream in main_streams(sweep)
        if stream
    ]


STUDY = Study(
    find_mixtures,
    findings_config,
    compared,
    "Code in the mix",
    "What code in the pre-training mix does to every language and to code itself: how much of it,"
    " when, and of what quality. Scores are bits per byte of held-out text; less is better.",
)
