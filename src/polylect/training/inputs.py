"""What training reads beside files: rewards and text."""

from typing import TypedDict

from polylect.engine import RewardSource
from polylect.mixtures import TextSource
from polylect.runs import FileInput


class OnlineInputs(TypedDict):
    """What ``online`` reads: the policy, prompts, and the reward of its answers."""

    model: FileInput
    data: FileInput
    reward: RewardSource


class TextInputs(TypedDict):
    """What pretraining on documents reads: the checkpoint, and the text."""

    model: FileInput
    text: TextSource
