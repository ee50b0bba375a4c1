"""Messages, and the rows made of them: conversations, preferences, prompts and answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from polylect.base import InputError, canonical_tag, check_known
from polylect.rows.columns import SPARSE, UNSTORED
from polylect.rows.types import Verdict, check_names

STOPPED = ("end", "stop", "length", "filter", "refused", "declined", "failed", "other")
ROLES = ("system", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool by the assistant.

    Attributes:
        name: the tool's.
        arguments: a JSON object, as text.
        id: referred to by the tool's result; may be empty for a single call.
    """

    name: str
    arguments: str = "{}"
    id: str = ""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the assistant may call.

    Attributes:
        name: the tool's.
        description: what it does.
        parameters: a JSON schema, as text.
        definition: the whole definition as it was given, as JSON text; empty: made of the others.
    """

    name: str
    description: str = ""
    parameters: str = "{}"
    definition: str = ""


@dataclass(frozen=True, slots=True)
class Passage:
    """A document that an answer is grounded in."""

    text: str
    title: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation.

    Attributes:
        role: ``system``, ``user``, ``assistant`` or ``tool``.
        content: its text; of a tool, the result.
        language: tag, if it differs from the conversation's.
        trained: whether an assistant's message is learned; no other ever is.
        tool_calls: calls by the assistant.
        tool_call_id: the call that a tool's result answers.
        tools: tools that may be called from here on.
        documents: passages given with the message.
        reasoning_content: what the assistant thought before it answered.
        name: of who speaks, or of the tool.
    """

    role: str
    content: str
    language: str = ""
    trained: bool = True
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    tools: tuple[Tool, ...] = ()
    documents: tuple[Passage, ...] = ()
    reasoning_content: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise InputError(f"the role is {self.role!r}", f"a role is one of {', '.join(ROLES)}")
        if self.language:
            object.__setattr__(self, "language", canonical_tag(self.language))

    @property
    def learned(self) -> bool:
        """Whether training learns its text."""
        return self.trained and self.role == "assistant"


def as_dicts(messages: Sequence[Message]) -> list[dict[str, str]]:
    """Role and content of every message, as chat templates and servers take them.

    Example:
        >>> as_dicts([Message("user", "Why?")])
        [{'role': 'user', 'content': 'Why?'}]

    Raises:
        InputError: a message has more: tools, calls, results, documents, reasoning or a name.
    """
    for number, message in enumerate(messages, start=1):
        if message.role == "tool" or message.tool_calls or message.tools or message.documents:
            raise InputError(
                f"message {number} has tools or documents, which only a chat template renders",
                "use a template that does, or put these into the message's text",
            )
        if message.reasoning_content or message.name:
            field_name = "reasoning_content" if message.reasoning_content else "name"
            raise InputError(
                f"message {number} has {field_name!r}, which only a chat template renders",
                "use a template that does, or put it into the message's text",
            )
    return [{"role": message.role, "content": message.content} for message in messages]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """Messages in order.

    Attributes:
        language: tag.
        messages: at least one.
        id: unique within its source and language; may be empty.
        source: name of its source, by which mixtures select it.
        place: file and line, for error messages.
    """

    language: str
    messages: tuple[Message, ...]
    id: str = ""
    source: str = ""
    place: str = field(default="", compare=False, metadata=UNSTORED)

    def __post_init__(self) -> None:
        object.__setattr__(self, "language", canonical_tag(self.language))
        if not self.messages:
            raise InputError("'messages' is empty", "remove the row")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """Two answers to one prompt, and which is preferred.

    Attributes:
        language: tag.
        messages: of the prompt; the last one is not the assistant's.
        answer_a, answer_b: texts.
        verdict: which answer is preferred.
        id: of the prompt, equal in all languages for its translations; may be empty.
        score_a, score_b: scores of the answers, if known.
        margin: by how much one is preferred, for reward models; 0 if unknown.
        origin_a, origin_b: how each answer's text was made, e.g. ``native`` or ``translated``.
        model_a, model_b: who wrote each.
        user: whose preference it is.
        annotator: who compared the answers: a person or a judge.
        source: name of its source, by which mixtures select it.
        place: file and line, for error messages.
    """

    language: str
    messages: tuple[Message, ...]
    answer_a: str
    answer_b: str
    verdict: Verdict
    id: str = ""
    score_a: float | None = None
    score_b: float | None = None
    margin: float = 0.0
    origin_a: str = ""
    origin_b: str = ""
    model_a: str = ""
    model_b: str = ""
    user: str = ""
    annotator: str = ""
    source: str = ""
    place: str = field(default="", compare=False, metadata=UNSTORED)

    def __post_init__(self) -> None:
        object.__setattr__(self, "language", canonical_tag(self.language))
        if self.answer_a == self.answer_b and self.verdict in {Verdict.A, Verdict.B}:
            raise InputError("the two answers are equal, but one is preferred", "remove the row")

    @property
    def chosen(self) -> str:
        """The preferred answer."""
        return self.answer_b if self._prefers_b() else self.answer_a

    @property
    def rejected(self) -> str:
        """The other answer."""
        return self.answer_a if self._prefers_b() else self.answer_b

    @property
    def scores(self) -> tuple[float, float] | None:
        """Scores of the chosen and the rejected answer; None if either has none."""
        if self.score_a is None or self.score_b is None:
            return None
        scores = (self.score_a, self.score_b)
        return scores[::-1] if self._prefers_b() else scores

    def _prefers_b(self) -> bool:
        assert self.verdict in {Verdict.A, Verdict.B}, "neither answer is preferred"
        return self.verdict is Verdict.B


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A prompt for a model.

    Attributes:
        id: unique within its language, equal in all languages for translations of one prompt; may
            be empty.
        language: tag of the language in which the answer is wanted.
        prompt: the last message, the user's.
        system: the system message; empty for none.
        category: kind of prompt; may be empty.
        origin: how its text was made, e.g. ``native`` or ``translated``; empty if unknown.
        turns: all messages, if there are others than these two; see ``Prompt.of``.
        source: name of its source, by which mixtures select it.
        place: file and line, for error messages.
    """

    id: str = ""
    language: str
    prompt: str
    system: str = ""
    category: str = ""
    origin: str = ""
    turns: tuple[Message, ...] = field(default=(), metadata=SPARSE)
    source: str = field(default="", metadata=SPARSE)
    place: str = field(default="", compare=False, metadata=UNSTORED)

    def __post_init__(self) -> None:
        object.__setattr__(self, "language", canonical_tag(self.language))
        if not self.prompt.strip():
            raise InputError("'prompt' is empty", "remove the row")

    @classmethod
    def of(cls, messages: Sequence[Message], language: str, **more: Any) -> "Prompt":
        """The prompt of a conversation up to an answer.

        Example:
            >>> turns = [Message("user", "2+2?"), Message("assistant", "4"), Message("user", "+1?")]
            >>> Prompt.of(turns, "en").prompt
            '+1?'

        Args:
            messages: the last one is not the assistant's.
            language: tag of the answer's language.
            more: further attributes.
        """
        system = next((turn.content for turn in messages if turn.role == "system"), "")
        prompt = cls(language=language, prompt=messages[-1].content, system=system, **more)
        turns = () if prompt.messages == tuple(messages) else tuple(messages)
        return replace(prompt, turns=turns)

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation up to the answer."""
        return self.turns or _two_turns(self.system, self.prompt)


def _two_turns(system: str, prompt: str) -> tuple[Message, ...]:
    before = (Message("system", system),) if system else ()
    return (*before, Message("user", prompt))


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """One answer of a model to a prompt, with the prompt beside it.

    Attributes:
        id: the prompt's.
        language: the prompt's.
        sample: which answer to the prompt, from 0.
        model: what the model is called.
        answer: its text; may be empty.
        num_tokens: of the answer, as the model counts them; None if a server does not report it.
        stopped: ``end`` (by the model; at a server also a stop text), ``stop`` (a stop text),
            ``length`` (cut off), ``filter`` (withheld), ``refused`` (the server or the chat
            template rejected the prompt), ``declined`` (the model refused, in the field that a
            server has for it; the answer is its refusal), ``failed`` (no try of the request
            succeeded), ``other``.
        log_likelihood: of the answer under the model in nats, its end included; None if a server
            does not report it.
        prompt: the user's last message.
        system: the system message.
        category: the prompt's.
        origin: the prompt's.
        turns: as for ``Prompt``.
        why: of an answer that is none, the first words of the server or the chat template.
    """

    id: str
    language: str
    sample: int
    model: str
    answer: str
    num_tokens: int | None = None
    stopped: str = "end"
    log_likelihood: float | None = None
    prompt: str = ""
    system: str = ""
    category: str = ""
    origin: str = ""
    turns: tuple[Message, ...] = field(default=(), metadata=SPARSE)
    why: str = field(default="", metadata=SPARSE)

    def __post_init__(self) -> None:
        object.__setattr__(self, "language", canonical_tag(self.language))
        check_names(self, "id", "model")
        check_known(self.stopped, STOPPED, f"'stopped' is {self.stopped!r}", "use one of")

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation up to the answer."""
        return self.turns or _two_turns(self.system, self.prompt)

    @property
    def question(self) -> str:
        """The prompt as judges see it; several turns are each headed by their role."""
        if self.turns:
            return "\n\n".join(f"[{turn.role}]\n{turn.content}" for turn in self.turns)
        return f"{self.system}\n\n{self.prompt}" if self.system else self.prompt
