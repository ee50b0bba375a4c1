"""Chats as text: a tokenizer's chat template, rendered in transformers' sandbox.

Templates come with checkpoints and are not trusted: they run in the sandbox that transformers
maintains. One thing differs on purpose: a template that asks for today's date would give another
prompt every day; here the date is always the default of the Llama templates.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from polylect.base import (
    InputError,
    Ledger,
    did_you_mean,
    digest_of,
    import_optional,
    read_json,
    read_text,
)
from polylect.rows import (
    Message,
    template_arguments,
    with_contents,
    with_other_content,
    without_fields,
)
from polylect.runs import Files
from polylect.text.special_tokens import MARK, render_marked

_TEMPLATE = "chat_template.jinja"
_OF_PROCESSOR = "chat_template.json"
_CONFIGS = ("tokenizer_config.json", "special_tokens_map.json")
_TOKENS = tuple(f"{role}_token" for role in ("bos", "eos", "unk", "sep", "pad", "cls", "mask"))
_TODAY = datetime(2024, 7, 26)  # noqa: DTZ001 - a day, not a moment
FIXED_DATE = f"fixed: the chat template asks for today's date and gets {_TODAY:%Y-%m-%d}"
"""Ledger event: a template whose prompts would be others every day."""
_DATES = re.compile(r"""strftime_now\(\s*["']([^"']*)["']""")


class NoTemplate(InputError):
    """A tokenizer without a chat template, which is another thing than a broken one."""


@dataclass(frozen=True)
class ChatTemplate:
    """A tokenizer's chat template.

    Attributes:
        place: the folder or file, for errors.
        source: the template, in Jinja.
        tokens: the special tokens that it may write, by role.
        spelled: special tokens whose texts in messages are marked as no tokens (see
            ``special_tokens``); ``Tokenizer.encode`` spells them out.
    """

    place: str
    source: str
    tokens: Mapping[str, str] = field(default_factory=dict, hash=False)
    spelled: tuple[str, ...] = ()

    @classmethod
    def load(cls, folder: Path) -> "ChatTemplate":
        """The template in a tokenizer's folder; of several the one named ``default``.

        Where the tokenizer has none it is that of a processor (``chat_template.json``).

        Raises:
            InputError: there is none, or a file is broken.
        """
        config, special = (_object(folder / name) for name in _CONFIGS)
        source = config.get("chat_template")
        if (folder / _TEMPLATE).is_file():
            source = read_text(folder / _TEMPLATE)
        source = _default_of(source)
        if not source:
            source = _default_of(_of_processor(folder / _OF_PROCESSOR))
        if not source:
            raise NoTemplate(
                f"{folder}: the tokenizer has no chat template",
                f"put it into {_TEMPLATE}, or do without: --template plain (eval: no --chat)",
            )
        if not isinstance(source, str):
            raise InputError(
                f"{folder}: the chat template is {str(source)[:40]!r}, not text",
                f"put it into {_TEMPLATE}",
            )
        tokens = {}
        for name in _TOKENS:
            token = config.get(name) or special.get(name)
            token = token.get("content") if isinstance(token, dict) else token
            if isinstance(token, str):
                tokens[name] = token
        return cls(str(folder), source, tokens)

    def count_date(self, ledger: Ledger, where: str = "") -> None:
        """Count a template that asks for today's date: it is always the same day here."""
        ledger.count(FIXED_DATE, int("strftime_now" in self.source), where)

    @property
    def digest(self) -> str:
        """Digest of template and tokens, not of the place."""
        return digest_of({"template": self.source, "tokens": dict(self.tokens)})

    def render(self, messages: Sequence[Message], add_generation_prompt: bool = True) -> str:
        """The text of a conversation, with special tokens (BOS too) spelled out.

        Args:
            messages: what they hold beside role and content (tools, calls, documents, reasoning,
                a name) goes to the template.
            add_generation_prompt: end with the start of the assistant's turn.

        Raises:
            InputError: the template refuses the conversation, cannot be used, or leaves out what a
                message holds; or transformers is not installed.
        """
        text = self.text(messages, add_generation_prompt)
        for number, name, changed in without_fields(messages):
            if self._is_equal(changed, add_generation_prompt, text) and not (
                # Earlier thinking may be dropped, if it was there when its turn was the last.
                number < len(messages)
                and messages[number - 1].reasoning_content != changed[number - 1].reasoning_content
                and not self._is_equal(changed[:number], False, self.text(messages[:number], False))
            ):
                raise InputError(
                    f"{self.place}: the chat template does not render {name!r} of turn {number}"
                    f" ({messages[number - 1].role})",
                    "use a template that does, or remove it from the row",
                )
        return text

    def render_every_turn(
        self, messages: Sequence[Message], add_generation_prompt: bool = True
    ) -> str:
        """As ``render``, where no message may be lost: not what a system says, nor an earlier turn.

        What the assistant said may be left out (templates drop earlier thinking): its turns are
        checked where they are learned.

        Raises:
            InputError: as ``render``, or the template does not write a system's, a user's or a
                tool's message.
        """
        text = self.render(messages, add_generation_prompt)
        for changed, marks in with_other_content(messages):
            try:
                marked = self.text(changed, add_generation_prompt)
            except InputError:
                marked = ""  # it reads the content, such as a tool's answer in JSON: one by one
            for number, mark in marks.items():
                if mark and mark in marked:
                    continue
                alone = [*messages]
                alone[number - 1] = changed[number - 1]
                if self._is_equal(alone, add_generation_prompt, text):
                    raise InputError(
                        f"{self.place}: the chat template does not write all of turn {number}"
                        f" ({messages[number - 1].role})",
                        "use a template that does, or take the turn out of the row",
                    )
        return text

    def num_altered(self, messages: Sequence[Message]) -> int:
        """How many earlier answers a prompt leaves out or shortens, such as by their thinking.

        Args:
            messages: of a prompt that the template writes.
        """
        said = {
            number: message.content
            for number, message in enumerate(messages, start=1)
            if message.role == "assistant" and message.content.strip()
        }
        if not said:
            return 0
        # A mark tells a turn that is left out from one that says what another says.
        marks = {number: f"qzx{number}xzq" for number in said}
        text = solid(self.text(messages, add_generation_prompt=True).replace(MARK, ""))
        try:
            marked = self.text(with_contents(messages, marks), add_generation_prompt=True)
        except InputError:
            marked = " ".join(marks.values())  # it reads the content: the texts alone tell
        return sum(
            marks[number] not in marked or solid(content) not in text
            for number, content in said.items()
        )

    def _is_equal(
        self, messages: Sequence[Message], add_generation_prompt: bool, text: str
    ) -> bool:
        try:
            return self.text(messages, add_generation_prompt) == text
        except InputError:
            return False

    def text(self, messages: Sequence[Message], add_generation_prompt: bool) -> str:
        """As ``render``, without a check for what the template leaves out."""

        def filled(arguments: dict[str, Any]) -> str:
            return self._filled(arguments, add_generation_prompt)

        arguments = template_arguments(messages)
        return render_marked(filled, arguments, self.spelled) if self.spelled else filled(arguments)

    def _filled(self, arguments: dict[str, Any], add_generation_prompt: bool) -> str:
        """The template filled with arguments."""
        # By name: users who do not chat need no transformers.
        module = import_optional(
            "transformers.utils.chat_template_utils", f"{self.place}: rendering a chat", "models"
        )
        try:
            rendered, _ = module.render_jinja_template(
                conversations=[arguments["messages"]],
                chat_template=_dated(self.source),
                add_generation_prompt=add_generation_prompt,
                **{name: value for name, value in arguments.items() if name != "messages"},
                **self.tokens,
            )
        except Exception as error:  # a template is a program: it may fail in any way
            reason = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
            raise InputError(
                f"{self.place}: the chat template cannot be used ({reason})",
                "mend the template, or do without: --template plain (eval: no --chat)",
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


def solid(text: str) -> str:
    """A text without white space, which templates trim and add."""
    return "".join(text.split())


def _default_of(source: object) -> object:
    """The template named ``default`` of several, in either form that transformers writes."""
    if isinstance(source, list):
        source = {
            entry.get("name"): entry.get("template") for entry in source if type(entry) is dict
        }
    return source.get("default") if isinstance(source, dict) else source


def _of_processor(path: Path) -> object:
    """What a processor's file says: an object that holds the template, or the template itself."""
    value = read_json(path) if path.is_file() else {}
    if isinstance(value, dict):
        return value.get("chat_template")
    if not isinstance(value, str | list):
        raise InputError(f"{path}: holds {str(value)[:40]}, no chat template", "remove it")
    return value


def _object(path: Path) -> dict[str, Any]:
    value = read_json(path) if path.is_file() else {}
    if not isinstance(value, dict):
        raise InputError(f"{path}: not an object", "save the tokenizer again")
    return value


def _dated(source: str) -> str:
    """The template with a ``strftime_now`` that always gives the same day."""
    if "strftime_now" not in source:
        return source
    days = {pattern: _TODAY.strftime(pattern) for pattern in _DATES.findall(source)}
    shown = f"{{{{ {json.dumps(days)}.get(format, '{_TODAY:%Y-%m-%d}') }}}}"
    # The line end belongs to the block before it: the template's output is unchanged.
    return f"{{%- macro strftime_now(format) -%}}{shown}{{%- endmacro %}}\n{source}"


TEMPLATES = ("own", "plain", "aya")
"""Settings of a chat template that are no file: the checkpoint's, plain turns, that of Aya 23."""
NO_TURNS = "none"
"""The setting that continues the text itself, where an answer is asked for."""


def template_file(template: str, *, continues: bool = False) -> Path | None:
    """The file that a setting ``template`` names; None for a name of ``TEMPLATES``.

    Args:
        template: the setting.
        continues: whether it may be ``NO_TURNS``: where text is answered, not where turns are
            learned.

    Raises:
        InputError: neither a name nor a file.
    """
    names = (*TEMPLATES, NO_TURNS) if continues else TEMPLATES
    if template in names:
        return None
    if template == NO_TURNS and not Path(template).is_file():
        raise InputError(
            f"--template {NO_TURNS}: that continues a text without turns, here turns are written",
            f"choose {', '.join(names)}, or give a Jinja file",
        )
    if not Path(template).is_file():
        hint = did_you_mean(template, names) or f"choose {', '.join(names)}"
        raise InputError(f"--template {template}: no such file", f"{hint}, or give a Jinja file")
    return Path(template)


def template_input(template: str, *, continues: bool = False) -> dict[str, Files]:
    """The file of ``template_file`` as the input ``template`` of a step; empty where there is none.

    Args:
        template: the setting.
        continues: see ``template_file``.

    Raises:
        InputError: see ``template_file``.
    """
    file = template_file(template, continues=continues)
    return {} if file is None else {"template": Files(file)}
