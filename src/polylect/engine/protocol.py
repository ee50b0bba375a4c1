"""OpenAI's protocol as text in and out: what is sent, and what an answer must hold."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from polylect.base import derive_seed
from polylect.engine.config import GenerateConfig
from polylect.rows import Prompt, as_dicts

_STOPPED = {"stop": "end", "length": "length", "content_filter": "filter"}
_SEEDS = 1 << 31


class Malformed(Exception):
    """An answer that does not hold what the protocol promises; it is asked for again."""


@dataclass(frozen=True)
class Dialect:
    """What of the protocol a server takes, as its answer to the first request showed.

    Attributes:
        log_probabilities: whether it gives them.
        limit: what it calls the longest answer.
    """

    log_probabilities: bool = True
    limit: str = "max_tokens"

    def simpler(self, complaint: str) -> "Dialect | None":
        """The dialect that avoids what a server complained about; None where there is none."""
        if self.limit == "max_tokens" and "max_completion_tokens" in complaint:
            return replace(self, limit="max_completion_tokens")
        if self.log_probabilities and ("logprob" in complaint or "log prob" in complaint.lower()):
            return replace(self, log_probabilities=False)
        return None


def path_for(config: GenerateConfig) -> str:
    """Where prompts are sent: as a chat, or as text to be continued."""
    return "/completions" if config.template == "none" else "/chat/completions"


def body_for(
    prompt: Prompt, sample: int, model: str, config: GenerateConfig, dialect: Dialect
) -> dict[str, Any]:
    """The request for one sample of one prompt; its seed follows id and sample alone."""
    sampling = config.sampling
    seed = derive_seed(sampling.seed, "server", prompt.language, prompt.id, sample) % _SEEDS
    body: dict[str, Any] = {
        "model": model,
        "temperature": sampling.temperature,
        dialect.limit: sampling.max_new_tokens,
        "seed": seed,
    }
    if config.template == "none":
        body["prompt"] = "\n\n".join(turn["content"] for turn in as_dicts(prompt.messages))
    else:
        body["messages"] = as_dicts(prompt.messages)
    if dialect.log_probabilities:
        # Text to be continued has one number for both, and OpenAI's own servers take at most 5.
        chat, num = config.template != "none", config.alternatives
        body["logprobs"] = True if chat else max(1, min(num, 5))
        if chat and num:
            body["top_logprobs"] = num
    if sampling.top_p < 1:
        body["top_p"] = sampling.top_p
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    # Not OpenAI's, but of every open server; sent only where somebody asked for them.
    if sampling.top_k:
        body["top_k"] = sampling.top_k
    if sampling.min_p:
        body["min_p"] = sampling.min_p
    return body


def most_tokens(prompt: Prompt, config: GenerateConfig) -> int:
    """The most tokens that a request may cost: no tokenizer makes more tokens than bytes.

    What a chat template puts around the messages is allowed 64 tokens for each.
    """
    size = sum(len(message.content.encode()) for message in prompt.messages)
    return size + 64 * len(prompt.messages) + config.sampling.max_new_tokens


def read_answer(data: Any, config: GenerateConfig) -> dict[str, Any]:
    """Text, num_tokens, stopped, log_likelihood of an answer, and ``used`` tokens in all.

    Where the alternatives of its tokens were asked for, ``alternatives`` has them, for every token
    a mapping from texts to log-probabilities, its own first; empty where they are not offered.

    Raises:
        Malformed: it does not hold one choice with a text.
    """
    if not isinstance(data, Mapping):
        raise Malformed("not an object")
    choices = data.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], Mapping):
        raise Malformed("not one choice")
    choice = choices[0]
    reason = choice.get("finish_reason")
    if config.template == "none":
        text = choice.get("text")
    else:
        message = choice.get("message")
        if not isinstance(message, Mapping) or "content" not in message:
            raise Malformed("no message")
        text = message["content"]
        # An answer may be withheld, or be all thought: it is there, and empty.
        text = "" if text is None and isinstance(reason, str) else text
    if not isinstance(text, str):
        raise Malformed("no text")
    if not isinstance(reason, str):
        raise Malformed("no finish_reason")
    values = _log_probabilities(choice.get("logprobs"))
    usage = data.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    asked, said = (_count(usage.get(f"{one}_tokens")) for one in ("prompt", "completion"))
    if said is None and values is not None:
        said = len(values)
    more = {}
    if config.alternatives:
        more["alternatives"] = _alternatives(choice.get("logprobs"))
    return more | {
        "text": text,
        "num_tokens": said,
        "stopped": _STOPPED.get(reason, "other"),
        "log_likelihood": None if values is None else math.fsum(values),
        "used": None if said is None or asked is None else asked + said,
    }


def _count(value: Any) -> int | None:
    good = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if good else None


def _log_probabilities(found: Any) -> list[float] | None:
    """Of every token of an answer, in either form of the protocol; None where not offered."""
    if not isinstance(found, Mapping):
        return None
    if isinstance(found.get("content"), list):
        values = [one.get("logprob") if isinstance(one, Mapping) else None
                  for one in found["content"]]  # fmt: skip
    else:
        values = found.get("token_logprobs")
    if not isinstance(values, list) or not values:
        return None
    known = [float(one) for one in values if isinstance(one, int | float) and math.isfinite(one)]
    return known if len(known) == len(values) else None


def _alternatives(found: Any) -> list[dict[str, float]]:
    """For every token its alternatives, itself first, in either form of the protocol."""
    if not isinstance(found, Mapping):
        return []
    if isinstance(found.get("content"), list):
        pairs = [
            [(one.get("token"), one.get("logprob")) for one in [own, *_list(own, "top_logprobs")]
             if isinstance(one, Mapping)]
            for own in found["content"] if isinstance(own, Mapping)
        ]  # fmt: skip
    else:
        tokens, values = _list(found, "tokens"), _list(found, "token_logprobs")
        others = _list(found, "top_logprobs") or [None] * len(tokens)
        pairs = [
            [(token, value), *(more.items() if isinstance(more, Mapping) else ())]
            for token, value, more in zip(tokens, values, others, strict=False)
        ]
    result = []
    for own in pairs:
        known: dict[str, float] = {}
        for token, value in own:
            if isinstance(token, str) and isinstance(value, int | float) and math.isfinite(value):
                known.setdefault(token, float(value))
        result.append(known)
    return result


def _list(found: Mapping[str, Any], name: str) -> list[Any]:
    value = found.get(name)
    return value if isinstance(value, list) else []
