"""Heads that differ between users in few directions, by L-BFGS in float64 on all pairs at once.

User u's head is base + basis (mean + e_u), e_u of unit normal prior, so that a text's loadings on
the basis are in log-odds. ``Personalized`` keeps the mean at 0, ``Factorized`` the base. The
objective is not convex; it starts from the leading directions of the users' individual heads and
draws nothing.
"""

from dataclasses import dataclass

import numpy as np

from polylect.people.methods.heads import fit_head, log_sigmoid, margins
from polylect.people.methods.pairs import CrowdPairs, Pairs

_OPTIONS = {"maxiter": 500, "ftol": 1e-10, "gtol": 1e-6, "maxcor": 20}


@dataclass(frozen=True)
class LowRank:
    """What the heads share.

    Attributes:
        base: float64 [width].
        basis: float64 [width, rank].
        mean: of the users' coordinates, float64 [rank].
    """

    base: np.ndarray
    basis: np.ndarray
    mean: np.ndarray

    def head(self, pairs: Pairs, share: float) -> np.ndarray:
        """The head of a user, by the coordinates that are the posterior mode, float64 [width].

        Args:
            pairs: the user's.
            share: how much each pair counts.
        """
        inner = Pairs(pairs.vectors @ self.basis, pairs.chosen, pairs.rejected)
        fit = fit_head(
            inner, 1.0, self.mean, np.full(len(pairs), share),
            offset=margins(pairs.vectors @ self.base, pairs),
        )  # fmt: skip
        return self.base + self.basis @ fit.weight


def leading_coordinates(heads: np.ndarray, rank: int) -> np.ndarray:
    """Coordinates of heads [users, width] in their leading directions, float64 [users, rank].

    Of mean square 1 and uncorrelated; fewer columns where the heads span fewer directions.
    """
    left, size, _ = np.linalg.svd(heads, full_matrices=False)
    rank = min(rank, int((size > 1e-9 * size[0]).sum())) if size[0] else 0
    columns = left[:, :rank]
    # The sign of a singular vector is arbitrary; here the largest entry is positive.
    signs = np.sign(columns[np.abs(columns).argmax(axis=0), np.arange(rank)])
    return columns * signs * np.sqrt(len(heads))


def fit_low_rank(
    pairs: CrowdPairs, precision: float, rank: int, alpha: float, base: np.ndarray | None
) -> LowRank:
    """The minimum of α · loss of users + (1 − α) · loss of the generic user + penalties.

    The generic user has e = 0. Losses are sums over the pairs; the penalties are
    ``precision`` / 2 times the squares of base and basis, and half of those of all e_u.

    Args:
        pairs: of the crowd.
        precision: of the normal prior of base and basis.
        rank: columns of the basis.
        alpha: α.
        base: where the base begins, the mean then stays 0; None keeps the base 0 and learns the
            mean, without a penalty.
    """
    from scipy.optimize import minimize
    from scipy.sparse import csr_array

    has_base = base is not None
    width, num_users = pairs.width, len(pairs.users)
    base = np.zeros(width) if base is None else base
    parts = (pairs.of(i) for i in range(num_users))
    heads = np.stack([fit_head(part, precision).weight for part in parts]) - base
    coordinates = leading_coordinates(heads, rank)
    rank = coordinates.shape[1]
    if not rank:
        return LowRank(base, np.zeros((width, 0)), np.zeros(0))
    basis = heads.T @ coordinates / num_users
    mean = np.zeros(rank) if has_base else coordinates.mean(axis=0)
    users = coordinates - mean

    num, texts = len(pairs), len(pairs.vectors)
    columns = np.arange(num)
    signs = np.concatenate([np.ones(num), -np.ones(num)])
    places = (np.concatenate([pairs.chosen, pairs.rejected]), np.tile(columns, 2))
    incidence = csr_array((signs, places), shape=(texts, num))
    starts = np.searchsorted(pairs.user, np.arange(num_users))
    ends = np.cumsum([width if has_base else rank, width * rank])

    def unpack(flat: np.ndarray) -> tuple[LowRank, np.ndarray]:
        first, basis, users = np.split(flat, ends)
        where = (first, np.zeros(rank)) if has_base else (np.zeros(width), first)
        shared = LowRank(where[0], basis.reshape(width, rank), where[1])
        return shared, users.reshape(num_users, rank)

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        shared, users = unpack(flat)
        loading = incidence.T @ (pairs.vectors @ shared.basis)  # [pairs, rank]
        generic = margins(pairs.vectors @ shared.base, pairs) + loading @ shared.mean
        margin = generic + np.einsum("pk,pk->p", loading, users[pairs.user])
        value = -alpha * log_sigmoid(margin).sum() - (1 - alpha) * log_sigmoid(generic).sum()
        value += 0.5 * precision * (np.square(shared.base).sum() + np.square(shared.basis).sum())
        value += 0.5 * np.square(users).sum()
        slope = -alpha * _lose(margin)
        slope_generic = -(1 - alpha) * _lose(generic)
        both = slope + slope_generic
        to_loading = slope[:, None] * users[pairs.user] + both[:, None] * shared.mean
        to_basis = pairs.vectors.T @ (incidence @ to_loading) + precision * shared.basis
        to_users = np.add.reduceat(slope[:, None] * loading, starts, axis=0) + users
        if has_base:
            to_first = pairs.vectors.T @ (incidence @ both) + precision * shared.base
        else:
            to_first = both @ loading
        return float(value), np.concatenate([to_first, to_basis.ravel(), to_users.ravel()])

    first = base if has_base else mean
    flat = np.concatenate([first, basis.ravel(), users.ravel()])
    best = minimize(objective, flat, jac=True, method="L-BFGS-B", options=_OPTIONS)
    return unpack(best.x)[0]


def _lose(margin: np.ndarray) -> np.ndarray:
    from scipy.special import expit

    return expit(-margin)
