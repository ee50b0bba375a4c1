"""Two answers to one prompt, one of them preferred."""

from dataclasses import dataclass

from polylect.rows import PooledAnswer


@dataclass(frozen=True)
class Pair:
    """A preferred answer and another, with their rewards if they decided.

    Attributes:
        chosen, rejected: answers to one prompt in one language.
        scores: of both, behind the gate, where these decided; else None.
        rewards: of both, as they were scored; None for none.
    """

    chosen: PooledAnswer
    rejected: PooledAnswer
    scores: tuple[float, ...] | None
    rewards: tuple[float | None, float | None] = (None, None)

    def __post_init__(self) -> None:
        same = self.chosen.id == self.rejected.id and self.chosen.language == self.rejected.language
        assert same, "two prompts or languages"

    @property
    def margin(self) -> float:
        """Difference of the rewards; 0 without them."""
        return 0.0 if self.scores is None else self.scores[0] - self.scores[1]
