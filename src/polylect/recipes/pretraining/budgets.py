"""How many tokens to train on: what was asked for, or what the text at hand gives."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from polylect.base import Count, InputError, Ledger, check_settings, read_json, write_json
from polylect.mixtures import Share, TokenStore
from polylect.rows import Split
from polylect.runs import Artifact, StepContext, StepInputs, step

BUDGETS = "budgets.json"
SMALLER = "less text than the default budget: tokens left out"


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Tokens of one or several trainings, each on shares of its own.

    Attributes:
        option: that asks for it; errors begin with it.
        tokens: that were asked for; None for the default.
        default: used where there is text for it.
        trainings: shares of each training, by name.
        times: how often the budget is trained on in each of them, where that is not once.
    """

    option: str
    tokens: int | None
    default: int
    trainings: Mapping[str, tuple[Share, ...]]
    times: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class BudgetsConfig:
    """The budgets, and the number that each is a multiple of where the text decides it."""

    budgets: tuple[Budget, ...]
    multiple: Count = 1

    def __post_init__(self) -> None:
        check_settings(self)


@step(version=1)
def fit_budgets(config: BudgetsConfig, inputs: StepInputs, context: StepContext) -> None:
    """Writes ``budgets.json``: option → tokens, and what said so.

    Inputs: ``tokens`` (from ``tokenize_text``).
    """
    sizes = TokenStore(inputs["tokens"].path, Split.TRAIN).sizes()
    fitted = {
        budget.option: fit_budget(budget, sizes, config.multiple, context.ledger)
        for budget in config.budgets
    }
    write_json(context.out / BUDGETS, fitted)


def fit_budget(
    budget: Budget, sizes: Mapping[tuple[str, str], int], multiple: int, ledger: Ledger
) -> dict[str, object]:
    """Tokens of a budget: ``tokens``, and ``note``, empty where that is the default or asked for.

    Args:
        budget: what was asked for.
        sizes: tokens at hand by (language, source).
        multiple: what the text gives is rounded down to a multiple of it, if it is more.
        ledger: counts tokens by which the default was too many.

    Raises:
        InputError: more was asked for than the text gives; names how many there may be.
    """
    most = {
        name: most_tokens(shares, sizes) // budget.times.get(name, 1)
        for name, shares in budget.trainings.items()
    }
    least = min(most, key=lambda name: most[name])
    wanted = budget.default if budget.tokens is None else budget.tokens
    if wanted <= most[least]:
        return {"tokens": wanted, "note": ""}
    epochs = max(share.max_epochs for share in budget.trainings[least])
    times = budget.times.get(least, 1)
    gives = f"{epochs:g} epochs over the text of {least}"
    gives += f", shared by {times} experts," if times > 1 else ""
    if budget.tokens is not None:
        raise InputError(
            f"--{budget.option} {wanted}: {gives} are {most[least]:,} tokens",
            f"--{budget.option} {most[least]}, or a higher --max-epochs",
        )
    tokens = max(most[least] // multiple * multiple, min(most[least], multiple))
    ledger.count(SMALLER, wanted - tokens, budget.option)
    note = f"--{budget.option} {tokens:,} in place of {wanted:,}: {gives} are no more"
    return {"tokens": tokens, "note": note}


def most_tokens(shares: Sequence[Share], sizes: Mapping[tuple[str, str], int]) -> int:
    """Tokens that the epoch caps of some shares allow together."""
    return sum(
        math.floor(
            share.max_epochs
            * sum(num for (language, source), num in sizes.items()
                  if language == share.language and share.source in {"*", source})
        )
        for share in shares
    )  # fmt: skip


def tokens_of(budgets: Artifact, option: str) -> int:
    """Tokens of the budget of an option."""
    return read_json(budgets.path / BUDGETS)[option]["tokens"]


def notes_of(budgets: Artifact) -> list[str]:
    """What was made of the defaults, for a plan."""
    rows = read_json(budgets.path / BUDGETS).values()
    return [row["note"] for row in rows if row["note"]]
