"""A mixture on disk: its experts, its router, and the dense model that it would be without them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from polylect.base import InputError
from polylect.checkpoints import Checkpoint, TensorInfo
from polylect.experts.families import dense_config, family_of
from polylect.experts.tensor_names import dense_tensors, num_layers, routed_number, router_name
from polylect.models import FAMILIES, ROUTER_TYPES, is_nexus

_OTHER_MIXTURES = ("num_experts", "num_local_experts", "n_routed_experts")
"""Keys of config.json that mixtures of other architectures have."""

_AGAIN = "fetch or make the checkpoint again"
_TENSORS = {
    "nexus": ("domains", "proj_in.weight", "proj_out.weight"),
    "linear": ("rows.weight",),
    "mlp": ("proj_in.weight", "proj_out.weight"),
    "oracle": (),
}


@dataclass(frozen=True)
class NexusCheckpoint:
    """A mixture of experts, by its headers and config.json.

    Attributes:
        checkpoint: the handle.
        label: of errors.
        router: ``nexus``, ``linear``, ``mlp`` or ``oracle``.
        names: of the routed experts, in order.
        domains: what config.json says of each expert's domain.
        num_layers: layers, each with a block.
        top_k: routed experts per token.
        domain_size: width of domain vectors; 0 without.
        router_size: hidden size of an MLP router; else 0.
    """

    checkpoint: Checkpoint
    label: str
    router: str
    names: tuple[str, ...]
    domains: tuple[Mapping[str, Any], ...]
    num_layers: int
    top_k: int
    domain_size: int
    router_size: int

    @classmethod
    def of(cls, checkpoint: Checkpoint, label: str = "") -> "NexusCheckpoint":
        """The mixture in a checkpoint; reads no tensor.

        Raises:
            InputError: it is a dense model, quantized, or config.json and tensors disagree.
        """
        label = label or str(checkpoint.path)
        config = checkpoint.config
        if not is_nexus(config):
            if any(key in config for key in _OTHER_MIXTURES):
                raise InputError(
                    f"{label}: a mixture of experts of another kind ({config.get('model_type')})",
                    "give the mixture that it was exported from: its config.json says nexus_…",
                )
            raise InputError(
                f"{label}: a dense model ({config.get('model_type')}), not a mixture of experts",
                "make one: polylect experts upcycle --seed-model S --experts A B --data A.jsonl"
                " B.jsonl",
            )
        if checkpoint.is_quantized:
            raise InputError(f"{label}: is quantized", "give the full-precision mixture")
        family = family_of(config)
        if family not in FAMILIES:
            raise InputError(f"{label}: unknown family {family!r}",
                             f"supported are {', '.join(FAMILIES)}")  # fmt: skip
        num = _number(config, "num_experts", label, 1)
        names, domains = config.get("expert_names") or [], config.get("domains") or []
        for key, values in (("expert_names", names), ("domains", domains)):
            may_lack = key == "domains" and values == []
            if not isinstance(values, list) or not (len(values) == num or may_lack):
                raise InputError(
                    f"{label}: {key} in config.json does not name {num} experts, as num_experts"
                    " says",
                    _AGAIN,
                )
        router = config.get("router_type")
        if router not in ROUTER_TYPES:
            raise InputError(f"{label}: router_type in config.json is {router!r}",
                             f"known are {', '.join(ROUTER_TYPES)}")  # fmt: skip
        mixture = cls(
            checkpoint=checkpoint,
            label=label,
            router=str(router),
            names=tuple(map(str, names)),
            domains=tuple(domains),
            num_layers=num_layers(checkpoint.tensors),
            top_k=_number(config, "num_experts_per_tok", label, 1),
            domain_size=_number(config, "domain_size", label, 0),
            router_size=_number(config, "router_size", label, 0),
        )
        mixture.check_tensors()
        return mixture

    @property
    def num_experts(self) -> int:
        """Number of routed experts."""
        return len(self.names)

    @property
    def width(self) -> int:
        """Width of the hidden states."""
        return self.checkpoint.tensors["model.embed_tokens.weight"].shape[1]

    @property
    def dtype(self) -> str:
        """Type of the feed-forwards."""
        return self.checkpoint.tensors["model.layers.0.mlp.shared_expert.up_proj.weight"].dtype

    @property
    def routed(self) -> dict[str, TensorInfo]:
        """Tensors of the routed experts, by name."""
        tensors = self.checkpoint.tensors.items()
        return {name: info for name, info in tensors if routed_number(name) is not None}

    def dense_view(self) -> Checkpoint:
        """The dense model of its family that it is without routed experts and router."""
        return replace(
            self.checkpoint,
            config=dense_config(self.checkpoint.config),
            tensors=dense_tensors(self.checkpoint.tensors),
        )

    def router_tensors(self) -> dict[str, TensorInfo]:
        """Tensors of all routers, by name."""
        tensors = self.checkpoint.tensors
        return {name: tensors[name] for name in self._router_names()}

    def check_tensors(self) -> None:
        """Check that the routers and experts that config.json names are there, in its shapes.

        Raises:
            InputError: names the first that is not.
        """
        tensors = self.checkpoint.tensors
        for name in ("model.embed_tokens.weight", *self._router_names()):
            if name not in tensors:
                raise InputError(f"{self.label}: tensor {name!r} is missing", _AGAIN)
        parts = [
            name.replace(".mlp.shared_expert.", ".mlp.experts.{}.", 1)
            for name in tensors
            if ".mlp.shared_expert." in name
        ]
        known = {part.format(number) for part in parts for number in range(self.num_experts)}
        for name in sorted(known ^ set(self.routed)):
            state = "is missing" if name in known else f"is of no expert of {self.num_experts}"
            raise InputError(f"{self.label}: tensor {name!r} {state}", _AGAIN)
        for name, (axis, size, key) in self._sizes().items():
            if tensors[name].shape[axis] != size:
                raise InputError(
                    f"{self.label}: tensor {name!r} has shape {tensors[name].shape}, {key} in"
                    f" config.json is {size}",
                    _AGAIN,
                )

    def _router_names(self) -> list[str]:
        parts = _TENSORS[self.router]
        return [router_name(i, part) for i in range(self.num_layers) for part in parts]

    def _sizes(self) -> dict[str, tuple[int, int, str]]:
        """Axis, size and key of config.json of the tensors whose size a key gives."""
        n, m, r = self.num_experts, self.domain_size, 2 * self.router_size
        rules = {
            "nexus": {"domains": (0, n, "num_experts"), "proj_in.weight": (1, m, "domain_size")},
            "linear": {"rows.weight": (0, n, "num_experts")},
            "mlp": {"proj_in.weight": (0, r, "2 · router_size"),
                    "proj_out.weight": (0, n, "num_experts")},
        }  # fmt: skip
        return {
            router_name(layer, part): rule
            for part, rule in rules.get(self.router, {}).items()
            for layer in range(self.num_layers)
        }


def _number(config: Mapping[str, Any], key: str, label: str, least: int) -> int:
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InputError(f"{label}: {key} in config.json is {value!r}", _AGAIN)
    return value
