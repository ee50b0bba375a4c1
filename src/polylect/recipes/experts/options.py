"""Options of the recipe ``nexus``."""

from dataclasses import dataclass
from typing import Literal

from polylect.base import (
    Count,
    CountOrZero,
    InputError,
    NonNegative,
    Positive,
    check_known,
    check_settings,
)
from polylect.experts import RouterRows
from polylect.models import ROUTER_TYPES
from polylect.recipes.pretraining.lifecycle import LifecycleConfig

UPCYCLE_TOKENS = 400_000
"""The default budget of the mixtures' training, where there is text for it."""

EXTEND_RATIO = 40
"""The appended expert's mixture is tuned on this part of the upcycling tokens (Nexus: 1 billion of
40)."""


@dataclass(frozen=True, kw_only=True)
class NexusConfig(LifecycleConfig):
    """Options of ``polylect run nexus``: those of the lifecycle, and these."""

    seeds: Count = 1
    """How many trainings of everything with different seeds, the first of them --seed; text and
    tokenizer are the same for all."""
    routers: tuple[str, ...] = ("nexus", "linear")
    """Routers to train: nexus, linear, mlp (as many parameters as nexus), oracle (told the domain).
    """
    appended: str = ""
    """The expert that is appended later, by the name of its cluster. Default: code, or the last."""
    upcycle_tokens: Count | None = None
    """Tokens on which each mixture of experts is trained. Default: 400,000, or as many as the text
    gives."""
    extend_tokens: Count | None = None
    """Tokens on which a mixture is tuned after an expert was appended, half of them of the new
    domain. Default: a fortieth of the upcycling tokens."""
    upcycle_learning_rate: Positive = 5e-4
    """Peak learning rate of the mixtures; it falls over their training."""
    extend_learning_rate: Positive = 2e-4
    """Peak learning rate after an expert was appended; it falls likewise."""
    extend_router_lr_ratio: Positive = 5.0
    """Learning rate of the routers then, as a multiple of the others'."""
    extend_experts_per_token: CountOrZero | None = None
    """Routed experts per token while tuning after an expert was appended; 0: as many as ever.
    Default: all, so that the router learns of the new one."""
    extend_batch_tokens: Count = 128
    """Tokens per update after an expert was appended."""
    experts_per_token: Count = 1
    """Routed experts per token."""
    aux_loss: NonNegative = 0.02
    """Coefficient of the load-balancing loss (Switch form); at the paper's 0.05 domains are told
    apart less at this size (benchmarks/logs/nexus.md)."""
    extend_aux_loss: NonNegative = 0.02
    """Coefficient of that loss after an expert was appended; constant where tokens go to all
    experts."""
    sampling: Literal["equal", "size"] = "equal"
    """Shares of the domains in the mixtures' training: equal, or by the size of their text."""
    freeze: tuple[str, ...] = ()
    """Parameters of the mixtures that stay as they are, by patterns of their names:
    *.experts.*."""
    domain_texts: Count = 200
    """Most texts of a domain that its vector is the mean of."""
    baselines: bool = False
    """Also merges of the experts, dense models on as many tokens, and the ensemble of experts."""
    ensemble_experts: Count = 2
    """Experts that count for a token in the ensemble."""

    def __post_init__(self) -> None:
        check_settings(self)
        for router in self.routers:
            check_known(router, ROUTER_TYPES, f"--routers {router}: no such router", "one of")
        if len(set(self.routers)) < len(self.routers):
            raise InputError("--routers: one is given twice", "give each once")
        if not self.routers:
            raise InputError("--routers: none", "--routers nexus linear")

    @property
    def trained_seeds(self) -> tuple[int, ...]:
        """Seeds of the trainings, in order."""
        return tuple(range(self.seed, self.seed + self.seeds))


ROUTER_ROWS: dict[str, tuple[RouterRows, ...]] = {
    "nexus": ("append",),
    "linear": ("reset", "append"),
    "mlp": ("reset", "append"),
    "oracle": ("append",),
}
"""What is done with a router's rows when an expert is appended; where there are two ways, both."""


def grown_name(router: str, rows: str) -> str:
    """Name of a mixture that an expert was appended to, and that was tuned.

    >>> grown_name("nexus", "append"), grown_name("linear", "reset")
    ('nexus-extended', 'linear-reset-extended')
    """
    one_way = len(ROUTER_ROWS[router]) == 1
    return f"{router}-extended" if one_way else f"{router}-{rows}-extended"
