"""What a model is asked and what it answered, as rows."""

from dataclasses import dataclass

from polylect.base import InputError, language


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One open question to a model.

    Attributes:
        id: unique within its language; equal in all languages for translations of one prompt.
        language: tag of the language in which the answer is wanted.
        prompt: the user's message.
        system: a message before it; empty for none.
        category: a kind or source of prompts; may be empty.
        origin: how its text was made, e.g. ``native`` or ``translated``; empty where nobody said.
    """

    id: str
    language: str
    prompt: str
    system: str = ""
    category: str = ""
    origin: str = ""

    def __post_init__(self) -> None:
        language(self.language)
        if not self.prompt.strip():
            raise InputError("'prompt' is empty", "remove the row")
        if not self.id:
            raise InputError("'id' is empty", "give every prompt an id")

    def messages(self) -> list[dict[str, str]]:
        """The conversation up to the answer."""
        before = [{"role": "system", "content": self.system}] if self.system else []
        return [*before, {"role": "user", "content": self.prompt}]


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """One answer of a model to a prompt, with the prompt beside it.

    Attributes:
        id: the prompt's.
        language: the prompt's.
        sample: which answer to the prompt, from 0.
        model: what the model is called.
        answer: its text; may be empty.
        num_tokens: of the answer, as the model counts them; None where a server does not say.
        stopped: ``end`` (the model ended it; of a server also a stop text), ``stop`` (a stop
            text), ``length`` (cut off), ``filter`` (withheld), ``refused`` (the server did not
            take the prompt), ``other``.
        log_likelihood: of the answer under the model in nats, its end included; None where a
            server does not say.
        prompt: the user's message.
        system: the message before it.
        category: the prompt's.
        origin: the prompt's.
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

    def __post_init__(self) -> None:
        language(self.language)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """A judge's score of one answer by a rubric; the judge is a model or a person.

    Attributes:
        id: the prompt's; equal in all languages for translations of one prompt.
        language: the prompt's.
        model: whose answer.
        judge: name of the judge.
        score: on the rubric's scale; None is INVALID: there was none to read, or it is off the
            scale.
        sample: which answer to the prompt.
        rubric: name and version of the rubric; empty where nobody said.
        reason: what the judge said.
        prompt_digest: of all that the judge was shown; may be empty.
        category: the prompt's.
        origin: how the prompt's text was made.
    """

    id: str
    language: str
    model: str
    judge: str
    score: float | None = None
    sample: int = 0
    rubric: str = ""
    reason: str = ""
    prompt_digest: str = ""
    category: str = ""
    origin: str = ""

    def __post_init__(self) -> None:
        language(self.language)
