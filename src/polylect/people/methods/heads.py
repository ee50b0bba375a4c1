"""Linear heads: Bradley–Terry on differences of vectors with a normal prior, by Newton in float64.

A head w gives a text x the score w·x; chosen c beats rejected r with probability σ(w·(x_c − x_r)).
The posterior mode under N(mean, I / precision) is unique and is found to rounding. With fewer
pairs than the vectors are wide it is searched in the space of the pairs (Rasmussen and Williams
2006, algorithm 3.1), otherwise in that of the vectors, where many pairs are never held as
differences: texts are scored first and gathered per pair.
"""

from dataclasses import dataclass

import numpy as np

from polylect.base import UndecidableError
from polylect.people.methods.pairs import Pairs

_TOLERANCE = 1e-11
_ROUNDING = 1e-13
_MAX_ITERATIONS = 200
_MAX_HALVINGS = 40


@dataclass(frozen=True, slots=True)
class Head:
    """A fitted head.

    Attributes:
        weight: float64 [width].
        log_likelihood: of the pairs at the mode, in nats.
        log_evidence: the log marginal likelihood of the pairs by Laplace's approximation.
    """

    weight: np.ndarray
    log_likelihood: float
    log_evidence: float


def fit_head(
    pairs: Pairs,
    precision: float,
    mean: np.ndarray | None = None,
    share: np.ndarray | None = None,
    start: np.ndarray | None = None,
    offset: np.ndarray | None = None,
    gram: np.ndarray | None = None,
) -> Head:
    """The mode of the posterior of a head.

    Args:
        pairs: one or more.
        precision: of the normal prior, more than 0; with mean 0 it is a ridge penalty of half of
            it times the squared length.
        mean: of the prior, float64 [width]; default 0.
        share: how much each pair counts, float64 [pairs]; default 1.
        start: where to begin, float64 [width]; the result does not depend on it.
        offset: log-odds of each pair that are not the head's, float64 [pairs]; default 0.
        gram: products of the pairs' differences, float64 [pairs, pairs], for who fits the same
            pairs repeatedly; it is not read where there are more pairs than the vectors are wide.

    Raises:
        UndecidableError: Newton does not converge (vectors of extreme size).
    """
    mean = np.zeros(pairs.width) if mean is None else mean
    share = np.ones(len(pairs)) if share is None else share
    offset = np.zeros(len(pairs)) if offset is None else offset
    if len(pairs) < pairs.width:
        return _by_pairs(pairs, precision, mean, share, offset, gram)
    start = mean if start is None else start
    return _by_vectors(pairs, precision, mean, share, start, offset)


def log_sigmoid(x: np.ndarray) -> np.ndarray:
    """Log of the logistic function."""
    return -np.logaddexp(0.0, -x)


def margins(scores: np.ndarray, pairs: Pairs) -> np.ndarray:
    """Log-odds of each pair, from the scores of its texts [texts, ...]."""
    return scores[pairs.chosen] - scores[pairs.rejected]


def _by_pairs(
    pairs: Pairs, precision: float, mean: np.ndarray, share: np.ndarray, offset: np.ndarray,
    gram: np.ndarray | None,
) -> Head:  # fmt: skip
    from scipy.linalg import cho_factor, cho_solve
    from scipy.special import expit

    differences = pairs.differences()
    kernel = (differences @ differences.T if gram is None else gram) / precision
    prior = differences @ mean + offset
    tolerance = max(_TOLERANCE, 1e-15 * float(np.abs(kernel).max()))
    dual = np.zeros(len(pairs))
    shift = np.zeros(len(pairs))  # kernel @ dual

    def value(dual: np.ndarray, shift: np.ndarray) -> float:
        return float(share @ log_sigmoid(prior + shift) - 0.5 * dual @ shift)

    for _ in range(_MAX_ITERATIONS):
        residual = share * expit(-(prior + shift))
        root = np.sqrt(residual * expit(prior + shift))
        factor = cho_factor(np.eye(len(pairs)) + root[:, None] * kernel * root, lower=True)
        if np.abs(dual - residual).max() <= tolerance:
            break
        target = root**2 * shift + residual
        step = target - root * cho_solve(factor, root * (kernel @ target)) - dual
        length = _line_search(value, dual, shift, step, kernel @ step)
        if not length:
            break
        dual = dual + length * step
        shift = kernel @ dual
    else:
        raise _diverged()
    likelihood = float(share @ log_sigmoid(prior + shift))
    log_determinant = 2.0 * float(np.log(np.diag(factor[0])).sum())
    evidence = value(dual, shift) - 0.5 * log_determinant
    return Head(mean + differences.T @ dual / precision, likelihood, evidence)


def _by_vectors(
    pairs: Pairs, precision: float, mean: np.ndarray, share: np.ndarray, start: np.ndarray,
    offset: np.ndarray,
) -> Head:  # fmt: skip
    from scipy.linalg import cho_factor, cho_solve
    from scipy.special import expit

    design = _design(pairs)
    weight, margin = start - mean, design.margins(start) + offset

    def value(weight: np.ndarray, margin: np.ndarray) -> float:
        return float(share @ log_sigmoid(margin) - 0.5 * precision * weight @ weight)

    for _ in range(_MAX_ITERATIONS):
        residual = share * expit(-margin)
        hessian = design.hessian(residual * expit(margin))
        hessian[np.diag_indices(pairs.width)] += precision
        factor = cho_factor(hessian, lower=True)
        step = np.asarray(cho_solve(factor, design.gradient(residual) - precision * weight))
        scale = max(1.0, float(np.abs(weight + mean).max()))
        if np.abs(step).max() <= _TOLERANCE * scale:
            break
        length = _line_search(value, weight, margin, step, design.margins(step))
        if not length:
            break
        weight = weight + length * step
        margin = design.margins(weight + mean) + offset
    else:
        raise _diverged()
    likelihood = float(share @ log_sigmoid(margin))
    log_determinant = 2.0 * float(np.log(np.diag(factor[0])).sum())
    log_determinant -= pairs.width * float(np.log(precision))
    return Head(weight + mean, likelihood, value(weight, margin) - 0.5 * log_determinant)


@dataclass(frozen=True, slots=True)
class _Rows:
    """A design whose differences are held: for few pairs."""

    differences: np.ndarray

    def margins(self, weight: np.ndarray) -> np.ndarray:
        return self.differences @ weight

    def gradient(self, residual: np.ndarray) -> np.ndarray:
        return residual @ self.differences

    def hessian(self, curvature: np.ndarray) -> np.ndarray:
        return self.differences.T @ (curvature[:, None] * self.differences)


@dataclass(frozen=True, slots=True)
class _Scored:
    """A design whose texts are scored first: for more pairs than texts."""

    pairs: Pairs

    def margins(self, weight: np.ndarray) -> np.ndarray:
        return margins(self.pairs.vectors @ weight, self.pairs)

    def gradient(self, residual: np.ndarray) -> np.ndarray:
        return self._per_text(residual, -residual) @ self.pairs.vectors

    def hessian(self, curvature: np.ndarray) -> np.ndarray:
        from scipy.sparse import coo_array

        vectors, num = self.pairs.vectors, len(self.pairs.vectors)
        places = (self.pairs.chosen, self.pairs.rejected)
        links = coo_array((curvature, places), shape=(num, num)).tocsr()
        degree = self._per_text(curvature, curvature)
        half = vectors.T @ (links @ vectors)
        return vectors.T @ (degree[:, None] * vectors) - half - half.T

    def _per_text(self, chosen: np.ndarray, rejected: np.ndarray) -> np.ndarray:
        num = len(self.pairs.vectors)
        total = np.bincount(self.pairs.chosen, chosen, num)
        return total + np.bincount(self.pairs.rejected, rejected, num)


def _design(pairs: Pairs) -> _Rows | _Scored:
    few = len(pairs) <= 4 * len(pairs.vectors)
    return _Rows(pairs.differences()) if few else _Scored(pairs)


def _line_search(value, at, image, step, change) -> float:  # noqa: ANN001
    """The first of 1, 1/2, 1/4 … that does not lower a value, but by rounding; 0 if none does."""
    before = value(at, image)
    before -= _ROUNDING * (1.0 + abs(before))
    length = 1.0
    for _ in range(_MAX_HALVINGS):
        if value(at + length * step, image + length * change) >= before:
            return length
        length /= 2.0
    return 0.0


def _diverged() -> UndecidableError:
    return UndecidableError(
        f"no head after {_MAX_ITERATIONS} Newton steps", "give vectors of ordinary size"
    )
