"""An option of an operator out of its range is refused: from Python, in gradients, in filters."""

import math

import numpy as np
import pytest

from polylect.base import InputError
from polylect.merging import OPERATORS
from polylect.merging.tensor_settings import check_setting

NAN, INF = math.nan, math.inf
OUT_OF_RANGE = [
    ("ties", "density", (50.0, -0.5, 0.0, NAN, INF)),
    ("dare_linear", "density", (50.0, -0.5, NAN)),
    ("dare_ties", "density", (1.01,)),
    ("della", "density", (-1e-9,)),
    ("della", "epsilon", (0.5, -0.1, NAN)),
    ("della_linear", "epsilon", (0.7,)),
    ("breadcrumbs", "density", (2.0,)),
    ("breadcrumbs", "gamma", (-0.01, 1.5)),
    ("breadcrumbs_ties", "gamma", (7.0,)),
    ("slerp", "t", (30.0, -0.1, NAN)),
    ("sce", "select_topk", (1.5, -1.0)),
    ("interpolate", "t", (NAN, INF)),
    ("passthrough", "scale", (INF,)),
    ("multislerp", "eta", (NAN,)),
    ("task_arithmetic", "lambda", (INF, NAN)),
    ("linear", "weight", (NAN, INF)),
]
CASES = [(method, name, value) for method, name, values in OUT_OF_RANGE for value in values]
WITHIN = [
    ("ties", "density", 1e-9), ("ties", "density", 1.0), ("dare_linear", "density", 0.0),
    ("della", "epsilon", 0.0), ("breadcrumbs", "gamma", 0.0), ("slerp", "t", 0.0),
    ("slerp", "t", 1.0), ("interpolate", "t", 1.5), ("task_arithmetic", "lambda", -1.0),
    ("linear", "weight", -0.4), ("passthrough", "scale", -2.0), ("sce", "select_topk", 0.0),
]  # fmt: skip


def check(method, name, setting):
    option = OPERATORS[method].options[name]
    check_setting(name, setting, option.kind, method, option.allowed)


@pytest.mark.parametrize(("method", "name", "value"), CASES)
def test_a_value_out_of_range_is_refused_alone_in_a_gradient_and_in_a_filter(method, name, value):
    fine = next(good for owner, option, good in [*WITHIN, (method, name, 0.25)]
                if (owner, option) == (method, name))  # fmt: skip
    settings = (
        value,
        [fine, value],
        [value, fine, fine],
        [{"filter": "mlp", "value": value}, {"value": fine}],
        [{"filter": "mlp", "value": fine}, {"value": [fine, value]}],
        {"value": value},
    )
    for setting in settings:
        with pytest.raises(InputError, match=f"^{method}: {name} is "):
            check(method, name, setting)


@pytest.mark.parametrize(("method", "name", "value"), WITHIN)
def test_the_ends_of_a_range_and_what_is_legitimate_are_taken(method, name, value):
    check(method, name, value)
    check(method, name, [value, value])
    check(method, name, [{"filter": "mlp", "value": value}, {"value": [value, value]}])


@pytest.mark.parametrize(("method", "name", "value"), CASES)
def test_an_operator_called_from_python_refuses_it_too(method, name, value):
    operator = OPERATORS[method]
    models = [np.linspace(-1, 1, 8, dtype=np.float32) * (i + 1) for i in range(2)]
    models = models[: operator.max_models]
    base = None if operator.base == "none" else np.zeros(8, np.float32)
    with pytest.raises(InputError, match=f"^{method}: {name} is "):
        operator(*models, base=base, **{name: value})


def test_a_choice_is_one_of_those_that_there_are():
    with pytest.raises(InputError, match=r"^dare_ties: rescale is 'L2' — (did you mean|choose) "):
        check("dare_ties", "rescale", "L2")
    check("dare_ties", "rescale", "l1")
