"""What stands before an improved answer in SRPO: the prompt, an answer, and the request.

Where the template's text begins with prompt and answer, their tokens are shared and the request is
cut at the text's border. A template that writes the answer otherwise once it is asked to improve it
(one that drops earlier thinking, say) gives a context that shares less: the model reads it as it
would be rendered, whatever that costs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from polylect.rows import Message
from polylect.text import RenderedAnswer, Style

Shared = Literal["answer", "prompt", "nothing"]


@dataclass(frozen=True, slots=True)
class RefineContext:
    """The tokens before an improved answer.

    Attributes:
        shared: what it begins with: the pair's prompt and this ``answer``, the ``prompt`` alone, or
            nothing of them.
        ids: what follows that, int32, at least one.
    """

    shared: Shared
    ids: np.ndarray

    def length(self, num_prompt: int, num_answer: int) -> int:
        """Its tokens, shared ones included.

        Args:
            num_prompt: tokens of the pair's prompt.
            num_answer: of the answer to be improved.
        """
        shared = {"answer": num_prompt + num_answer, "prompt": num_prompt, "nothing": 0}
        return shared[self.shared] + len(self.ids)


def refine_request(refine_prompt: str) -> list[Message]:
    """The request to improve the answer above, as messages."""
    return [Message("user", refine_prompt)]


def refine_context(
    style: Style, messages: Sequence[Message], text: str, rendered: RenderedAnswer, request: str
) -> RefineContext:
    """The context of an improvement of an answer that is learned as it was rendered.

    Args:
        style: renders messages.
        messages: of the prompt.
        text: the answer.
        rendered: its tokens, with the request as what follows.
        request: to improve it.

    Raises:
        InputError: the template refuses the conversation.
    """
    if rendered.following is not None:
        return RefineContext("answer", rendered.following)
    return _anew(style, messages, text, rendered.prompt, request)


def sampled_context(
    style: Style,
    messages: Sequence[Message],
    text: str,
    prompt: np.ndarray,
    sampled: np.ndarray,
    request: str,
    *,
    is_ended: bool,
) -> RefineContext:
    """As ``refine_context``, for an answer that the model generated, by its own tokens.

    Args:
        style: renders messages.
        messages: of the prompt.
        text: the answer.
        prompt: tokens of the messages.
        sampled: tokens of the answer.
        request: to improve it.
        is_ended: the last token is an end token; without one, or with another than the template
            writes, the template's takes its place.
    """
    text = text or " "  # some templates leave a turn without content out
    rendered = style.answer(messages, text, refine_request(request))
    if rendered.following is None:
        return _anew(style, messages, text, prompt, request)
    end = rendered.answer[-1:]
    if not is_ended:
        return RefineContext("answer", np.concatenate([end, rendered.following]))
    if sampled[-1] == end[0]:
        return RefineContext("answer", rendered.following)
    return RefineContext("prompt", np.concatenate([sampled[:-1], end, rendered.following]))


def _anew(
    style: Style, messages: Sequence[Message], text: str, prompt: np.ndarray, request: str
) -> RefineContext:
    whole = style.prompt([*messages, Message("assistant", text), *refine_request(request)])
    num = len(prompt)
    if len(whole) > num and np.array_equal(whole[:num], prompt):
        return RefineContext("prompt", whole[num:])
    return RefineContext("nothing", whole)
