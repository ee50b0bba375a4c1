"""Families whose feed-forwards can become experts, and the keys that a mixture's config.json adds.

Needs neither torch nor transformers. A family keeps its own attention, norms and embeddings.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from polylect.base import InputError
from polylect.models import FAMILIES, architecture_of, is_nexus

_PREFIX = "nexus_"  # before the family's model_type, see models.nexus_config
TIED = frozenset({"gemma", "gemma2", "gemma3_text", "cohere", "cohere2"})
"""Families whose head is the embedding where config.json does not say."""
_INITIALIZER_RANGE = 0.02
_KEYS = (
    "num_experts", "num_experts_per_tok", "router_type", "domain_size", "router_size",
    "router_aux_loss_coef", "expert_names", "domains",
)  # fmt: skip


def initializer_range(config: Mapping[str, Any]) -> float:
    """Standard deviation of new router weights."""
    value = config.get("initializer_range")
    return float(value) if isinstance(value, int | float) else _INITIALIZER_RANGE


def mixture_config(
    dense: Mapping[str, Any],
    *,
    router: str,
    names: Sequence[str],
    domains: Sequence[Mapping[str, Any]],
    top_k: int,
    domain_size: int,
    router_size: int,
    aux_loss: float,
) -> dict[str, Any]:
    """The config.json of a mixture whose seed has this config.json."""
    family = dense["model_type"]
    kept = {key: value for key, value in dense.items() if key not in {"auto_map", *_KEYS}}
    return {
        **kept,
        "model_type": _PREFIX + family,
        "architectures": [architecture_of(family)],
        "num_experts": len(names),
        "num_experts_per_tok": top_k,
        "router_type": router,
        "domain_size": domain_size,
        "router_size": router_size,
        "router_aux_loss_coef": aux_loss,
        "expert_names": list(names),
        "domains": [dict(domain) for domain in domains],
    }


def dense_config(mixture: Mapping[str, Any]) -> dict[str, Any]:
    """The config.json of the family's dense model that a mixture was made of."""
    kept = {key: value for key, value in mixture.items() if key not in _KEYS}
    family = family_of(mixture)
    return {**kept, "model_type": family, "architectures": [FAMILIES[family][3]]}


def family_of(mixture: Mapping[str, Any]) -> str:
    """The family's ``model_type`` in the config.json of a mixture."""
    return str(mixture["model_type"]).removeprefix(_PREFIX)


def check_family(label: str, config: Mapping[str, Any]) -> None:
    """Check that a model is of a family that can have experts.

    Raises:
        InputError: it is of another, is a mixture already, or no language model.
    """
    family = config.get("model_type")
    if is_nexus(config):
        raise InputError(
            f"{label}: is a mixture of experts already",
            "to append an expert: polylect experts extend DIR --expert D --data DATA",
        )
    if family not in FAMILIES:
        raise InputError(
            f"{label}: the family {family!r} has no experts here",
            f"supported are {', '.join(FAMILIES)}",
        )
    architecture = str((config.get("architectures") or [""])[0])
    if architecture != FAMILIES[family][3]:
        raise InputError(
            f"{label}: no language model ({architecture or 'no architecture in config.json'})",
            "save it as AutoModelForCausalLM does",
        )
