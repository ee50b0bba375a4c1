"""OpenAI's protocol: the body of a request, and reading an answer."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

from polylect.base import derive_seed, whole_text
from polylect.engine.config import GenerateConfig
from polylect.rows import Prompt, as_dicts

_STOPPED = {
    "stop": "end", "eos_token": "end", "stop_sequence": "end", "length": "length",
    "eos": "end", "end_turn": "end", "max_tokens": "length", "content_filter": "filter",
    "safety": "filter", "refusal": "declined",
}  # fmt: skip
"""What servers call the end of an answer, in lower case, OpenAI's words and others'."""
REASONING = "left out: reasoning that the server sends beside the answer"
NO_TEXT = "left out: a part of a server's answer that is no text"
"""Ledger event: an image, say, or a call."""
_TEXTS, _THOUGHTS = {"text", "output_text"}, {"thinking", "redacted_thinking", "reasoning"}
_REASONING = ("reasoning_content", "reasoning")
_NEARLY_ZERO = 1e-3
_SEEDS = 1 << 31


class Malformed(Exception):
    """An answer that violates the protocol; the request is sent again."""


@dataclass(frozen=True)
class Dialect:
    """The parts of the protocol that a server supports, found by the first request.

    Attributes:
        log_probabilities: whether it returns them.
        limit: its parameter for the maximum answer length.
        seed: whether it takes a seed.
        least_temperature: the least that it takes, for servers to which 0 is not a temperature.
        temperature: whether it takes one.
    """

    log_probabilities: bool = True
    limit: str = "max_tokens"
    seed: bool = True
    least_temperature: float = 0.0
    temperature: bool = True

    def simpler(self, complaint: str, temperature: float = 0.0) -> "Dialect | None":
        """A dialect without what the server complained about; None if there is none.

        Args:
            complaint: the server's words.
            temperature: that was asked for. To send none is to ask for 1, and so for 1 alone.
        """
        if self.limit == "max_tokens" and "max_completion_tokens" in complaint:
            return replace(self, limit="max_completion_tokens")
        if self.log_probabilities and ("logprob" in complaint or "log prob" in complaint.lower()):
            return replace(self, log_probabilities=False)
        if self.seed and re.search(r"\bseed\b", complaint, re.IGNORECASE):
            return replace(self, seed=False)
        if "temperature" in complaint.lower():
            if self.temperature and temperature == 1:
                return replace(self, temperature=False)
            if not self.least_temperature and temperature < _NEARLY_ZERO:
                return replace(self, least_temperature=_NEARLY_ZERO)
        return None

    def fallbacks(self, config: GenerateConfig) -> list[str]:
        """What the server does otherwise than it was asked to."""
        events = [] if self.seed else ["fell back: the server takes no seed"]
        if not self.temperature:
            events.append("fell back: the server takes no temperature, not even 1: none was sent")
        if config.sampling.temperature < self.least_temperature:
            events.append(f"fell back: temperature {self.least_temperature:g} in place of 0")
        return events


def path_for(config: GenerateConfig) -> str:
    """Path for prompts: chat, or text completion."""
    return "/completions" if config.template == "none" else "/chat/completions"


def body_for(
    prompt: Prompt, sample: int, model: str, config: GenerateConfig, dialect: Dialect
) -> dict[str, Any]:
    """The request body for a sample of a prompt; its seed depends on id and sample alone."""
    sampling = config.sampling
    seed = derive_seed(sampling.seed, "server", prompt.language, prompt.id, sample) % _SEEDS
    body: dict[str, Any] = {
        "model": model,
        dialect.limit: sampling.max_new_tokens,
    }
    if dialect.temperature:
        body["temperature"] = max(sampling.temperature, dialect.least_temperature)
    if dialect.seed:
        body["seed"] = seed
    if config.template == "none":
        body["prompt"] = "\n\n".join(turn["content"] for turn in as_dicts(prompt.messages))
    else:
        body["messages"] = as_dicts(prompt.messages)
    if dialect.log_probabilities:
        # Text completion has one parameter for both; OpenAI's own servers allow at most 5.
        chat, num = config.template != "none", config.alternatives
        body["logprobs"] = True if chat else max(1, min(num, 5))
        if chat and num:
            body["top_logprobs"] = num
    if sampling.top_p < 1:
        body["top_p"] = sampling.top_p
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    # Not in OpenAI's protocol, but in every open server's; sent only if set.
    if sampling.top_k:
        body["top_k"] = sampling.top_k
    if sampling.min_p:
        body["min_p"] = sampling.min_p
    return body


def most_tokens(prompt: Prompt, config: GenerateConfig) -> int:
    """Upper bound on the tokens of a request: no tokenizer makes more tokens than bytes.

    Allows 64 tokens per message for the chat template.
    """
    size = sum(len(message.content.encode()) for message in prompt.messages)
    return size + 64 * len(prompt.messages) + config.sampling.max_new_tokens


def read_answer(data: Any, config: GenerateConfig) -> dict[str, Any]:
    """Text, num_tokens, stopped, log_likelihood of an answer, and ``used``: tokens in all.

    A refusal that the server has in a field of its own (OpenAI's ``refusal``) is the text, and
    ``stopped`` is ``declined``; ``why`` names the filter that withheld an answer.

    If alternatives were requested, ``alternatives`` has a mapping from texts to log-probabilities
    for every token, the token itself first; empty if the server does not return them.

    Raises:
        Malformed: the answer is not one choice with a text.
    """
    if not isinstance(data, Mapping):
        raise Malformed("not an object")
    choices = data.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], Mapping):
        raise Malformed("not one choice")
    choice = choices[0]
    reason, left = choice.get("finish_reason"), []
    stopped = _STOPPED.get(str(reason).lower(), "other")
    if config.template == "none":
        text = choice.get("text")
    else:
        message = choice.get("message")
        refusal = _refusal_in(message) if isinstance(message, Mapping) else ""
        if not isinstance(message, Mapping) or not ("content" in message or refusal):
            raise Malformed("no message")
        text = _text_of(message.get("content"))
        if refusal:
            text = f"{text}\n{refusal}" if isinstance(text, str) and text.strip() else refusal
            stopped = stopped if stopped == "filter" else "declined"
        # A withheld answer, or one that is all reasoning, is an empty answer.
        text = "" if text is None and isinstance(reason, str) else text
        kinds = _kinds_of(message.get("content"))
        reasons = any(message.get(name) for name in _REASONING) or kinds & _THOUGHTS
        left = [REASONING] if reasons else []
        left += [NO_TEXT] if kinds - _TEXTS - _THOUGHTS - {"refusal"} else []
    if not isinstance(text, str):
        raise Malformed("no text")
    text = whole_text(text)  # a server that stops within a character sends half of it
    values = _log_probabilities(choice.get("logprobs"))
    usage = data.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    num_prompt, num_tokens = (
        _count(usage.get(f"{kind}_tokens")) for kind in ("prompt", "completion")
    )
    if num_tokens is None and values is not None:
        num_tokens = len(values)
    alternatives = {}
    if config.alternatives:
        alternatives["alternatives"] = _alternatives(choice.get("logprobs"))
    return alternatives | {
        "text": text,
        "num_tokens": num_tokens,
        "stopped": stopped,
        "why": _why(choice, stopped),
        "fallbacks": left,
        "log_likelihood": None if values is None else math.fsum(values),
        "used": None if num_tokens is None or num_prompt is None else num_prompt + num_tokens,
    }


def _why(choice: Mapping[str, Any], stopped: str) -> str:
    """What a server says of an answer that is withheld, or ended for a reason of its own."""
    if stopped == "filter":
        return _filters_in(choice)
    return str(choice.get("finish_reason") or "") if stopped == "other" else ""


def _text_of(content: Any) -> Any:
    """The text of a message whose content is a list of parts; any other content as it is."""
    if not isinstance(content, list) or not all(isinstance(part, Mapping) for part in content):
        return content
    parts = [part.get("text") for part in content if part.get("type") in _TEXTS]
    return "".join(parts) if parts and all(isinstance(part, str) for part in parts) else None


def _kinds_of(content: Any) -> set[str]:
    """The kinds of the parts that a message's content consists of."""
    parts = content if isinstance(content, list) else []
    return {str(part.get("type")) for part in parts if isinstance(part, Mapping)}


def _refusal_in(message: Mapping[str, Any]) -> str:
    """The refusal in a field of its own, or in parts of the content; empty for none."""
    refusal, content = message.get("refusal"), message.get("content")
    parts = content if isinstance(content, list) else []
    texts = [part.get("refusal") for part in parts if isinstance(part, Mapping)]
    return "\n".join(text for text in [refusal, *texts] if isinstance(text, str) and text.strip())


def _filters_in(choice: Mapping[str, Any]) -> str:
    """The filters that withheld an answer, as Azure names them; empty if none is named."""
    results = choice.get("content_filter_results")
    names = [
        str(name)
        for name, result in (results.items() if isinstance(results, Mapping) else ())
        if isinstance(result, Mapping) and result.get("filtered")
    ]
    return ", ".join(names)


def _count(value: Any) -> int | None:
    good = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if good else None


def _log_probabilities(logprobs: Any) -> list[float] | None:
    """Log-probability of every token, in either form of the protocol; None if not returned."""
    if not isinstance(logprobs, Mapping):
        return None
    if isinstance(logprobs.get("content"), list):
        values = [entry.get("logprob") if isinstance(entry, Mapping) else None
                  for entry in logprobs["content"]]  # fmt: skip
    else:
        values = logprobs.get("token_logprobs")
    if not isinstance(values, list) or not values:
        return None
    finite = [float(value) for value in values if _is_finite(value)]
    return finite if len(finite) == len(values) else None


def _is_finite(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and math.isfinite(value)


def _alternatives(logprobs: Any) -> list[dict[str, float]]:
    """Alternatives of every token, itself first, in either form of the protocol."""
    if not isinstance(logprobs, Mapping):
        return []
    if isinstance(logprobs.get("content"), list):
        pairs = [
            [
                (entry.get("token"), entry.get("logprob"))
                for entry in [first, *_list(first, "top_logprobs")]
                if isinstance(entry, Mapping)
            ]
            for first in logprobs["content"]
            if isinstance(first, Mapping)
        ]
    else:
        tokens, values = _list(logprobs, "tokens"), _list(logprobs, "token_logprobs")
        top = _list(logprobs, "top_logprobs") or [None] * len(tokens)
        pairs = [
            [(token, value), *(listed.items() if isinstance(listed, Mapping) else ())]
            for token, value, listed in zip(tokens, values, top, strict=False)
        ]
    result = []
    for candidates in pairs:
        by_text: dict[str, float] = {}
        for token, value in candidates:
            if isinstance(token, str) and _is_finite(value):
                by_text.setdefault(token, float(value))
        result.append(by_text)
    return result


def _list(data: Mapping[str, Any], name: str) -> list[Any]:
    value = data.get(name)
    return value if isinstance(value, list) else []
