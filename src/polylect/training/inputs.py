"""What training reads beside files: a reward, and the inputs of online training."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from polylect.base import InputError, digest_of
from polylect.runs import FileInput, Files


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


class OnlineInputs(TypedDict):
    """What ``online`` reads: the policy, prompts, and the reward of its answers."""

    model: FileInput
    data: FileInput
    reward: RewardSource
