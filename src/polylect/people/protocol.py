"""What every way to learn from people offers."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from polylect.people.crowd import Crowd, Seen


class Model(Protocol):
    """What was learned of some users. It is never changed: who adds a user gets another model.

    ``seen`` are texts as the encoder sees them that the model was fitted with; most methods read
    the vectors alone, a language model that is asked reads the texts.
    """

    @property
    def users(self) -> tuple[str, ...]:
        """Those it knows."""
        ...

    def score(self, user: str, seen: Seen) -> np.ndarray:
        """How much a user likes each text, float64 [texts]: log-odds where two are compared.

        A user whom it does not know gets the scores of the crowd.
        """
        ...

    def adapt(self, user: str, crowd: Crowd, seen: Seen) -> "Model":
        """The model with one user added, or learned anew; the others' scores stay as they are.

        Args:
            user: name.
            crowd: the user's own pairs; whose they are in it does not matter. May be empty.
            seen: its texts.
        """
        ...

    def without(self, user: str) -> "Model":
        """The model without what belongs to one user alone; the others' scores stay."""
        ...

    def arrays(self) -> Mapping[str, np.ndarray]:
        """All that it has learned, to be saved; ``Method.load`` makes it again."""
        ...


class Method(Protocol):
    """A way to learn from people who disagree."""

    @property
    def name(self) -> str:
        """As it is typed."""
        ...

    def fit(self, crowd: Crowd, seen: Seen, seed: int = 0) -> Model:
        """What can be learned of a crowd.

        Args:
            crowd: the training part; users without a pair are unknown to the model.
            seen: its texts.
            seed: decides every draw.

        Raises:
            InputError: the method cannot be fitted to these data.
        """
        ...

    def load(self, users: tuple[str, ...], arrays: Mapping[str, np.ndarray]) -> Model:
        """The model of ``Model.arrays``."""
        ...
