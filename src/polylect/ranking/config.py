"""Settings of a board."""

from dataclasses import dataclass
from typing import Annotated

from polylect.base import (
    CountOrZero,
    Finite,
    InputError,
    Positive,
    Range,
    Seed,
    check_known,
    check_settings,
)

MIN_RESAMPLES = 100
"""With fewer, the 2.5th percentile is the lowest or second lowest of them, or none at all."""
MODELS = ("bradley-terry", "davidson", "rao-kupper", "both-bad")


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardSettings:
    """What is fitted and how it is shown.

    Attributes:
        model: one of ``MODELS``.
        anchor: a model and the rating it is shown with. Default: the mean rating is 1000.
        bootstrap: number of resamples, 100 or more; 0 for sandwich intervals.
        cluster: column whose equal values mark dependent votes; empty for none.
        features: style features to hold equal.
        reweight: floor of the inverse-propensity weights; None for unweighted.
        prior_sd: standard deviation in Elo of a normal prior; None for no prior. A prior of less
            than 1 Elo point would say that the ratings are known: its intervals print as ± 0.0.
        contrast: model to which differences are reported; empty for none.
        seed: of resampling and of the draws of the rank sets.
    """

    model: str = "bradley-terry"
    anchor: tuple[str, Finite] | None = None
    bootstrap: CountOrZero = 0
    cluster: str = ""
    features: tuple[str, ...] = ()
    reweight: Positive | None = None
    prior_sd: Annotated[float, Range(1)] | None = None
    contrast: str = ""
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_settings(self)
        check_known(self.model, MODELS, f"--model is {self.model!r}", "choose from")
        if self.features and self.model != "bradley-terry":
            raise InputError("--features with --model " + self.model, "leave out one of the two")
        options = {
            "bootstrap": self.bootstrap,
            "cluster": self.cluster,
            "reweight": self.reweight,
            "prior": self.prior_sd,
        }
        names = [name for name, value in options.items() if value]
        if names and (self.features or self.model != "bradley-terry"):
            raise InputError(
                f"--{names[0]} with {'--features' if self.features else '--model ' + self.model}:"
                " it goes with plain Bradley–Terry only",
                "leave out one of the two",
            )
        if self.cluster and (self.reweight is not None or self.prior_sd is not None):
            raise InputError(
                f"--cluster with {'--prior' if self.reweight is None else '--reweight'}:"
                " clustered errors go with neither weights nor a prior",
                "leave out one of the two",
            )
        if self.bootstrap:
            check_resamples(self.bootstrap)


def check_resamples(num: int) -> None:
    """Check that a bootstrap has enough resamples for its limits.

    Raises:
        InputError: it has not.
    """
    if num < MIN_RESAMPLES:
        raise InputError(
            f"{num} bootstrap resamples are too few for 95 % limits",
            f"--bootstrap {MIN_RESAMPLES} or more, or 0 for the sandwich interval",
        )
