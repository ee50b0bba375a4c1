"""Configuration of upcycling and extending; plain dataclasses."""

from dataclasses import dataclass
from typing import Literal

from polylect.base import Count, NonNegative, Seed, Share, check_settings
from polylect.models import RouterType

RouterRows = Literal["append", "reset"]


@dataclass(frozen=True, kw_only=True)
class UpcycleConfig:
    """A mixture of experts made of a seed model and dense experts that were trained from it.

    Attributes:
        router: kind of router.
        top_k: routed experts per token.
        domain_texts: most texts of a domain that its vector is the mean of.
        aux_loss: coefficient of the load-balancing loss, which training reads.
        seed: seed of the router's weights and of the texts that are drawn.
    """

    router: RouterType = "nexus"
    top_k: Count = 1
    domain_texts: Count = 1000
    aux_loss: NonNegative = 0.05
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class ExtendConfig:
    """An expert appended to a mixture.

    Attributes:
        weight: λ, the new expert's weight in the average of all tensors outside of the experts; 0
            leaves them as they are; None: 1/(n+1).
        router_rows: of a linear or MLP router: append a row, or draw all rows anew.
        domain_texts: as for ``UpcycleConfig``.
        aux_loss: coefficient of the load-balancing loss, which training reads; None: the mixture's.
            Where half of the text is of the new domain, balance is not wanted.
        seed: seed of the router's new rows and of the texts that are drawn.
    """

    weight: Share | None = None
    router_rows: RouterRows = "append"
    domain_texts: Count = 1000
    aux_loss: NonNegative | None = None
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_settings(self)
