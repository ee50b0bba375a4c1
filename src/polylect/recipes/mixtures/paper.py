"""The experiments of "To Code, or Not To Code" (2408.10914) as plans, to be read aloud.

Their sizes are relative: a full run is 1, the paper's 400 billion tokens.
"""

from dataclasses import replace

from polylect.mixtures import Cooldown, Plan, PlannedStage, Stream
from polylect.recipes.mixtures.options import NUM_PARAMETERS, SEEDS, TOKENS

TEXT_SOURCES = ("catalogues", "text")
WEB_SOURCES = ("stdlib", "web", "text")

ONLY_TEXT = {"text": 100}
BALANCED = {"text": 50, "web": 40, "markup": 10}
ONLY_CODE = {"web": 80, "markup": 20}
MOSTLY_TEXT = {"text": 90, "web": 8, "markup": 2}
"""Code is always four parts of code from the web to one of markup (section 2.1)."""

PROPORTIONS = (0, 25, 50, 75, 90, 100)
"""Per cent of code (section 3.3)."""

HALF = 0.5
"""Proportions and quality were compared on 200 of the 400 billion tokens."""


def streams(temperature: float = 3.0) -> dict[str, Stream]:
    """Text in every language, and four kinds of code, told apart by the names of their sources."""
    code = ("code",)
    return {
        "text": Stream(temperature=temperature),
        "web": Stream(languages=code, sources=WEB_SOURCES),
        "markup": Stream(languages=code, sources=("markup",)),
        "adjacent": Stream(languages=code, sources=("adjacent",)),
        "synthetic": Stream(languages=code, sources=("synthetic",)),
    }


def variants(tokens: int = TOKENS, temperature: float = 3.0) -> Plan:
    """Ten runs: four ways to the same number of tokens, with a cooldown and without.

    A cooldown is a tenth of a run, four parts of text to one of code; two variants have one without
    code as well (sections 3.1, 3.5 and 3.6).
    """
    return Plan(
        streams=streams(temperature),
        tokens=tokens,
        num_parameters=NUM_PARAMETERS,
        seeds=tuple(range(SEEDS)),
        variants={
            "text-only": (PlannedStage(mix=ONLY_TEXT),),
            "balanced-only": (PlannedStage(mix=BALANCED),),
            "balanced-text": (PlannedStage(mix=BALANCED), PlannedStage(mix=MOSTLY_TEXT)),
            "code-text": (PlannedStage(mix=ONLY_CODE), PlannedStage(mix=MOSTLY_TEXT)),
        },
        cooldowns={
            "cooldown": Cooldown(mix={"text": 80, "web": 16, "markup": 4}, part=0.1),
            "text-cooldown": Cooldown(
                mix=ONLY_TEXT, part=0.1, variants=("text-only", "balanced-text")
            ),
        },
    )


def proportions(tokens: int = TOKENS, temperature: float = 3.0) -> Plan:
    """Six shares of code from scratch, at half the tokens (section 3.3)."""
    return replace(
        variants(tokens, temperature),
        tokens=round(tokens * HALF),
        variants={
            f"code-{percent}": (
                PlannedStage(
                    mix={"text": 100 - percent, "web": 0.8 * percent, "markup": 0.2 * percent}
                ),
            )
            for percent in PROPORTIONS
        },
        cooldowns={},
    )


def quality(tokens: int = TOKENS, temperature: float = 3.0) -> Plan:
    """Code alone, a part of it replaced by another kind, at half the tokens (section 3.4)."""
    return replace(
        variants(tokens, temperature),
        tokens=round(tokens * HALF),
        variants={
            "web-only": (PlannedStage(mix={"web": 100}),),
            "web-markup": (PlannedStage(mix={"web": 80, "markup": 20}),),
            "web-adjacent": (PlannedStage(mix={"web": 85, "adjacent": 15}),),
            "web-synthetic": (PlannedStage(mix={"web": 90, "synthetic": 10}),),
        },
        cooldowns={},
    )


def synthetic_start(tokens: int = TOKENS, temperature: float = 3.0) -> Plan:
    """Balanced text and code with synthetic problems, then mostly text (section 3.4)."""
    balanced = {"text": 50, "web": 36, "markup": 9, "synthetic": 5}
    return replace(
        variants(tokens, temperature),
        variants={
            "synthetic-text": (PlannedStage(mix=balanced), PlannedStage(mix=MOSTLY_TEXT)),
        },
        cooldowns={},
    )


PLANS = {
    "variants": (variants,),
    "proportions": (proportions,),
    "quality": (quality, synthetic_start),
}
"""The plans of each experiment of the recipe ``code``."""
