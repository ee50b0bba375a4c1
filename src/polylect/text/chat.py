"""Chats as text: a tokenizer's own template, through transformers' sandbox.

A template comes with a checkpoint and is nobody's to trust, so that the sandbox is the one that
transformers keeps. One thing differs on purpose: a template that asks for today's date would give
another prompt every day; here it is always the day that the Llama templates fall back to.
"""

import importlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from polylect.base import InputError, digest_of, read_json, read_text
from polylect.rows import Message, as_dicts

_TEMPLATE = "chat_template.jinja"
_CONFIGS = ("tokenizer_config.json", "special_tokens_map.json")
_TOKENS = tuple(f"{one}_token" for one in ("bos", "eos", "unk", "sep", "pad", "cls", "mask"))
_TODAY = datetime(2024, 7, 26)  # noqa: DTZ001 - a day, not a moment
_DATES = re.compile(r"""strftime_now\(\s*["']([^"']*)["']""")


@dataclass(frozen=True)
class ChatTemplate:
    """A tokenizer's chat template.

    Attributes:
        place: the folder, named in errors.
        source: the template, in Jinja.
        tokens: the special tokens that it may write, by their role.
    """

    place: str
    source: str
    tokens: Mapping[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def load(cls, folder: Path) -> "ChatTemplate":
        """The template in a tokenizer's folder, the one called ``default`` where it has several.

        Raises:
            InputError: there is none, or a file is broken.
        """
        config, special = (_object(folder / name) for name in _CONFIGS)
        source = config.get("chat_template")
        if (folder / _TEMPLATE).is_file():
            source = read_text(folder / _TEMPLATE)
        elif isinstance(source, list):
            named = [one for one in source if type(one) is dict and one.get("name") == "default"]
            source = named[0].get("template") if named else None
        if not isinstance(source, str) or not source:
            raise InputError(
                f"{folder}: the tokenizer has no chat template",
                f"score without a chat, or put the template into {_TEMPLATE}",
            )
        tokens = {}
        for name in _TOKENS:
            token = config.get(name) or special.get(name)
            token = token.get("content") if isinstance(token, dict) else token
            if isinstance(token, str):
                tokens[name] = token
        return cls(str(folder), source, tokens)

    @property
    def digest(self) -> str:
        """Digest of template and tokens; not of where they lie."""
        return digest_of({"template": self.source, "tokens": dict(self.tokens)})

    def render(self, messages: Sequence[Message], add_generation_prompt: bool = True) -> str:
        """The text of a conversation; special tokens are spelled out, BOS among them.

        Args:
            messages: text alone.
            add_generation_prompt: end with the beginning of the assistant's turn.

        Raises:
            InputError: the template refuses the conversation, or cannot be used; a message has
                tools or documents; or transformers is not installed.
        """
        turns = as_dicts(messages)
        try:
            # By name: text stays free of transformers for whoever does not chat.
            module = importlib.import_module("transformers.utils.chat_template_utils")
        except ImportError:
            raise InputError(
                f"{self.place}: transformers is not here to render a chat",
                "pip install -c constraints.txt '.[models]'",
            ) from None
        try:
            rendered, _ = module.render_jinja_template(
                conversations=[turns],
                chat_template=_dated(self.source),
                add_generation_prompt=add_generation_prompt,
                **self.tokens,
            )
        except Exception as error:  # a template is a program: it may fail in any way
            reason = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
            raise InputError(
                f"{self.place}: the chat template cannot be used ({reason})",
                "score without a chat, or mend the template",
            ) from None
        return rendered[0]


def render_chat(
    folder: Path, messages: Sequence[Message], add_generation_prompt: bool = True
) -> str:
    """The text of a conversation by the template of the tokenizer in a folder.

    Raises:
        InputError: the tokenizer has no template, or the template refuses the conversation.
    """
    return ChatTemplate.load(folder).render(messages, add_generation_prompt)


def _object(path: Path) -> dict[str, Any]:
    value = read_json(path) if path.is_file() else {}
    if not isinstance(value, dict):
        raise InputError(f"{path}: not an object", "save the tokenizer again")
    return value


def _dated(source: str) -> str:
    """The template with a ``strftime_now`` of its own, which always gives the same day."""
    if "strftime_now" not in source:
        return source
    days = {one: _TODAY.strftime(one) for one in _DATES.findall(source)}
    shown = f"{{{{ {json.dumps(days)}.get(format, '{_TODAY:%Y-%m-%d}') }}}}"
    # The line end belongs to the block before it: the template begins as it did.
    return f"{{%- macro strftime_now(format) -%}}{shown}{{%- endmacro %}}\n{source}"
