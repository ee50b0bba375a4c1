"""Turns by a chat template, with a mask of exactly what the model would say.

The mask does not come from searching the text: a conversation is rendered up to an assistant's
turn, generation prompt included, and up to the end of the turn. A turn is learned where the text
of the whole begins with both. Where it does not, the template writes the turn otherwise once others
follow (Qwen3 drops earlier thinking): learned there, it would be learned as the model never says
it, so that it is context only, and counted. The last turn is always as the model says it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np

from polylect.base import InputError
from polylect.rows import Message, template_arguments
from polylect.text.borders import cut_at_borders
from polylect.text.chat import ChatTemplate, solid
from polylect.text.special_tokens import MARK, SpecialTokens, strings_in
from polylect.text.tokenizer import Tokenizer

LearnedTurns = Literal["all", "last"]
"""Which of the assistant's turns are learned: all that are exact, or the last one alone."""

_STUB = "Ok7"


@dataclass(frozen=True)
class RenderedChat:
    """A conversation as tokens, up to the last turn that is learned.

    Attributes:
        ids: int32 [T].
        trained: bool [T], True for what the assistant said, end-of-turn tokens included.
        apart: a token would have spanned prompt and answer, so they were encoded apart, as they
            are when the model answers.
        respelled: as in ``CutText``.
        rewritten: turns that are not learned since the template writes them otherwise once others
            follow.
        spoken: the last turn is written as the model says it, since the template does not keep it.
    """

    ids: np.ndarray
    trained: np.ndarray
    apart: bool = False
    respelled: bool = False
    rewritten: int = 0
    spoken: bool = False


@dataclass(frozen=True)
class RenderedAnswer:
    """A prompt and an answer to it as tokens.

    Attributes:
        prompt: int32 [P], as when the model answers.
        answer: int32 [A], the end token included.
        following: what asks for another answer after it, int32; empty if nothing does, None where
            the template writes the answer otherwise once it is asked.
        apart, respelled: as in ``RenderedChat``.
    """

    prompt: np.ndarray
    answer: np.ndarray
    following: np.ndarray | None
    apart: bool = False
    respelled: bool = False


def spells_special(tokenizer: Tokenizer, messages: Sequence[Message]) -> bool:
    """Whether a message, or what belongs to it, spells a special token.

    Raises:
        InputError: the arguments of a call are no JSON object.
    """
    return tokenizer.has_special(*strings_in(template_arguments(messages)))


def up_to_learned(messages: Sequence[Message], turns: LearnedTurns) -> list[Message]:
    """The messages up to the last one that is learned: what follows it teaches nothing.

    All of them if none is. For ``last``, none but the last one is learned.
    """
    last = max((i for i, message in enumerate(messages) if message.learned), default=-1)
    chosen = [*messages[: last + 1]] or [*messages]
    if turns == "last":
        chosen[:-1] = [replace(message, trained=False) for message in chosen[:-1]]
    return chosen


@dataclass(frozen=True)
class Templated:
    """Turns by a chat template."""

    tokenizer: Tokenizer
    template: ChatTemplate
    special_tokens: SpecialTokens = "spell"
    """What becomes of special tokens' texts in messages."""

    @cached_property
    def _chat(self) -> ChatTemplate:
        is_spelled = self.special_tokens == "spell"
        return replace(self.template, spelled=self.tokenizer.special_texts if is_spelled else ())

    @property
    def name(self) -> str:
        """Its name in settings."""
        return f"template {self.template.digest[:12]}"

    @property
    def place(self) -> str:
        """Where the template is, as errors begin."""
        return self.template.place

    @property
    def source(self) -> str:
        """The chat template, in Jinja."""
        return self.template.source

    def render(self, messages: Sequence[Message], turns: LearnedTurns = "all") -> RenderedChat:
        """The tokens of a conversation up to the last turn that is learned.

        Some templates drop the thoughts of every turn (DeepSeek-R1). Where the last turn alone is
        learned, it then is what the model says: the prompt, the content as it is, the end token.

        Args:
            messages: of the conversation.
            turns: which turns are learned.

        Raises:
            InputError: the template refuses it, does not keep what is to be learned, goes on
                after a prompt otherwise than it writes the answer, or writes no special token after
                it.
        """
        messages = up_to_learned(messages, turns)
        whole = self._chat.render_every_turn(messages, add_generation_prompt=False)
        spoken = ""
        try:
            borders, rewritten = self._borders(messages, whole)
        except InputError as error:
            whole = spoken = self._spoken(messages, whole, turns, error)
            borders, rewritten = self._borders(messages, whole, is_spoken=True)
        borders.append((len(whole), False))
        starts = [0, *(border for border, _ in borders)]
        pieces = [whole[a:b] for a, b in pairwise(starts)]
        (cut,) = cut_at_borders(self.tokenizer, [pieces], special=True)
        trained = [
            np.full(len(ids), is_trained)
            for ids, (_, is_trained) in zip(cut.pieces, borders, strict=True)
        ]
        return RenderedChat(
            np.concatenate(cut.pieces), np.concatenate(trained), cut.apart, cut.respelled,
            rewritten, bool(spoken),
        )  # fmt: skip

    def _borders(
        self, messages: Sequence[Message], whole: str, *, is_spoken: bool = False
    ) -> tuple[list[tuple[int, bool]], int]:
        """Where turns of the assistant begin and end, with what is learned before; how many are not
        learned since the template rewrites them.

        Args:
            messages: of the conversation.
            whole: its text.
            is_spoken: the last turn is written by ``_spoken``.

        Raises:
            InputError: see ``render``.
        """
        borders: list[tuple[int, bool]] = []
        rewritten = 0
        for number, message in enumerate(messages):
            if message.role != "assistant":
                continue
            is_last = number == len(messages) - 1 and message.learned
            try:
                if is_last and is_spoken:
                    start = len(self._chat.text(messages[:-1], add_generation_prompt=True))
                    end = len(whole)
                else:
                    text = whole if is_last else None
                    start, end = self._turn(messages[: number + 1], text, whole)
            except InputError:
                if is_last:
                    raise
                rewritten += message.learned
                continue
            borders += [(start, False), (end, message.learned)]
        return borders, rewritten

    def _spoken(
        self, messages: Sequence[Message], whole: str, turns: LearnedTurns, error: InputError
    ) -> str:
        """A conversation with its last turn as the model says it, not as the template keeps it.

        Args:
            messages: of the conversation.
            whole: its text by the template.
            turns: which turns are learned.
            error: what is wrong with the last turn.

        Raises:
            InputError: the error, where only ``--turns last`` or nothing helps.
        """
        if len(messages) < 2 or not self._end_text or messages[-1].tool_calls:
            raise error
        before = self._chat.text(messages[:-1], add_generation_prompt=True)
        # What a prompt ends with and the template does not write: the beginning of a thought.
        opening = before[_num_shared(before, whole) :]
        content = messages[-1].content
        if self._keeps(content, whole) or not content.startswith(opening):
            raise error
        if turns != "last":
            hint = f"--turns last learns it as the model says it; or {error.hint}"
            raise InputError(error.message, hint)
        rest = content[len(opening) :]
        marked = self.tokenizer.with_marks(rest) if self.special_tokens == "spell" else rest
        return before + marked + self._end_text

    def _keeps(self, content: str, text: str) -> bool:
        return solid(content) in solid(text.replace(MARK, ""))

    def answer(
        self, messages: Sequence[Message], text: str, following: Sequence[Message] = ()
    ) -> RenderedAnswer:
        """The tokens of a prompt and of an answer to it, whatever earlier turns are like.

        Args:
            messages: of the prompt.
            text: the answer.
            following: messages that ask for another answer.

        Raises:
            InputError: as for ``render``.
        """
        turns = [*messages, Message("assistant", text)]
        whole = self._chat.render_every_turn(turns, add_generation_prompt=False)
        start, end = self._turn(turns, whole, whole)
        pieces = [whole[:start], whole[start:end]]
        rewrites = False
        if following:
            asked = self._chat.render([*turns, *following], add_generation_prompt=True)
            rewrites = not asked.startswith(whole[:end])
            pieces += [] if rewrites else [asked[end:]]
        (cut,) = cut_at_borders(self.tokenizer, [pieces], special=True)
        rest = cut.pieces[2] if len(cut.pieces) > 2 else np.empty(0, np.int32)
        return RenderedAnswer(
            cut.pieces[0], cut.pieces[1], None if rewrites else rest, cut.apart, cut.respelled
        )

    def prompt(self, messages: Sequence[Message]) -> np.ndarray:
        """Tokens of the prompt for the assistant's next turn, int32 [T]."""
        return self._encode(self._chat.render_every_turn(messages, add_generation_prompt=True))

    def num_altered(self, messages: Sequence[Message]) -> int:
        """How many earlier answers a prompt leaves out or shortens."""
        return self._chat.num_altered(messages)

    def whole(self, messages: Sequence[Message]) -> np.ndarray:
        """Tokens of a whole conversation, to the end of the template's text, int32 [T].

        They are those of transformers' ``apply_chat_template`` without a generation prompt.
        """
        return self._encode(self._chat.render_every_turn(messages, add_generation_prompt=False))

    def ends(self) -> tuple[int, ...]:
        """Tokens that end an assistant's turn: the special token that the template writes after it.

        Empty if it writes none; the tokenizer's end-of-text token ends an answer in any case.
        """
        end = self._end_text
        return (int(self._encode(end)[-1]),) if end else ()

    @cached_property
    def _end_text(self) -> str:
        """The special token after an assistant's turn; empty without one."""
        turns = [Message("user", "a"), Message("assistant", _STUB)]
        whole = self._chat.render(turns, add_generation_prompt=False)
        start = whole.rfind(_STUB)
        begin, end = _first(whole, start + len(_STUB), self.tokenizer.special_texts)
        return whole[begin:end] if start >= 0 else ""

    @cached_property
    def _header(self) -> str:
        """What a prompt ends with, so that the model answers; may be empty."""
        before = self._chat.text([Message("user", "a")], add_generation_prompt=False)
        asked = self._chat.text([Message("user", "a")], add_generation_prompt=True)
        # Some templates end a conversation that is not to be answered with a token of its own.
        return asked[_num_shared(before, asked) :]

    def _encode(self, text: str) -> np.ndarray:
        return self.tokenizer.encode([text], special=True)[0]

    def _turn(self, messages: Sequence[Message], text: str | None, whole: str) -> tuple[int, int]:
        """Where the last message begins and ends in the text of the whole, end token included.

        Args:
            messages: up to an assistant's turn.
            text: they alone, rendered; None renders them.
            whole: the text of the whole conversation.

        Raises:
            InputError: see ``render``.
        """
        number = len(messages)
        if text is None:
            text = self._chat.text(messages, add_generation_prompt=False)
        start = self._start(messages, text)
        # A prompt may end with the beginning of the answer, such as that of a thought.
        answer = text[max(0, start - len(self._header)) :]
        if not self._keeps(messages[-1].content, answer):
            raise self._error(
                f"the chat template does not keep turn {number} (assistant) as it is",
                "use a template that does, or take out of the row what it leaves out or rewrites",
            )
        end = self._end(messages[-1].content.strip(), text, start)
        if not end:
            raise self._error(
                f"the chat template writes no special token after an assistant's turn"
                f" ({text[-20:]!r})",
                "the model would never learn to stop: fix the template",
            )
        if not whole.startswith(text[:end]):
            raise self._error(
                f"the chat template rewrites turn {number} once others follow",
                "--turns last learns the last turn alone",
            )
        return start, end

    def _end(self, content: str, text: str, start: int) -> int:
        """Where the end token of a turn with this content ends in the text; 0 without one."""
        marked = self.tokenizer.with_marks(content) if self.special_tokens == "spell" else content
        begin = text.find(marked, start) if content else -1
        behind = begin + len(marked) if begin >= 0 else start
        end_text = self._end_text
        if end_text:
            # Content that is rendered otherwise than it is (a thought) is not found.
            place = text.find(end_text, behind) if begin >= 0 else text.rfind(end_text, start)
            if place >= 0:
                return place + len(end_text)
        # Some turns, such as calls of tools, have an end token of their own.
        return _first(text, behind, self.tokenizer.special_texts)[1]

    def _start(self, messages: Sequence[Message], text: str) -> int:
        """The length of the prompt that the last message answers.

        Raises:
            InputError: the text does not go on after the prompt.
        """
        if len(messages) > 1:
            before = self._chat.text(messages[:-1], add_generation_prompt=True)
            if text.startswith(before):
                return len(before)
            begin = max((before.rfind(x) for x in self.tokenizer.special_texts), default=-1)
            shown = before[max(begin, len(before) - 40) :] if begin >= 0 else before[-20:]
        else:
            # Templates are not made for a prompt without messages: the answer's header is sought.
            shown = self._header
            begin = text.find(shown)
            if shown and begin >= 0:
                return begin + len(shown)
        raise self._error(
            f"the model answers after {shown!r}, the chat template writes the answer of turn"
            f" {len(messages)} otherwise",
            "no training on it fits what the model reads: --template FILE.jinja with one that does",
        )

    def _error(self, message: str, hint: str) -> InputError:
        return InputError(f"{self.template.place}: {message}", hint)


def _num_shared(first: str, second: str) -> int:
    """How many characters two texts begin with alike."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(first), len(second)))


def _first(text: str, start: int, specials: Sequence[str]) -> tuple[int, int]:
    """Where the first special token at or after ``start`` begins and ends; zeros without one.

    Example:
        >>> _first("Hi<|end|>!", 0, ["<|end|>"])
        (2, 9)
    """
    matches = [
        (index, index + len(special))
        for special in specials
        if (index := text.find(special, start)) >= 0
    ]
    return min(matches, default=(0, 0))
