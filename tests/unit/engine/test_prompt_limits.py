"""What is said of a prompt that is too long names only what makes it fit."""

import pytest

from polylect.base import InputError
from polylect.engine.config import EngineConfig
from polylect.engine.limits import room_for_prompt


@pytest.mark.parametrize(
    ("num_tokens", "max_new_tokens", "hint"),
    [
        (90, 20, "--over-long cut, or --max-new-tokens 10 or less"),
        (150, 20, "--over-long cut"),
        (90, 100, "--max-new-tokens 10 or less"),
        (150, 100, "--over-long cut with --max-new-tokens below 100"),
    ],
)
def test_the_hint_names_only_what_helps(num_tokens, max_new_tokens, hint):
    config = EngineConfig(over_long="refuse")
    with pytest.raises(InputError) as caught:
        room_for_prompt("p", num_tokens, max_new_tokens, 100, config)
    assert caught.value.hint == hint
