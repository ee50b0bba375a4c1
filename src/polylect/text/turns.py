"""Conversations as tokens, with a mask of exactly what the assistant said.

The mask does not come from searching the text: the conversation is rendered up to each assistant's
turn, generation prompt included, and up to the end of the turn. If the whole does not begin with
these, the template rewrites earlier turns, no mask would be exact, and it is refused.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from polylect.base import InputError, Ledger, read_text
from polylect.rows import Message, as_dicts
from polylect.text.borders import CutText, cut_at_borders
from polylect.text.chat import ChatTemplate
from polylect.text.tokenizer import Tokenizer

NO_TEMPLATE = "fell back: no chat template, plain turns"

_TURN = "<|START_OF_TURN_TOKEN|><|{0}_TOKEN|>{{{{ message['content'] }}}}<|END_OF_TURN_TOKEN|>"
AYA_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'system' %}" + _TURN.format("SYSTEM") + "{% elif message['role'] =="
    " 'user' %}" + _TURN.format("USER") + "{% elif message['role'] == 'assistant' %}"
    + _TURN.format("CHATBOT") + "{% else %}{{ raise_exception('a role is system, user or"
    " assistant') }}{% endif %}{% endfor %}{% if add_generation_prompt %}"
    "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>{% endif %}"
)  # fmt: skip
"""The turns of Aya 23 and of Command models, without their default system prompts."""

_PLAIN_TURNS = (
    "{% for message in messages %}"
    "{% if not loop.first and messages[loop.index0 - 1]['role'] == 'assistant' %}{{ '\\n' }}"
    "{% endif %}{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ EOS }}{% else %}{{ '\\n' }}{% endif %}{% endfor %}"
)


@dataclass(frozen=True)
class RenderedChat:
    """A conversation as tokens.

    Attributes:
        ids: int32 [T].
        trained: bool [T], True for what the assistant said, end-of-turn tokens included.
        apart: a token would have spanned prompt and answer, so they were encoded apart, as they
            are when the model answers.
        respelled: as in ``CutText``.
    """

    ids: np.ndarray
    trained: np.ndarray
    apart: bool = False
    respelled: bool = False


@dataclass(frozen=True)
class Plain:
    """Turns without a template: BOS, a line per turn, EOS after the assistant's."""

    tokenizer: Tokenizer

    @property
    def name(self) -> str:
        """Its name in settings."""
        return "plain"

    def render(self, messages: Sequence[Message]) -> RenderedChat:
        """The tokens of a conversation."""
        eos = np.array([self.tokenizer.eos_id], np.int32)
        ids = [np.array([self.tokenizer.bos_id], np.int32)]
        trained = [np.zeros(1, bool)]
        cuts: list[CutText] = []
        asked, begin = "", ""
        for message, turn in zip(messages, as_dicts(messages), strict=True):
            if message.role != "assistant":
                asked, begin = f"{asked}{begin}{turn['content']}\n", ""
                continue
            cuts += cut_at_borders(self.tokenizer, [[asked, begin + turn["content"]]])
            before, answer = cuts[-1].pieces
            ids += [before, answer, eos]
            trained += [np.zeros(len(before), bool), np.full(len(answer) + 1, message.learned)]
            asked, begin = "", "\n"
        ids += self.tokenizer.encode([asked])
        trained.append(np.zeros(len(ids[-1]), bool))
        return RenderedChat(
            np.concatenate(ids),
            np.concatenate(trained),
            any(cut.apart for cut in cuts),
            any(cut.respelled for cut in cuts),
        )

    def prompt(self, messages: Sequence[Message]) -> np.ndarray:
        """Tokens of the prompt for the assistant's next turn, int32 [T]."""
        return self.render(messages).ids

    @property
    def source(self) -> str:
        """These turns as a chat template, in Jinja."""
        bos, eos = (
            json.dumps(self.tokenizer.text_of(token_id), ensure_ascii=False)
            for token_id in (self.tokenizer.bos_id, self.tokenizer.eos_id)
        )
        return "{{ " + bos + " }}" + _PLAIN_TURNS.replace("EOS", eos)

    def whole(self, messages: Sequence[Message]) -> np.ndarray:
        """Tokens of a whole conversation as transformers gives them by ``source``, int32 [T].

        The text is encoded at once: ``render`` encodes every turn on its own.
        """
        return Templated(self.tokenizer, ChatTemplate("plain turns", self.source)).whole(messages)

    def ends(self) -> tuple[int, ...]:
        """Tokens that end an assistant's turn."""
        return (self.tokenizer.eos_id,)


@dataclass(frozen=True)
class Templated:
    """Turns by a chat template."""

    tokenizer: Tokenizer
    template: ChatTemplate

    @property
    def name(self) -> str:
        """Its name in settings."""
        return f"template {self.template.digest[:12]}"

    def render(self, messages: Sequence[Message]) -> RenderedChat:
        """The tokens of a conversation.

        Raises:
            InputError: the template refuses it, rewrites earlier turns, or writes no special token
                after an assistant's turn.
        """
        whole = self.template.render(messages, add_generation_prompt=False)
        borders = self._borders(messages, whole)
        starts = [0, *(border for border, _ in borders)]
        pieces = [whole[a:b] for a, b in pairwise(starts)]
        (cut,) = cut_at_borders(self.tokenizer, [pieces], special=True)
        trained = [
            np.full(len(ids), is_trained)
            for ids, (_, is_trained) in zip(cut.pieces, borders, strict=True)
        ]
        return RenderedChat(
            np.concatenate(cut.pieces), np.concatenate(trained), cut.apart, cut.respelled
        )

    def prompt(self, messages: Sequence[Message]) -> np.ndarray:
        """Tokens of the prompt for the assistant's next turn, int32 [T]."""
        return self._encode([self.template.render(messages, add_generation_prompt=True)])[0]

    @property
    def source(self) -> str:
        """The chat template, in Jinja."""
        return self.template.source

    def whole(self, messages: Sequence[Message]) -> np.ndarray:
        """Tokens of a whole conversation, to the end of the template's text, int32 [T].

        They are those of transformers' ``apply_chat_template`` without a generation prompt.
        """
        return self._encode([self.template.render(messages, add_generation_prompt=False)])[0]

    def ends(self) -> tuple[int, ...]:
        """Tokens that end an assistant's turn: the special token that the template writes after it.

        Empty if it writes none; the tokenizer's end-of-text token ends an answer in any case.
        """
        turns = [Message("user", "a"), Message("assistant", "b")]
        before = self.template.render(turns[:1], add_generation_prompt=True)
        whole = self.template.render(turns, add_generation_prompt=False)
        if not whole.startswith(before):
            return ()
        start = whole.find("b", len(before))
        end = _first_end(whole, start + 1, self.tokenizer.special_texts) if start >= 0 else 0
        return (int(self._encode([whole[:end]])[0][-1]),) if end else ()

    def _encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        return self.tokenizer.encode(texts, special=True)

    def _borders(self, messages: Sequence[Message], whole: str) -> list[tuple[int, bool]]:
        """Ends of the pieces of the text, and whether each is trained."""
        borders: list[tuple[int, bool]] = []
        for number, message in enumerate(messages):
            if message.role != "assistant":
                continue
            before = self.template.render(messages[:number], add_generation_prompt=True)
            after = self.template.render(messages[: number + 1], add_generation_prompt=False)
            text = message.content.strip()
            start = after.find(text, len(before))
            specials: Sequence[str] = self.tokenizer.special_texts
            if message.tool_calls or message.reasoning_content:
                # Calls and reasoning have special tokens of their own: only the turn's end counts.
                specials = [self.tokenizer.text_of(token_id) for token_id in self.ends()]
            end = _first_end(after, start + len(text), specials)
            if start < 0 or not (whole.startswith(before) and whole.startswith(after[:end])):
                raise InputError(
                    f"{self.template.place}: the chat template rewrites turn {number + 1} once"
                    " others follow, so that no mask of it is exact",
                    "train on the last turn only, or use --template FILE.jinja",
                )
            if not end:
                raise InputError(
                    f"{self.template.place}: the chat template writes no special token after an"
                    f" assistant's turn ({after[-20:]!r})",
                    "the model would never learn to stop: fix the template",
                )
            borders += [(len(before), False), (end, message.trained)]
        return [*borders, (len(whole), False)]


def _first_end(text: str, start: int, specials: Sequence[str]) -> int:
    """The end of the first special token at or after ``start``; 0 if there is none.

    Example:
        >>> _first_end("Hi<|end|>!", 0, ["<|end|>"])
        9
    """
    matches = [
        (index, len(special)) for special in specials if (index := text.find(special, start)) >= 0
    ]
    return sum(min(matches)) if matches else 0


@dataclass(frozen=True)
class Continued:
    """No turns: the text itself, after BOS if the tokenizer adds one."""

    tokenizer: Tokenizer

    @property
    def name(self) -> str:
        """Its name in settings."""
        return "none"

    def prompt(self, messages: Sequence[Message]) -> np.ndarray:
        """Tokens to continue, int32 [T]: the messages, separated by empty lines."""
        text = "\n\n".join(turn["content"] for turn in as_dicts(messages))
        ids = self.tokenizer.encode([text])[0]
        bos = [self.tokenizer.bos_id] if self.tokenizer.adds_bos or not len(ids) else []
        return np.concatenate([np.array(bos, np.int32), ids])

    def ends(self) -> tuple[int, ...]:
        """Tokens that end the continuation."""
        return (self.tokenizer.eos_id,)


Style = Plain | Templated


def style_of(folder: Path, tokenizer: Tokenizer, template: str = "own") -> Style:
    """The chat style of a checkpoint.

    Args:
        folder: the checkpoint's.
        tokenizer: its tokenizer.
        template: ``own`` (the checkpoint's), ``plain``, ``aya`` (that of Aya 23 and Command
            models), or a Jinja file.

    Raises:
        InputError: there is no such template, or it spells tokens that the tokenizer lacks.
    """
    if template == "plain":
        return Plain(tokenizer)
    if template == "own":
        carried, plain = ChatTemplate.load(folder), Plain(tokenizer)
        # A model that was trained on plain turns carries them as its template.
        return plain if carried.source == plain.source else Templated(tokenizer, carried)
    source = AYA_TEMPLATE if template == "aya" else read_text(Path(template))
    place = template if template != "aya" else "the template of Aya 23"
    tokens = {"bos_token": tokenizer.text_of(tokenizer.bos_id),
              "eos_token": tokenizer.text_of(tokenizer.eos_id)}  # fmt: skip
    if template == "aya":
        for name in ("START_OF_TURN", "END_OF_TURN", "USER", "CHATBOT"):
            if f"<|{name}_TOKEN|>" not in tokenizer.special_texts:
                raise InputError(
                    f"{folder}: the tokenizer has no token <|{name}_TOKEN|>, which {place} needs",
                    "--template own, or plain",
                )
    return Templated(tokenizer, ChatTemplate(place, source, tokens))


def style_or_plain(
    folder: Path, tokenizer: Tokenizer, template: str, ledger: Ledger, whose: str = ""
) -> Style:
    """Like ``style_of``, but a checkpoint without a template gets plain turns, which is counted.

    Raises:
        InputError: as for ``style_of``.
    """
    if template == "own" and not has_template(folder):
        ledger.count(NO_TEMPLATE, 1, whose)
        template = "plain"
    return style_of(folder, tokenizer, template)


def has_template(folder: Path) -> bool:
    """Whether a checkpoint has a chat template."""
    return bool(template_of(folder))


def template_of(folder: Path) -> str:
    """A checkpoint's chat template in Jinja; empty where it has none."""
    try:
        return ChatTemplate.load(folder).source
    except InputError:
        return ""
