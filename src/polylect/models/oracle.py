"""The oracle of a Nexus model: the expert of a token is that of its text's language."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from polylect.base import InputError
from polylect.models.nexus import given_experts, routing_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def is_oracle(model: "PreTrainedModel") -> bool:
    """Whether the model's router is the oracle."""
    return getattr(model.config, "router_type", None) == "oracle"


def expert_of_language(config: Any) -> dict[str, int]:
    """The expert of every language that the domains of a config name.

    Raises:
        InputError: two domains name the same language: nothing tells them apart.
    """
    experts: dict[str, int] = {}
    for number, domain in enumerate(config.domains):
        for tag in domain.get("languages", ()):
            if tag in experts:
                names = [config.expert_names[experts[tag]], config.expert_names[number]]
                raise InputError(
                    f"the domains of {names[0]} and {names[1]} both have text in {tag!r}, and the"
                    " oracle knows a domain by its language",
                    "give the text of one of them a tag of its own, x-law for instance",
                )
            experts[tag] = number
    return experts


@contextmanager
def told(
    model: "PreTrainedModel", languages: Sequence[str], lengths: Sequence[int]
) -> Iterator[None]:
    """A context in which an oracle's model is told whose tokens it sees; nothing for others.

    Args:
        model: any model.
        languages: of the segments of one pass, in its order.
        lengths: their tokens.

    Raises:
        InputError: a language that no domain names.
    """
    routing = routing_of(model) if is_oracle(model) else None
    if routing is None or routing.given is not None:
        yield
        return
    experts = _looked_up(expert_of_language(model.config), languages)
    with given_experts(model, torch.from_numpy(np.repeat(experts, lengths))):
        yield


def _looked_up(experts: Mapping[str, int], languages: Sequence[str]) -> np.ndarray:
    for tag in languages:
        if tag not in experts:
            known = ", ".join(sorted(experts)) or "none"
            raise InputError(
                f"the model's router is the oracle, and no domain is of {tag!r} (known: {known})",
                "take a model with another router: polylect experts upcycle --router nexus",
            )
    return np.array([experts[tag] for tag in languages], dtype=np.int64)
