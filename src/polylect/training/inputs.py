"""What training reads beside files: a reward, and the inputs of online training."""

from typing import TypedDict

from polylect.engine import RewardSource
from polylect.runs import FileInput


class OnlineInputs(TypedDict):
    """What ``online`` reads: the policy, prompts, and the reward of its answers."""

    model: FileInput
    data: FileInput
    reward: RewardSource
