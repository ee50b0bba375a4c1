"""A run of a plan, and the steps that trained it."""

from dataclasses import dataclass

from polylect.base import Seed


@dataclass(frozen=True, kw_only=True)
class RunSteps:
    """A run, and the steps that trained it.

    Attributes:
        name: of the run.
        variant: its variant.
        cooldown: its cooldown; empty without one.
        scale: factor on tokens and parameters.
        seed: its seed.
        steps: labels of its trainings, in order; the scores are those of the last.
    """

    name: str
    variant: str
    cooldown: str
    scale: float
    seed: Seed
    steps: tuple[str, ...]

    @property
    def model(self) -> str:
        """What is compared: variant and cooldown."""
        return self.variant + (f"+{self.cooldown}" if self.cooldown else "")
