"""Nexus models of transformers' families; ``nexus_families`` makes all of them known to it.

Every family keeps its attention, norms, embeddings and positions; only the feed-forward of each
layer becomes a ``NexusBlock``. A family is a folder of transformers and its names; that is all.
"""

from collections.abc import Mapping
from dataclasses import field
from functools import lru_cache
from importlib import import_module
from typing import Any

import torch

from polylect.models.nexus import (
    LinearRouter,
    MlpRouter,
    NexusBlock,
    NexusRouter,
    Projection,
    Routing,
)
from polylect.models.nexus_config import FAMILIES, PREFIX, is_nexus


def register_nexus(config: Mapping[str, Any]) -> None:
    """Make a checkpoint's family known to transformers' Auto classes; nothing for other models.

    Args:
        config: content of its config.json.
    """
    family = str(config.get("model_type") or "").removeprefix(PREFIX)
    if is_nexus(config) and family in FAMILIES:
        family_classes(family)


@lru_cache
def family_classes(family: str) -> tuple[type[Any], type[Any], type[Any]]:
    """Config, body and language model of a family's Nexus, registered with transformers."""
    import transformers

    folder, *names = FAMILIES[family]
    module = import_module(f"transformers.models.{folder}")
    base_config, base_body, base_model = (getattr(module, name) for name in names)
    config = _config_class(base_config)
    body = _model_class(base_body, config, None)
    model = _model_class(base_model, config, body)
    for made in (config, body, model):
        globals()[made.__name__] = made
    transformers.AutoConfig.register(config.model_type, config)
    transformers.AutoModel.register(config, body)
    transformers.AutoModelForCausalLM.register(config, model)
    return config, body, model


def _config_class(base: type[Any]) -> type[Any]:
    """A family's config with the keys of its experts."""
    fields: dict[str, Any] = {
        "num_experts": (int, 2),
        "num_experts_per_tok": (int, 1),
        "router_type": (str, "nexus"),
        "domain_size": (int, 0),
        "router_size": (int, 0),
        "router_aux_loss_coef": (float, 0.05),
        "expert_names": (list, field(default_factory=list)),
        "domains": (list, field(default_factory=list)),
    }
    body = {
        "model_type": PREFIX + base.model_type,
        # A plan for tensor parallelism would name feed-forwards that are not there.
        "base_model_tp_plan": None,
        "__module__": __name__,
        "__qualname__": f"Nexus{base.__name__}",
        "__doc__": f"{base.__name__} with the number, names and domains of its experts.",
        "__annotations__": {name: kind for name, (kind, _) in fields.items()},
        **{name: default for name, (_, default) in fields.items()},
    }
    return type(f"Nexus{base.__name__}", (base,), body)


def _model_class(base: Any, config_class: type[Any], body_class: type[Any] | None) -> type[Any]:
    """A family's body (no ``body_class``) or language model whose layers hold Nexus blocks."""

    def __init__(self: Any, config: Any) -> None:
        base.__init__(self, config)
        if body_class is not None:
            # The family made its own body: as ours it initializes its routers.
            self.model.__class__ = body_class
        place_blocks(self if body_class is None else self.model, config)
        self.post_init()  # initializes what is new

    def _init_weights(self: Any, module: torch.nn.Module) -> None:
        from transformers import initialization

        base._init_weights(self, module)
        if isinstance(module, Projection):
            initialization.normal_(module.weight, mean=0.0, std=self.config.initializer_range)
        elif isinstance(module, NexusRouter):
            initialization.zeros_(module.domains)

    body = {
        "config_class": config_class,
        "config": config_class,
        "__init__": __init__,
        "_init_weights": _init_weights,
        "__module__": __name__,
        "__qualname__": f"Nexus{base.__name__}",
        "__doc__": f"{base.__name__} with a ``NexusBlock`` in every layer.",
    }
    return type(f"Nexus{base.__name__}", (base,), body)


def place_blocks(body: Any, config: Any) -> None:
    """Put a Nexus block around the feed-forward of every layer.

    Args:
        body: the model without its head; its feed-forwards become the shared ones.
        config: of a Nexus family.
    """
    routing = Routing()
    for number, layer in enumerate(body.layers):
        shared = layer.mlp
        experts = [type(shared)(config) for _ in range(config.num_experts)]
        layer.mlp = NexusBlock(
            shared, experts, _router(config), top_k=config.num_experts_per_tok, number=number,
            routing=routing,
        )  # fmt: skip


def _router(config: Any) -> torch.nn.Module | None:
    width, num_experts = config.hidden_size, config.num_experts
    match config.router_type:
        case "nexus":
            return NexusRouter(width, num_experts, config.domain_size)
        case "linear":
            return LinearRouter(width, num_experts)
        case "mlp":
            return MlpRouter(width, num_experts, config.router_size)
        case "oracle":
            return None
    raise ValueError(f"router_type is {config.router_type!r}: nexus, linear, mlp or oracle")


def __getattr__(name: str) -> Any:
    """The classes by name, made when they are first asked for."""
    for family, (_, *names) in FAMILIES.items():
        if name.removeprefix("Nexus") in names and name.startswith("Nexus"):
            return family_classes(family)[names.index(name.removeprefix("Nexus"))]
    raise AttributeError(name)
