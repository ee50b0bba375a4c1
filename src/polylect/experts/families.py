"""Families whose feed-forwards can become experts, and the keys that a mixture's config.json adds.

Needs neither torch nor transformers. A family keeps its own attention, norms and embeddings.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from polylect.base import InputError

PREFIX = "nexus_"
"""Before the family's ``model_type`` in a mixture's config.json."""
FAMILIES = (
    "llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "cohere", "cohere2",
)  # fmt: skip
"""By ``model_type`` in config.json."""
TIED = frozenset({"gemma", "gemma2", "gemma3_text", "cohere", "cohere2"})
"""Families whose head is the embedding where config.json does not say."""
_INITIALIZER_RANGE = 0.02
_KEYS = (
    "num_experts", "num_experts_per_tok", "router_type", "domain_size", "router_size",
    "router_aux_loss_coef", "expert_names", "domains",
)  # fmt: skip


def is_nexus(config: Mapping[str, Any]) -> bool:
    """Whether a config.json is that of a mixture made here."""
    return str(config.get("model_type") or "").startswith(PREFIX)


def mlp_router_size(width: int, num_experts: int, domain_size: int) -> int:
    """Hidden size of the MLP router whose parameters come nearest to those of a Nexus router.

    >>> mlp_router_size(2560, 6, 1024)
    2302
    """
    return max(1, round((2 * width * domain_size + width**2) / (2 * width + num_experts)))


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
    architecture = str((dense.get("architectures") or [""])[0])
    kept = {key: value for key, value in dense.items() if key not in {"auto_map", *_KEYS}}
    return {
        **kept,
        "model_type": PREFIX + family,
        "architectures": [f"Nexus{architecture}"],
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
    architecture = str((mixture.get("architectures") or [""])[0])
    return {
        **kept,
        "model_type": str(mixture["model_type"]).removeprefix(PREFIX),
        "architectures": [architecture.removeprefix("Nexus")],
    }


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
    if not architecture.endswith("ForCausalLM"):
        raise InputError(
            f"{label}: no language model ({architecture or 'no architecture in config.json'})",
            "save it as AutoModelForCausalLM does",
        )
