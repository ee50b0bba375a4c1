"""Low-rank adapters (Hu et al. 2021) through peft: added, disabled, merged, saved.

They are injected into the layers: the loops see the same model as without them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers.pytorch_utils import Conv1D

from polylect.base import InputError, derive_seed
from polylect.training.config import OptimConfig

if TYPE_CHECKING:
    from transformers import PreTrainedModel


ADAPTER = "adapter"
"""Folder of the adapter, beside the merged checkpoint."""


def add_adapters(model: Any, config: OptimConfig, seed: int) -> None:
    """Freeze a model and add an adapter to every linear layer of its body.

    Raises:
        InputError: peft is not installed, the body has no such layer, or the rank is larger than
            any of them.
    """
    try:
        import peft
    except ImportError:
        raise InputError(
            "--lora-rank needs peft", "pip install -c constraints.txt '.[lora]', or leave it out"
        ) from None
    layers = _linear_layers(model)
    largest = max((min(layer.weight.shape) for layer in layers.values()), default=0)
    if config.lora_rank > largest:
        raise InputError(
            f"--lora-rank {config.lora_rank}: "
            + (
                f"the largest layer of the model has rank {largest}"
                if largest
                else f"{type(model).__name__} has no linear layers that peft adapts"
            ),
            f"--lora-rank {min(16, largest)}" if largest else "--lora-rank 0 trains every weight",
        )
    torch.manual_seed(derive_seed(seed, "lora"))
    settings = peft.LoraConfig(
        r=config.lora_rank,
        lora_alpha=int(config.lora_alpha or 2 * config.lora_rank),
        target_modules=[*layers],
        # GPT-2's layers hold their weights transposed.
        fan_in_fan_out=any(isinstance(layer, Conv1D) for layer in layers.values()),
        task_type="CAUSAL_LM",
    )
    peft.inject_adapter_in_model(settings, model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name or name == "score.weight")
    model.adapter_settings = settings


def _linear_layers(model: "PreTrainedModel") -> dict[str, torch.nn.Linear | Conv1D]:
    """The body's linear layers by full name; never the head, which is often the embedding."""
    heads = {id(model.get_output_embeddings()), id(getattr(model, "score", None))}
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and id(module) not in heads
    }


def has_adapters(model: "PreTrainedModel") -> bool:
    """Whether a model has adapters of ``add_adapters``."""
    return getattr(model, "adapter_settings", None) is not None


def _layers(model: "PreTrainedModel") -> list[tuple[str, Any]]:
    from peft.tuners.tuners_utils import BaseTunerLayer

    return [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, BaseTunerLayer)
    ]


@contextmanager
def without_adapters(model: "PreTrainedModel") -> Iterator[None]:
    """A context in which the model is as it was before any training."""
    layers = _layers(model)
    for _, layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for _, layer in layers:
            layer.enable_adapters(True)


def merge_adapters(model: Any, out: Path, base: str) -> None:
    """Save the adapters in peft's layout and merge them into the weights.

    Args:
        model: with adapters; a plain model afterwards.
        out: an existing folder.
        base: name of the base model, for peft's settings.
    """
    from safetensors.torch import save_file

    folder = out / ADAPTER
    folder.mkdir()
    tensors = {
        "base_model.model." + name.replace(".default.weight", ".weight"): (
            parameter.detach().contiguous()
        )
        for name, parameter in model.named_parameters()
        if "lora_" in name
    }
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    settings = model.adapter_settings
    settings.base_model_name_or_path = base
    settings.target_modules = sorted(settings.target_modules)
    settings.inference_mode = True
    settings.save_pretrained(folder)
    for name, layer in _layers(model):
        layer.merge()
        parent, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(parent), attribute, layer.get_base_layer())
    del model.adapter_settings
    model.requires_grad_(True)
