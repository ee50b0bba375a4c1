"""Training as steps of a run; torch is imported when one of them runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polylect.base import InputError, digest_of
from polylect.runs import Files, StepContext, step
from polylect.training.config import (
    OnlineConfig,
    PreferenceConfig,
    PretrainConfig,
    RewardConfig,
    SftConfig,
)


@step(version=1)
def pretrain(config: PretrainConfig, inputs: Mapping[str, Any], context: StepContext) -> None:
    """A checkpoint and ``metrics.jsonl``; inputs ``tokens`` and ``model``."""
    from polylect.training.pretrain_loop import run_pretrain

    run_pretrain(config, inputs, context)


@step(version=1)
def sft(config: SftConfig, inputs: Mapping[str, Any], context: StepContext) -> None:
    """A checkpoint and ``metrics.jsonl``; inputs ``model`` and ``data`` (conversations)."""
    from polylect.training.sft_loop import run_sft

    run_sft(config, inputs, context)


@step(version=2)
def preference(config: PreferenceConfig, inputs: Mapping[str, Any], context: StepContext) -> None:
    """A checkpoint and ``metrics.jsonl``; inputs ``model`` and ``data`` (preferences)."""
    from polylect.training.preference_loop import run_preference

    run_preference(config, inputs, context)


@step(version=1)
def reward(config: RewardConfig, inputs: Mapping[str, Any], context: StepContext) -> None:
    """A reward model and ``metrics.jsonl``; inputs ``model`` and ``data`` (preferences)."""
    from polylect.training.reward_loop import run_reward

    run_reward(config, inputs, context)


@dataclass(frozen=True)
class RewardSource:
    """A reward as input of a step.

    Attributes:
        source: a folder of a reward model, ``FILE.py:function``, or ``language``.
    """

    source: str

    def check(self) -> None:
        """Check that the folder or file exists.

        Raises:
            InputError: there is no such folder or file.
        """
        file, colon, _ = self.source.rpartition(":")
        path = Path(file if colon and file.endswith(".py") else self.source)
        if self.source != "language" and not path.exists():
            raise InputError(
                f"--reward {self.source}: no such folder or file",
                "a folder of polylect train reward, FILE.py:function, or language",
            )

    @property
    def digest(self) -> str:
        """Digest of the folder's or file's content, and of the function's name.

        Raises:
            InputError: there is no such folder or file.
        """
        file, colon, name = self.source.rpartition(":")
        if self.source == "language":
            return digest_of(self.source)
        if colon and file.endswith(".py"):
            return digest_of({"file": Files(Path(file)).digest, "function": name})
        return Files(Path(self.source)).digest


@step(version=1)
def online(config: OnlineConfig, inputs: Mapping[str, Any], context: StepContext) -> None:
    """A checkpoint, metrics and the answers; inputs ``model``, ``data`` and ``reward``."""
    from polylect.training.online_loop import run_online

    run_online(config, inputs, context)
