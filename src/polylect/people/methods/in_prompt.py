"""Retrieval into a prompt: a language model reads a user's own choices and predicts the next."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from polylect.base import Count, InputError
from polylect.people.crowd import Crowd, Seen, Text
from polylect.people.methods.asking import Asked, Comparison, log_odds
from polylect.people.methods.heads import fit_head
from polylect.people.methods.model import (
    CROWD,
    Arrays,
    VectorMethod,
    VectorModel,
    pairs_as_arrays,
)
from polylect.people.methods.pairs import check_vectors, crowd_pairs, own_pairs
from polylect.people.methods.texts import texts_as_bytes, texts_of_bytes


@dataclass(frozen=True)
class PromptModel(VectorModel):
    """Users' own pairs with their texts; see ``VectorModel``.

    Examples that were left out and questions that were cut are counted.
    """

    def score(self, user: str, seen: Seen) -> np.ndarray:
        """How much a user likes each text, float64 [texts]: mean log-odds over the user's anchors.

        Anchors are texts of the user's own pairs, the same for every text that is scored, so that
        a score does not depend on the other texts; a difference of scores is an estimate of what
        ``compare`` asks. A user whom the model does not know gets the scores of the crowd, which a
        linear head on the vectors gives.
        """
        choices = self._pairs_of(user, seen)
        if choices is None:
            return super().score("", seen)
        anchors = choices.anchors(self._method.num_anchors)
        asked = [Asked(choices.examples(vector, vector, self._method.num_examples),
                       Comparison(text, anchor))
                 for text, vector in zip(seen.texts, seen.vectors, strict=True)
                 for anchor in anchors]  # fmt: skip
        return self._ask(asked).reshape(-1, len(anchors)).mean(axis=1)

    def compare(
        self, user: str, seen: Seen, first: Sequence[int], second: Sequence[int]
    ) -> np.ndarray:
        """Log-odds that a user prefers each first text to the second, float64 [pairs].

        Args:
            user: name.
            seen: texts.
            first: numbers of texts.
            second: numbers of as many.
        """
        choices = self._pairs_of(user, seen)
        if choices is None:
            scores = super().score("", seen)
            return scores[np.asarray(first)] - scores[np.asarray(second)]
        num = self._method.num_examples
        return self._ask([
            Asked(choices.examples(seen.vectors[a], seen.vectors[b], num),
                  Comparison(seen.texts[a], seen.texts[b]))
            for a, b in zip(first, second, strict=True)
        ])  # fmt: skip

    def adapt(self, user: str, crowd: Crowd, seen: Seen) -> "PromptModel":
        """The model with one user added, or learned anew; see ``VectorModel``."""
        pairs = own_pairs(crowd, seen, len(self.shared[CROWD]))
        others = self.without(user)
        learned: Arrays = _personal(crowd, seen) if len(pairs) else {}
        at = self.users.index(user) if user in self.users else len(others.users)
        return replace(
            self,
            users=(*others.users[:at], user, *others.users[at:]),
            personal=(*others.personal[:at], learned, *others.personal[at:]),
        )

    @property
    def _method(self) -> "InPrompt":
        assert isinstance(self.method, InPrompt)
        return self.method

    def _pairs_of(self, user: str, seen: Seen) -> "_Choices | None":
        check_vectors(seen.vectors, len(self.shared[CROWD]))
        personal = self.personal[self.users.index(user)] if user in self.users else {}
        return _Choices(personal) if personal else None

    def _ask(self, asked: Sequence[Asked]) -> np.ndarray:
        method = self._method
        digest = self.shared["checkpoint"].tobytes().decode()
        return log_odds(asked, Path(method.model), method.template, digest, self.ledger)


@dataclass(frozen=True)
class InPrompt(VectorMethod):
    """A user's most similar own pairs stand in the prompt of a language model, which chooses.

    Nothing is trained. Pairs are similar where their texts' vectors are close to those that are
    asked about; the most similar stands last. The log-probabilities of A and B are averaged over
    both orders. Source: the retrieval baseline of Dong et al. 2025 (arXiv 2502.19158), whose prompt
    was not seen; the notes say that it is close to chance with a model of 7 billion parameters.

    Attributes:
        model: folder of a local checkpoint.
        num_examples: pairs in the prompt, at most.
        num_anchors: of the user's own texts that a text is compared with where a score of its own
            is wanted; it takes twice as many questions.
        template: chat template: ``own`` (plain turns where there is none), ``plain``, ``aya``, or a
            Jinja file.
    """

    name: ClassVar[str] = "in_prompt"
    uses_torch: ClassVar[bool] = True
    personal_names: ClassVar[tuple[str, ...]] = ("vectors", "pairs", "texts")

    model: str = ""
    num_examples: Count = 4
    num_anchors: Count = 4
    template: str = "own"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.model:
            raise InputError("in_prompt: which language model?", "--settings model=CHECKPOINT")

    def fit(self, crowd: Crowd, seen: Seen, seed: int = 0) -> PromptModel:
        """Every user's pairs; see ``VectorMethod``.

        Raises:
            InputError: see ``VectorMethod``; or there is no such checkpoint.
        """
        from polylect.checkpoints import Checkpoint

        digest = Checkpoint.open(self.model).digest
        pairs = crowd_pairs(crowd, seen)
        precision = pairs.spread / self.prior_sd**2
        shared = {
            CROWD: fit_head(pairs, precision).weight,
            "precision": np.array([precision]),
            "checkpoint": np.frombuffer(digest.encode(), np.uint8).copy(),
        }
        numbers = np.unique(crowd.user)
        parts = [_personal(crowd.take(crowd.pairs_of(int(i))), seen) for i in numbers]
        return PromptModel(self, tuple(crowd.users[i] for i in numbers), shared, tuple(parts))

    def load(self, users: tuple[str, ...], arrays: Arrays) -> PromptModel:
        """The model of ``VectorModel.arrays``."""
        model = super().load(users, arrays)
        return PromptModel(**{f.name: getattr(model, f.name) for f in fields(model)})


def _personal(crowd: Crowd, seen: Seen) -> Arrays:
    """A user's pairs with the vectors and the texts of both sides."""
    pairs = own_pairs(crowd, seen)
    numbers = np.unique(np.concatenate([crowd.chosen, crowd.rejected]))
    return {**pairs_as_arrays(pairs), "texts": texts_as_bytes([crowd.texts[i] for i in numbers])}


class _Choices:
    """A user's pairs, to be retrieved."""

    def __init__(self, personal: Arrays) -> None:
        self._vectors = personal["vectors"].astype(np.float64)
        self._pairs = personal["pairs"]
        self._data = personal["texts"]

    @cached_property
    def _texts(self) -> tuple[Text, ...]:
        return texts_of_bytes(self._data)

    def anchors(self, num: int) -> list[Text]:
        """Texts of the pairs, evenly spread over their order."""
        places = np.linspace(0, len(self._texts) - 1, min(num, len(self._texts)))
        return [self._texts[round(float(place))] for place in places]

    def examples(self, first: np.ndarray, second: np.ndarray, num: int) -> tuple[Comparison, ...]:
        """The pairs most similar to two texts, the most similar last; the chosen side alternates.

        How far a pair is from two texts: each text's squared distance from the nearer side, summed.
        """
        distance = np.zeros(len(self._pairs))
        for vector in (first, second):
            squares = np.square(self._vectors - vector.astype(np.float64)).sum(axis=1)
            distance += squares[self._pairs].min(axis=1)
        nearest = np.argsort(distance, kind="stable")[:num][::-1]
        shown = []
        for place, (chosen, rejected) in enumerate(self._pairs[nearest]):
            each = Comparison(self._texts[chosen], self._texts[rejected], 0)
            shown.append(each if place % 2 else each.swapped())
        return tuple(shown)
