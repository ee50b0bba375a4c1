"""Names of the tensors of a mixture, and which of a dense model's tensors are its feed-forward."""

import re
from collections.abc import Iterable, Mapping

from polylect.base import InputError
from polylect.checkpoints import Checkpoint, TensorInfo
from polylect.experts.families import TIED

_FEED_FORWARD = re.compile(r"model\.layers\.(\d+)\.mlp\.(.+)")
_ROUTED = re.compile(r"model\.layers\.(\d+)\.mlp\.experts\.(\d+)\.(.+)")
_NEEDED = ("gate_proj.weight", "up_proj.weight", "down_proj.weight")
_EMBEDDING, _HEAD, _NORM = "model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"


def is_expert_tensor(name: str) -> bool:
    """Whether a tensor belongs to a feed-forward, and is not averaged.

    >>> is_expert_tensor("model.layers.0.mlp.up_proj.weight"), is_expert_tensor("model.norm.weight")
    (True, False)
    """
    return ".mlp." in name


def shared_name(name: str) -> str:
    """What a tensor of the seed's feed-forward is called in a mixture."""
    return name.replace(".mlp.", ".mlp.shared_expert.", 1)


def expert_name(name: str, number: int) -> str:
    """What a tensor of an expert's feed-forward is called in a mixture."""
    return name.replace(".mlp.", f".mlp.experts.{number}.", 1)


def router_name(layer: int, part: str) -> str:
    """Name of a tensor of a layer's router."""
    return f"model.layers.{layer}.mlp.router.{part}"


def is_shared(name: str) -> bool:
    """Whether a tensor of a mixture belongs to a shared feed-forward."""
    return ".mlp.shared_expert." in name


def dense_name(name: str) -> str:
    """The dense model's name of a shared tensor, or of one outside of the experts."""
    return name.replace(".mlp.shared_expert.", ".mlp.", 1)


def routed_number(name: str) -> int | None:
    """Number of the expert that a tensor of a mixture belongs to; None for other tensors."""
    match = _ROUTED.fullmatch(name)
    return None if match is None else int(match[2])


def renumbered(name: str, number: int) -> str:
    """The name of an expert's tensor under another number."""
    return re.sub(r"\.mlp\.experts\.\d+\.", f".mlp.experts.{number}.", name, count=1)


def num_layers(names: Iterable[str]) -> int:
    """Number of layers with a feed-forward."""
    return 1 + max((int(m[1]) for m in map(_FEED_FORWARD.fullmatch, names) if m), default=-1)


def check_dense(label: str, checkpoint: Checkpoint) -> None:
    """Check that a dense model's tensors have the names of its family; reads headers only.

    Raises:
        InputError: names the first tensor that is missing.
    """
    tensors = checkpoint.tensors
    layers = checkpoint.config.get("num_hidden_layers")
    layers = layers if isinstance(layers, int) else num_layers(tensors)
    needed = [_EMBEDDING, _NORM]
    needed += [f"model.layers.{i}.mlp.{part}" for i in range(max(1, layers)) for part in _NEEDED]
    if not _is_tied(checkpoint):
        needed.append(_HEAD)
    for name in needed:
        if name not in tensors:
            bare = name.removeprefix("model.") in tensors
            hint = "save it as AutoModelForCausalLM does" if bare else "fetch or save it again"
            raise InputError(f"{label}: tensor {name!r} is missing", hint)
    for name in tensors:
        match = _FEED_FORWARD.fullmatch(name)
        if match and not match[2].startswith(("gate_proj.", "up_proj.", "down_proj.")):
            raise InputError(
                f"{label}: tensor {name!r} is in no feed-forward of its family",
                "give a dense model",
            )


def _is_tied(checkpoint: Checkpoint) -> bool:
    tied = checkpoint.config.get("tie_word_embeddings")
    return checkpoint.config.get("model_type") in TIED if tied is None else bool(tied)


def dense_tensors(tensors: Mapping[str, TensorInfo]) -> dict[str, TensorInfo]:
    """A mixture's tensors but routed experts and routers, by the dense model's names, sorted."""
    kept = {
        dense_name(name): info
        for name, info in tensors.items()
        if not is_expert_tensor(name) or is_shared(name)
    }
    return dict(sorted(kept.items()))
