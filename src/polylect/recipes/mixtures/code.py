"""Recipe ``code``: what code in the pre-training mix does to everything else (2408.10914).

Text, code, markup, code-adjacent and synthetic text → one tokenizer → the trainings of all plans,
shared beginnings once → held-out text of every stream (and tasks) → findings. The plans are in
``paper.py``. Copy this file, change it, and run it with ``polylect run FILE.py:code``.
"""

from collections.abc import Sequence

from polylect.mixtures import Plan
from polylect.recipes.mixtures.options import CodeConfig
from polylect.recipes.mixtures.paper import PLANS
from polylect.recipes.mixtures.sweeping import forecast_sweep, run_sweep, sweep_ready
from polylect.recipes.mixtures.texts import Plans, code_sources
from polylect.runs import Run


def code(run: Run, config: CodeConfig) -> None:
    """Code in the mix: how much, when, of what quality, and which language pays for it.

    Examples:
        polylect run code --dry-run
        polylect run code --experiments variants --seeds 5 --stop-at-width 1.0
        polylect run code --plan mine.toml --text corpus --languages de,hi,yo
    """
    run_sweep(run, config, sweep_ready(run, config, code_sources(config), _plans(config)))


def code_plan(run: Run, config: CodeConfig) -> str:
    """Exact tokens, what sharing saves, the price of a seed; reads the text, trains nothing."""
    return forecast_sweep(
        run, config, sweep_ready(run, config, code_sources(config), _plans(config))
    )


def _plans(config: CodeConfig) -> Plans:
    def plans(tokens: int) -> Sequence[Plan]:
        return [
            make(tokens, config.language_temperature)
            for name in config.experiments
            for make in PLANS[name]
        ]

    return plans
