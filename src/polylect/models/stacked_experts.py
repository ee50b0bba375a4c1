"""transformers' mixtures of experts with polylect's dispatch: weights stacked in three dimensions.

Registered as the experts implementation "polylect". Experts whose class has something that is not
carried here (a norm behind each expert, parameters in the activation, few-bit weights) stay with
transformers' implementation, as do all on an accelerator, which has grouped kernels of its own.
"""

from typing import TYPE_CHECKING, Any

import torch
from transformers.integrations import moe

from polylect.models.dispatch import Form, computed, sort_by_expert
from polylect.models.expert_gates import Gate, gate_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

POLYLECT_EXPERTS = "polylect"
"""Name of this experts implementation in transformers."""


def stacked_forward(
    module: Any,
    hidden_states: torch.Tensor,
    top_k_index: torch.Tensor,
    top_k_weights: torch.Tensor,
) -> torch.Tensor:
    """Weighted sum of the chosen experts [T, h]; transformers' signature.

    Args:
        module: experts of a class decorated with transformers' ``use_experts_implementation``.
        hidden_states: [T, h].
        top_k_index: [T, k]; the number of experts stands for none.
        top_k_weights: [T, k].
    """
    carried = hidden_states.dtype == module.down_proj.dtype or torch.is_autocast_enabled("cpu")
    if hidden_states.device.type != "cpu" or not carried or not is_carried(module):
        # Not measured on an accelerator: it has grouped kernels of its own.
        return moe.grouped_mm_experts_forward(module, hidden_states, top_k_index, top_k_weights)
    tensors = _tensors(module)
    kind = "transposed" if module.is_transposed else "stacked"
    order, counts = sort_by_expert(top_k_index, module.num_experts)
    form = Form(kind, module.num_experts)
    return computed(hidden_states, top_k_weights, order, counts, _gate(module), form, tensors)


def use_stacked_experts(model: "PreTrainedModel") -> bool:
    """Whether all mixture layers of a model can be computed here; they are from then on."""
    layers: list[Any] = [
        module for module in model.modules() if hasattr(module, "has_post_expert_norm")
    ]
    if not layers or not all(is_carried(layer) for layer in layers):
        return False
    model.set_experts_implementation(POLYLECT_EXPERTS)
    return all(layer.config._experts_implementation == POLYLECT_EXPERTS for layer in layers)


def _tensors(module: Any) -> list[torch.Tensor | None]:
    up = "gate_up_proj" if module.has_gate else "up_proj"
    tensors = [getattr(module, up), module.down_proj]
    if not module.has_bias:
        return [*tensors, None, None]
    return [*tensors, getattr(module, f"{up}_bias"), module.down_proj_bias]


def is_carried(module: Any) -> bool:
    """Whether a module holds plain stacked weights and nothing besides."""
    if module.has_post_expert_norm:
        return False
    up = "gate_up_proj" if module.has_gate else "up_proj"
    expected = {up, "down_proj"}
    expected |= {f"{name}_bias" for name in expected} if module.has_bias else set()
    parameters = dict(module.named_parameters())
    if set(parameters) != expected or next(module.buffers(), None) is not None:
        return False
    plain = all(
        type(stack) is torch.nn.Parameter and stack.is_floating_point() and stack.dtype.itemsize > 1
        for stack in parameters.values()
    )
    shape = parameters[up].shape
    last = parameters["down_proj"].shape
    if not plain or len(shape) != 3 or len(last) != 3 or shape[0] != module.num_experts:
        return False
    inner, hidden = (1, 2) if not module.is_transposed else (2, 1)
    return shape[hidden] == last[inner]


def _gate(module: Any) -> Gate:
    """The gate of a class; of the usual form with a derivative of its own."""
    if not module.has_gate:
        return Gate(module.act_fn)
    if type(module)._apply_gate is moe._default_apply_gate:
        return gate_of(module.act_fn)
    return Gate(module._apply_gate)


moe.ALL_EXPERTS_FUNCTIONS.register(POLYLECT_EXPERTS, stacked_forward)
