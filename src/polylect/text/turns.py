"""Conversations as tokens: turns without a template, no turns, and which of these a user named."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from polylect.base import InputError, Ledger, read_text
from polylect.rows import Message, as_dicts
from polylect.text.borders import CutText, cut_at_borders
from polylect.text.chat import ChatTemplate, NoTemplate, template_file
from polylect.text.special_tokens import SpecialTokens
from polylect.text.templated import (
    LearnedTurns,
    RenderedAnswer,
    RenderedChat,
    Templated,
    up_to_learned,
)
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
class Plain:
    """Turns without a template: BOS, a line per turn, EOS after the assistant's."""

    tokenizer: Tokenizer
    special_tokens: SpecialTokens = "spell"
    """What becomes of special tokens' texts in messages."""

    @property
    def name(self) -> str:
        """Its name in settings."""
        return "plain"

    def render(self, messages: Sequence[Message], turns: LearnedTurns = "all") -> RenderedChat:
        """The tokens of a conversation up to the last turn that is learned.

        Raises:
            InputError: a message is more than text.
        """
        return self._encode(up_to_learned(messages, turns))

    @property
    def _parses(self) -> bool:
        return self.special_tokens == "parse"

    def _encode(self, messages: Sequence[Message]) -> RenderedChat:
        eos = np.array([self.tokenizer.eos_id], np.int32)
        ids = [np.array([self.tokenizer.bos_id], np.int32)]
        trained = [np.zeros(1, bool)]
        cuts: list[CutText] = []
        asked, begin = "", ""
        for message, turn in zip(messages, as_dicts(messages), strict=True):
            if message.role != "assistant":
                asked, begin = f"{asked}{begin}{turn['content']}\n", ""
                continue
            cuts += cut_at_borders(
                self.tokenizer, [[asked, begin + turn["content"]]], special=self._parses
            )
            before, answer = cuts[-1].pieces
            ids += [before, answer, eos]
            trained += [np.zeros(len(before), bool), np.full(len(answer) + 1, message.learned)]
            asked, begin = "", "\n"
        ids += self.tokenizer.encode([asked], special=self._parses)
        trained.append(np.zeros(len(ids[-1]), bool))
        return RenderedChat(
            np.concatenate(ids),
            np.concatenate(trained),
            any(cut.apart for cut in cuts),
            any(cut.respelled for cut in cuts),
        )

    def prompt(self, messages: Sequence[Message]) -> np.ndarray:
        """Tokens of the prompt for the assistant's next turn, int32 [T]."""
        return self._encode(messages).ids

    def num_altered(self, messages: Sequence[Message]) -> int:
        """None: every turn is written as it is."""
        return 0

    def answer(
        self, messages: Sequence[Message], text: str, following: Sequence[Message] = ()
    ) -> RenderedAnswer:
        """The tokens of a prompt, an answer to it, and messages that ask for another answer."""
        prompt = self.prompt(messages)
        rendered = self._encode([*messages, Message("assistant", text)])
        turns = [*messages, Message("assistant", text), *following]
        rest = self.prompt(turns)[len(rendered.ids) :] if following else rendered.ids[:0]
        return RenderedAnswer(
            prompt, rendered.ids[len(prompt) :], rest, rendered.apart, rendered.respelled
        )

    @property
    def place(self) -> str:
        """Where the template is, as errors begin; empty: there is none."""
        return ""

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
        template = ChatTemplate("plain turns", self.source)
        return Templated(self.tokenizer, template, self.special_tokens).whole(messages)

    def ends(self) -> tuple[int, ...]:
        """Tokens that end an assistant's turn."""
        return (self.tokenizer.eos_id,)


@dataclass(frozen=True)
class Continued:
    """No turns: the text itself, after BOS if the tokenizer adds one."""

    tokenizer: Tokenizer
    special_tokens: SpecialTokens = "spell"
    """What becomes of special tokens' texts in messages."""

    @property
    def name(self) -> str:
        """Its name in settings."""
        return "none"

    @property
    def place(self) -> str:
        """Empty: there is no template."""
        return ""

    def prompt(self, messages: Sequence[Message]) -> np.ndarray:
        """Tokens to continue, int32 [T]: the messages, separated by empty lines."""
        text = "\n\n".join(turn["content"] for turn in as_dicts(messages))
        ids = self.tokenizer.encode([text], special=self.special_tokens == "parse")[0]
        bos = [self.tokenizer.bos_id] if self.tokenizer.adds_bos or not len(ids) else []
        return np.concatenate([np.array(bos, np.int32), ids])

    def num_altered(self, messages: Sequence[Message]) -> int:
        """None: every turn is written as it is."""
        return 0

    def ends(self) -> tuple[int, ...]:
        """Tokens that end the continuation."""
        return (self.tokenizer.eos_id,)


Style = Plain | Templated

ALTERED = "read otherwise: an earlier answer that the chat template leaves out or shortens"
"""Ledger event: the model does not see what it said before as the row has it."""


def style_of(
    folder: Path,
    tokenizer: Tokenizer,
    template: str = "own",
    special_tokens: SpecialTokens = "spell",
) -> Style:
    """The chat style of a checkpoint.

    Args:
        folder: the checkpoint's.
        tokenizer: its tokenizer.
        template: ``own`` (the checkpoint's), ``plain``, ``aya`` (that of Aya 23 and Command
            models), or a Jinja file.
        special_tokens: what becomes of special tokens' texts in messages.

    Raises:
        InputError: there is no such template, or it spells tokens that the tokenizer lacks.
    """
    if template == "plain":
        return Plain(tokenizer, special_tokens)
    if template == "own":
        carried, plain = ChatTemplate.load(folder), Plain(tokenizer, special_tokens)
        # A model that was trained on plain turns carries them as its template.
        return (
            plain
            if carried.source == plain.source
            else Templated(tokenizer, carried, special_tokens)
        )
    file = template_file(template)
    source = AYA_TEMPLATE if file is None else read_text(file)
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
    return Templated(tokenizer, ChatTemplate(place, source, tokens), special_tokens)


def style_or_plain(
    folder: Path,
    tokenizer: Tokenizer,
    template: str,
    ledger: Ledger,
    whose: str = "",
    special_tokens: SpecialTokens = "spell",
) -> Style:
    """Like ``style_of``, but a checkpoint without a template gets plain turns, which is counted.

    Raises:
        InputError: as for ``style_of``.
    """
    if template == "own" and not has_template(folder):
        ledger.count(NO_TEMPLATE, 1, whose)
        template = "plain"
    style = style_of(folder, tokenizer, template, special_tokens)
    if isinstance(style, Templated):
        style.template.count_date(ledger, whose)
    return style


def has_template(folder: Path) -> bool:
    """Whether a checkpoint has a chat template.

    Raises:
        InputError: it has one that cannot be read.
    """
    return bool(template_of(folder))


def template_of(folder: Path) -> str:
    """A checkpoint's chat template in Jinja; empty where it has none.

    Raises:
        InputError: it has one that cannot be read.
    """
    try:
        return ChatTemplate.load(folder).source
    except NoTemplate:
        return ""
