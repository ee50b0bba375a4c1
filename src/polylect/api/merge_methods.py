"""The options of the merge methods, from what the operators in ``merging`` declare.

Written by ``python tests/support/merge_methods.py``; a test compares them.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from polylect.base import Finite, Range, Share, check_settings

MergeMethod = Literal[
    "linear",
    "slerp",
    "multislerp",
    "task_arithmetic",
    "ties",
    "dare_linear",
    "dare_ties",
    "della",
    "della_linear",
    "breadcrumbs",
    "breadcrumbs_ties",
    "model_stock",
    "sce",
    "interpolate",
    "passthrough",
]


@dataclass(frozen=True, kw_only=True)
class MethodOptions:
    """Options of the method."""

    normalize: bool | None = None
    """Divide by the sum of the weights. Default: true (linear, ties, della), false
    (task_arithmetic, dare_linear, dare_ties, della_linear, breadcrumbs, breadcrumbs_ties)."""
    t: Finite | None = None
    """Where the result lies between the base (0) and the model (1). Of slerp, interpolate;
    required."""
    normalize_weights: bool | None = None
    """Divide the weights by their sum first. Of multislerp; default: true."""
    eta: Finite | None = None
    """With a base, the fraction of the way from it to the mean. Of multislerp; default: 1."""
    lambda_: Finite | None = None
    """Factor of the sum of differences. Of task_arithmetic, ties, dare_linear, dare_ties, della,
    della_linear, breadcrumbs, breadcrumbs_ties; default: 1."""
    density: tuple[Share, ...] = ()
    """Share of the differences that is kept; one value, or one for each model. Of ties,
    dare_linear, dare_ties, della, della_linear, breadcrumbs, breadcrumbs_ties; default: 1."""
    rescale: Literal["keep", "l1", "none"] | None = None
    """What makes up for the dropped elements: keep divides by the density (the paper), l1 restores
    the L1 norm (mergekit), none nothing. Of dare_linear, dare_ties, della, della_linear; default:
    keep."""
    epsilon: tuple[Annotated[float, Range(at_least=0, below=0.5)], ...] = ()
    """How far the probabilities of a row's smallest and largest element lie from the density; one
    value, or one for each model. Of della, della_linear; default: 0.15."""
    gamma: tuple[Share, ...] = ()
    """Share of the differences that is dropped for being the largest; one value, or one for each
    model. Of breadcrumbs, breadcrumbs_ties; default: 0.01."""
    select_topk: Share | None = None
    """Share of the elements that is kept, those of the largest variance. Of sce; default: 1."""
    scale: tuple[Finite, ...] = ()
    """Factor of the tensor; one value, or one for each model. Of passthrough; default: 1."""

    def __post_init__(self) -> None:
        check_settings(self)
