"""The merge methods by name."""

from polylect.base import check_known
from polylect.merging.operators.averages import (
    interpolate,
    linear,
    model_stock,
    multislerp,
    passthrough,
    slerp,
)
from polylect.merging.operators.operator import Operator
from polylect.merging.operators.sce import sce
from polylect.merging.operators.task_vectors import (
    breadcrumbs,
    breadcrumbs_ties,
    dare_linear,
    dare_ties,
    della,
    della_linear,
    task_arithmetic,
    ties,
)

OPERATORS: dict[str, Operator] = {
    operator.name: operator
    for operator in (
        linear,
        slerp,
        multislerp,
        task_arithmetic,
        ties,
        dare_linear,
        dare_ties,
        della,
        della_linear,
        breadcrumbs,
        breadcrumbs_ties,
        model_stock,
        sce,
        interpolate,
        passthrough,
    )
}
"""Every merge method."""


def operator_named(name: str) -> Operator:
    """The operator with this name.

    Raises:
        InputError: no such operator; suggests the nearest name.
    """
    check_known(name, OPERATORS, f"unknown merge method {name!r}", "choose from")
    return OPERATORS[name]
