"""Recipe ``breadth``: few languages deep or many languages shallow (Aya 23 against Aya 101).

Text → one tokenizer → trainings over 4, 8, 16 and all languages, once on as many tokens in all and
once on as many tokens of each language → held-out text of every language → who pays for a further
language, and who gains from a relative. Copy this file, change it, and run it with
``polylect run FILE.py:breadth``.
"""

from collections.abc import Sequence
from itertools import pairwise

from polylect.base import CODE, InputError, numbered
from polylect.mixtures import Plan, PlannedStage, Sizes, Stream
from polylect.recipes.mixtures.breadth_findings import (
    BreadthFindingsConfig,
    LanguageSet,
    find_breadth,
)
from polylect.recipes.mixtures.engine import Sweep
from polylect.recipes.mixtures.options import NUM_PARAMETERS, SEEDS, BreadthConfig, MixtureConfig
from polylect.recipes.mixtures.sweeping import (
    Compared,
    Study,
    forecast_sweep,
    run_steps,
    run_sweep,
    sweep_ready,
)
from polylect.recipes.mixtures.texts import text_source
from polylect.runs import Run

TOTAL, EACH = "total", "each"
"""Budgets: as many tokens in all, or as many of each language as the fewest languages get."""


def breadth(run: Run, config: BreadthConfig) -> None:
    """Few languages or many: who pays for a further language, who gains from a relative.

    Examples:
        polylect run breadth --dry-run
        polylect run breadth --languages-at-once 2 6 --seeds 5
        polylect run breadth --text corpus --languages de,nl,hi,bn,yo --languages-at-once 2 4
    """
    run_sweep(run, config, _ready(run, config), STUDY)


def breadth_plan(run: Run, config: BreadthConfig) -> str:
    """Exact tokens, what sharing saves, the price of a seed; reads the text, trains nothing."""
    return forecast_sweep(run, config, _ready(run, config))


def _ready(run: Run, config: BreadthConfig) -> Sweep:
    def plans(tokens: int, sizes: Sizes) -> list[Plan]:
        order = ordered_languages(config.languages, sizes)
        return plans_of(nested_sets(order, config.languages_at_once), order, tokens)

    if config.tasks:
        raise InputError("--tasks: run breadth measures held-out text", "leave it out")
    return sweep_ready(run, config, [text_source(config)], plans)


def ordered_languages(given: Sequence[str], sizes: Sizes) -> list[str]:
    """Languages in the order in which they join: that given, else most text first; without code."""
    at_hand: dict[str, int] = {}
    for (tag, _), num in sizes.items():
        if tag != CODE.tag:
            at_hand[tag] = at_hand.get(tag, 0) + num
    if given:
        return [tag for tag in given if tag in at_hand]
    return sorted(at_hand, key=lambda tag: (-at_hand[tag], tag))


def nested_sets(order: Sequence[str], numbers: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """The first languages of an order, by their number; all of them last.

    >>> nested_sets(["de", "nl", "hi"], (2, 16))
    {2: ('de', 'nl'), 3: ('de', 'nl', 'hi')}

    Raises:
        InputError: there are fewer than two sets.
    """
    sets = {num: tuple(order[:num]) for num in (*numbers, len(order)) if num <= len(order)}
    if len(sets) < 2:
        raise InputError(
            f"{numbered(len(order), 'language')} at hand ({' '.join(order) or 'none'}): nothing to"
            f" compare at --languages-at-once {' '.join(map(str, numbers))}",
            "give text in more languages, or smaller numbers",
        )
    return sets


def plans_of(sets: dict[int, tuple[str, ...]], order: Sequence[str], tokens: int) -> list[Plan]:
    """A plan for the fixed total, and one for every set for the fixed tokens of each language.

    Every language of a set has an equal share. On the fewest languages both budgets are the same
    run, which is trained once.

    Args:
        sets: see ``nested_sets``.
        order: all languages.
        tokens: of a run of the fixed total.
    """
    streams = {tag: Stream(languages=(tag,), is_code=False) for tag in order}
    fewest = min(sets)

    def plan(budget: str, some: Sequence[int], tokens: int) -> Plan:
        return Plan(
            streams=streams,
            tokens=tokens,
            num_parameters=NUM_PARAMETERS,
            seeds=tuple(range(SEEDS)),
            variants={
                f"{budget}-{num}": (PlannedStage(mix=dict.fromkeys(sets[num], 1.0)),)
                for num in some
            },
        )

    of_each = [plan(EACH, [num], max(1, tokens * num // fewest)) for num in sets]
    return [plan(TOTAL, list(sets), tokens), *of_each]


def language_sets(sweep: Sweep) -> list[LanguageSet]:
    """The sets of both budgets, with the languages of each, fewest first."""
    found: dict[str, LanguageSet] = {}
    for run in sweep.runs:
        budget, _, _ = run.variant.partition("-")
        found[run.variant] = LanguageSet(
            model=run.variant, budget=budget, languages=tuple(run.stages[0].mix)
        )
    return sorted(found.values(), key=lambda one: (one.budget, len(one.languages)))


def findings_config(sweep: Sweep, config: MixtureConfig) -> BreadthFindingsConfig:
    """What the findings have to know."""
    return BreadthFindingsConfig(runs=run_steps(sweep), sets=tuple(language_sets(sweep)))


def compared(sweep: Sweep) -> list[Compared]:
    """Each set with the next larger of its budget, on the languages of the smaller one."""
    return [
        (before.model, after.model, before.languages)
        for before, after in pairwise(language_sets(sweep))
        if before.budget == after.budget
    ]


STUDY = Study(
    find_breadth,
    findings_config,
    compared,
    "Few languages or many",
    "Who pays for a further language, and who gains from a relative: nested sets of languages, once"
    " on as many tokens in all and once on as many of each language. Scores are bits per byte of"
    " held-out text; less is better.",
)
