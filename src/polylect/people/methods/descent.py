"""Minimizing a smooth loss of several arrays by L-BFGS in float64."""

from collections.abc import Callable, Mapping

import numpy as np

Parts = Mapping[str, np.ndarray]


def descend(
    objective: Callable[[Parts], tuple[float, Parts]], start: Parts, num_steps: int
) -> dict[str, np.ndarray]:
    """The arrays where L-BFGS ends: at a stationary point, or after ``num_steps``.

    Deterministic at an equal number of threads.

    Args:
        objective: gives the loss and its slope in each array.
        start: where it begins.
        num_steps: most iterations.
    """
    from scipy.optimize import minimize

    shapes = {name: array.shape for name, array in start.items()}
    ends = np.cumsum([array.size for array in start.values()])[:-1]

    def unpack(flat: np.ndarray) -> dict[str, np.ndarray]:
        parts = np.split(flat, ends)
        return {name: part.reshape(shapes[name]) for name, part in zip(shapes, parts, strict=True)}

    def flat_objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        value, slopes = objective(unpack(flat))
        return value, np.concatenate([slopes[name].ravel() for name in shapes])

    options = {"maxiter": num_steps, "ftol": 1e-10, "gtol": 1e-6, "maxcor": 20}
    flat = np.concatenate([array.ravel() for array in start.values()])
    best = minimize(flat_objective, flat, jac=True, method="L-BFGS-B", options=options)
    return unpack(best.x)
