"""A classifier of translated against native text: character n-grams, logistic regression.

Features are counts of character 1- to 3-grams within lower-case words, digits as ``0``, as
log(1 + count), each text scaled to length 1; words of the topic are kept out by hand only: compare
texts on the same topics, or pairs of one source (docs/guides/translation.md). The regression is
convex and fitted to its optimum (L-BFGS), so that a result depends on no seed but that of the
folds.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from polylect.base import derive_seed, generator
from polylect.feedback.translationese.lexical import words_of

NUM_FOLDS = 5
_MOST_FEATURES, _LEAST_TEXTS, _LONGEST = 20_000, 3, 3
_RIDGE = 1.0


@dataclass(frozen=True)
class TranslationeseModel:
    """A fitted classifier.

    Attributes:
        grams: index of every n-gram.
        weights: one per n-gram.
        bias: constant of the log odds.
    """

    grams: dict[str, int]
    weights: np.ndarray
    bias: float

    def log_odds(self, texts: Sequence[str]) -> np.ndarray:
        """Log odds that each text is translated [N]."""
        return _matrix([grams_of(text) for text in texts], self.grams) @ self.weights + self.bias


@dataclass(frozen=True)
class HeldOut:
    """How well translated texts are told from native ones that were not learned from.

    Attributes:
        correct: whether each text was told rightly, by a classifier that saw nothing of its group.
        log_odds: that it is translated, of the same classifier [N].
        weight: of each text, so that both kinds weigh alike and the mean is 1 [N].
    """

    correct: np.ndarray
    log_odds: np.ndarray
    weight: np.ndarray


def grams_of(text: str) -> Counter[str]:
    """Character 1- to 3-grams of a text's words, with a space at both of their ends."""
    counts: Counter[str] = Counter()
    for word in words_of(text):
        bare = f" {''.join('0' if letter.isdigit() else letter for letter in word)} "
        for num in range(1, _LONGEST + 1):
            counts.update(bare[i : i + num] for i in range(len(bare) - num + 1))
    del counts[" "]
    return counts


def fit_classifier(texts: Sequence[str], translated: Sequence[bool]) -> TranslationeseModel:
    """The classifier of texts.

    Args:
        texts: of one language [N].
        translated: whether each is [N]; both must occur.
    """
    return _fit([grams_of(text) for text in texts], np.asarray(translated, np.float64))


def held_out(
    texts: Sequence[str],
    translated: Sequence[bool],
    groups: Sequence[Hashable],
    seed: int = 0,
    *,
    shuffled: bool = False,
) -> HeldOut:
    """Every text judged by a classifier that was fitted without its group.

    Args:
        texts: of one language [N].
        translated: whether each is [N].
        groups: texts of one group are never on both sides: of one source sentence, or prompt [N].
        seed: of the folds, and of the shuffling.
        shuffled: labels are shuffled first, within groups where a group has both: the baseline.
    """
    labels = np.asarray(translated, np.float64)
    names = {name: code for code, name in enumerate(dict.fromkeys(groups))}
    codes = np.array([names[name] for name in groups])
    if shuffled:
        labels = _shuffled(labels, codes, seed)
    order = generator(seed, "folds").permutation(len(names))
    fold = order[codes] % min(NUM_FOLDS, len(names))
    grams = [grams_of(text) for text in texts]
    log_odds = np.zeros(len(texts))
    for number in np.unique(fold):
        inside, outside = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        model = _fit([grams[i] for i in inside], labels[inside])
        rows = _matrix([grams[i] for i in outside], model.grams)
        log_odds[outside] = rows @ model.weights + model.bias
    return HeldOut((log_odds > 0) == (labels > 0.5), log_odds, _balance(labels))


def _shuffled(labels: np.ndarray, codes: np.ndarray, seed: int) -> np.ndarray:
    """Labels in another order: within a group of both kinds, and among all other texts."""
    random = np.random.Generator(np.random.Philox(derive_seed(seed, "shuffled")))
    result, alone = labels.copy(), []
    by_group: dict[int, list[int]] = {}
    for place, code in enumerate(codes.tolist()):
        by_group.setdefault(code, []).append(place)
    for places in by_group.values():
        if 0 < labels[places].mean() < 1:
            result[places] = random.permutation(labels[places])
        else:
            alone += places
    result[alone] = random.permutation(labels[alone])
    return result


def _fit(grams: Sequence[Counter[str]], labels: np.ndarray) -> TranslationeseModel:
    from scipy.optimize import minimize
    from scipy.special import expit

    in_texts = Counter(gram for counts in grams for gram in counts)
    ranked = sorted(in_texts.items(), key=lambda item: (-item[1], item[0]))
    least = min(_LEAST_TEXTS, max(1, len(grams) // 10))
    index = {gram: i for i, (gram, num) in enumerate(ranked[:_MOST_FEATURES]) if num >= least}
    rows = _matrix(grams, index)
    weight = _balance(labels)

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        odds = rows @ values[:-1] + values[-1]
        error = weight * (expit(odds) - labels)
        total = float(weight @ (np.logaddexp(0, odds) - labels * odds))
        total += 0.5 * _RIDGE * float(values[:-1] @ values[:-1])
        gradient = np.append(rows.T @ error + _RIDGE * values[:-1], error.sum())
        return total, gradient

    fitted = minimize(loss, np.zeros(len(index) + 1), jac=True, method="L-BFGS-B").x
    return TranslationeseModel(index, fitted[:-1], float(fitted[-1]))


def _balance(labels: np.ndarray) -> np.ndarray:
    """Weights under which both kinds weigh alike, however many there are; their mean is 1."""
    share = labels.mean() if 0 < labels.mean() < 1 else 0.5
    return np.where(labels > 0.5, 0.5 / share, 0.5 / (1 - share))


def _matrix(grams: Sequence[Counter[str]], index: dict[str, int]) -> Any:
    from scipy.sparse import csr_matrix

    columns: list[int] = []
    values: list[float] = []
    ends = [0]
    for counts in grams:
        places = sorted((index[gram], num) for gram, num in counts.items() if gram in index)
        row = np.log1p([num for _, num in places]) if places else np.zeros(0)
        norm = float(np.sqrt(row @ row)) or 1.0
        columns += [place for place, _ in places]
        values += (row / norm).tolist()
        ends.append(len(columns))
    return csr_matrix((values, columns, ends), shape=(len(grams), len(index)))
