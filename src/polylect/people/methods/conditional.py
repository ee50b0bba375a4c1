"""One network that reads the user's number beside the text's vector."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from polylect.base import Count, Positive, generator
from polylect.people.methods.descent import Parts, descend
from polylect.people.methods.heads import fit_head, log_sigmoid
from polylect.people.methods.low_rank import leading_coordinates
from polylect.people.methods.model import CROWD, Arrays, VectorMethod, VectorModel, precision_of
from polylect.people.methods.pairs import CrowdPairs, Pairs

_INPUT_SD = 1 / 3
_BEND = 0.7
_SLOPE = 2.0 * np.tanh(_BEND) / np.cosh(_BEND) ** 2  # of the two units together, in a coordinate


@dataclass(frozen=True)
class Conditional(VectorMethod):
    """A hidden layer over [vector, one-hot user] beside a linear head, by Bradley–Terry.

    A text's score for user u is w·x + v·tanh(A x + c_u): c_u is the column of A that the user's
    one-hot input meets. With a linear head alone it would be an addend that cancels in a pair.
    Weights have normal priors under which a hidden unit's input has standard deviation 1/3 from
    the text and ``user_sd`` from the user, and the output ``prior_sd``. A new user learns c_u.
    Source: the conditional reward model of Dong et al. 2025 (arXiv 2502.19158), which writes the
    user's name before the text of a language model: on frozen vectors the name enters here.

    Attributes:
        num_hidden: units of the hidden layer.
        user_sd: standard deviation of the prior of c_u; more of it, and users differ more.
        num_steps: most iterations of L-BFGS, which sees all pairs at once.
    """

    name: ClassVar[str] = "conditional"
    personal_names: ClassVar[tuple[str, ...]] = ("column",)

    num_hidden: Count = 16
    user_sd: Positive = 0.5
    num_steps: Count = 100

    def learn_all(self, pairs: CrowdPairs, shared: Arrays, seed: int) -> VectorModel:
        """The network with all users' columns."""
        center = pairs.vectors.mean(axis=0)
        vectors, rows = pairs.vectors - center, _Rows.of(pairs)
        scale = {
            "head": precision_of(shared), "hidden": pairs.spread / _INPUT_SD**2,
            "column": 1.0 / self.user_sd**2,
            "out": self.num_hidden / self.prior_sd**2,
        }  # fmt: skip
        start = {"head": shared[CROWD], **self._start(pairs, vectors, shared, seed)}

        def objective(parts: Parts) -> tuple[float, Parts]:
            value, slopes = loss_and_slopes(parts, vectors, rows)
            for name, precision in scale.items():
                value += 0.5 * precision * float(np.square(parts[name]).sum())
                slopes[name] += precision * parts[name]
            return value, slopes

        parts = descend(objective, start, self.num_steps)
        columns = parts.pop("column")
        shared = {**shared, **parts, "center": center}
        learned = tuple({"column": column[None]} for column in columns)
        return VectorModel(self, pairs.users, shared, learned)

    def _start(
        self, pairs: CrowdPairs, vectors: np.ndarray, shared: Arrays, seed: int
    ) -> dict[str, np.ndarray]:
        """Where L-BFGS begins: two units for each direction in which individual heads differ most.

        Of the two, one adds and one subtracts, and the user's coordinate moves one towards where
        tanh is flat and one away from there. Units beyond the directions are drawn.
        """
        num = self.num_hidden
        parts = (pairs.of(i) for i in range(len(pairs.users)))
        heads = np.stack([fit_head(part, precision_of(shared)).weight for part in parts])
        heads -= heads.mean(axis=0)
        coordinates = leading_coordinates(heads, num // 2)
        basis = coordinates.T @ heads / len(heads)  # [directions, width]
        size = np.maximum((vectors @ basis.T).std(axis=0), 1e-9)
        draw = generator(seed, "conditional")
        hidden = draw.normal(size=(num, pairs.width)) / np.sqrt(pairs.spread)
        column = draw.normal(size=(len(heads), num))
        out = 0.1 * draw.normal(size=num)
        for unit, sign in ((0, 1.0), (1, -1.0)):
            some = np.s_[unit : 2 * len(basis) : 2]
            hidden[some] = basis / size[:, None]
            column[:, some] = _BEND - sign * coordinates / 2
            out[some] = sign * size / _SLOPE
        return {"hidden": hidden, "column": column, "out": out}

    def learn(self, model: VectorModel, pairs: Pairs) -> Arrays:
        """The user's column."""
        shared = model.shared
        vectors = pairs.vectors - shared["center"]
        rows = _Rows.of(CrowdPairs(pairs.vectors, pairs.chosen, pairs.rejected, ("",),
                                   np.zeros(len(pairs), np.int64)))  # fmt: skip

        def objective(parts: Parts) -> tuple[float, Parts]:
            value, slopes = loss_and_slopes({**shared, **parts}, vectors, rows)
            value += 0.5 * float(np.square(parts["column"]).sum()) / self.user_sd**2
            return value, {"column": slopes["column"] + parts["column"] / self.user_sd**2}

        return descend(objective, {"column": np.zeros((1, len(shared["out"])))}, self.num_steps)

    def score(self, shared: Arrays, personal: Arrays, vectors: np.ndarray) -> np.ndarray:
        """The network's output, with the user's column."""
        inputs = (vectors - shared["center"]) @ shared["hidden"].T + personal["column"]
        return vectors @ shared["head"] + np.tanh(inputs) @ shared["out"]


@dataclass(frozen=True)
class _Rows:
    """Each text that a user compared, once.

    Attributes:
        user, text: int64 [rows].
        chosen, rejected: rows of each pair, int64 [pairs].
    """

    user: np.ndarray
    text: np.ndarray
    chosen: np.ndarray
    rejected: np.ndarray

    @classmethod
    def of(cls, pairs: CrowdPairs) -> "_Rows":
        num = len(pairs.vectors)
        keys = np.concatenate([pairs.user * num + pairs.chosen, pairs.user * num + pairs.rejected])
        rows, inverse = np.unique(keys, return_inverse=True)
        return cls(rows // num, rows % num, inverse[: len(pairs)], inverse[len(pairs) :])


def loss_and_slopes(
    parts: Parts, vectors: np.ndarray, rows: _Rows
) -> tuple[float, dict[str, np.ndarray]]:
    """Bradley–Terry loss, summed over the pairs, and its slopes.

    Args:
        parts: ``head`` [width], ``hidden`` [units, width], ``column`` [users, units], ``out``
            [units].
        vectors: of the texts, centered.
        rows: who compared what.
    """
    from scipy.special import expit

    units = np.tanh((vectors @ parts["hidden"].T)[rows.text] + parts["column"][rows.user])
    scores = (vectors @ parts["head"])[rows.text] + units @ parts["out"]
    margin = scores[rows.chosen] - scores[rows.rejected]
    lose = expit(-margin)
    num, num_texts = len(rows.text), len(vectors)
    to_score = np.bincount(rows.rejected, lose, num) - np.bincount(rows.chosen, lose, num)
    to_input = to_score[:, None] * parts["out"] * (1.0 - np.square(units))
    starts = np.searchsorted(rows.user, np.arange(len(parts["column"])))
    slopes = {
        "head": np.bincount(rows.text, to_score, num_texts) @ vectors,
        "hidden": _sum_by(rows.text, to_input, num_texts).T @ vectors,
        "column": np.add.reduceat(to_input, starts, axis=0),
        "out": to_score @ units,
    }
    return -float(log_sigmoid(margin).sum()), slopes


def _sum_by(group: np.ndarray, values: np.ndarray, num: int) -> np.ndarray:
    """Sums of rows by group [num, columns]."""
    from scipy.sparse import csr_array

    rows = np.arange(len(group))
    return csr_array((np.ones(len(group)), (group, rows)), shape=(num, len(group))) @ values
