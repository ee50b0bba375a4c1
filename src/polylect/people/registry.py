"""The methods by name."""

from dataclasses import fields
from typing import Any

from polylect.base import check_known
from polylect.people.methods.conditional import Conditional
from polylect.people.methods.factorized import Factorized
from polylect.people.methods.gpo import Gpo
from polylect.people.methods.in_prompt import InPrompt
from polylect.people.methods.individual import Individual
from polylect.people.methods.kernel import Kernel
from polylect.people.methods.matching import Matching
from polylect.people.methods.maxmin import MaxMin
from polylect.people.methods.model import VectorMethod
from polylect.people.methods.pal import Pal
from polylect.people.methods.personalized import Personalized
from polylect.people.methods.pooled import Pooled
from polylect.people.methods.shrinkage import Shrinkage
from polylect.people.methods.tuned import (
    TunedConditional,
    TunedIndividual,
    TunedPersonalized,
    TunedPooled,
)
from polylect.people.methods.vpl import Vpl

METHODS: dict[str, type[VectorMethod]] = {
    method.name: method
    for method in (
        Pooled,
        Individual,
        Shrinkage,
        Conditional,
        Personalized,
        Factorized,
        Matching,
        MaxMin,
        Pal,
        Vpl,
        Gpo,
        Kernel,
    )
}
"""Every way to learn from people, by the name that is typed; the plainest first."""

WITH_A_MODEL: dict[str, type[VectorMethod]] = {
    method.name: method
    for method in (InPrompt, TunedPooled, TunedIndividual, TunedConditional, TunedPersonalized)
}
"""Methods that need a language model, which their setting ``model`` names."""


def find_method(name: str, **settings: Any) -> VectorMethod:
    """The method of that name.

    Args:
        name: one of ``METHODS`` or ``WITH_A_MODEL``.
        settings: of the method; what is left out has its default.

    Raises:
        InputError: there is none of that name, or no such setting (suggests the nearest); or a
            value that a setting does not allow.

    >>> find_method("shrinkage", strength=2.0).name
    'shrinkage'
    """
    methods = METHODS | WITH_A_MODEL
    check_known(name, methods, f"there is no method {name!r}", "choose from")
    known = [field.name for field in fields(methods[name])]
    for setting in settings:
        check_known(setting, known, f"the method {name} has no setting {setting!r}")
    return methods[name](**settings)
