"""What a Nexus model's config.json says; never imports torch."""

from typing import Any, Literal

RouterType = Literal["nexus", "linear", "mlp", "oracle"]
"""``nexus``: rows computed from domain vectors. ``linear``: free rows. ``mlp``: two layers with as
many parameters as ``nexus``. ``oracle``: the expert is given with the token."""

ROUTER_TYPES: tuple[RouterType, ...] = ("nexus", "linear", "mlp", "oracle")

PREFIX = "nexus_"
"""Before the family's ``model_type``."""

FAMILIES = {
    "llama": ("llama", "LlamaConfig", "LlamaModel", "LlamaForCausalLM"),
    "mistral": ("mistral", "MistralConfig", "MistralModel", "MistralForCausalLM"),
    "qwen2": ("qwen2", "Qwen2Config", "Qwen2Model", "Qwen2ForCausalLM"),
    "qwen3": ("qwen3", "Qwen3Config", "Qwen3Model", "Qwen3ForCausalLM"),
    "gemma": ("gemma", "GemmaConfig", "GemmaModel", "GemmaForCausalLM"),
    "gemma2": ("gemma2", "Gemma2Config", "Gemma2Model", "Gemma2ForCausalLM"),
    "gemma3_text": ("gemma3", "Gemma3TextConfig", "Gemma3TextModel", "Gemma3ForCausalLM"),
    "cohere": ("cohere", "CohereConfig", "CohereModel", "CohereForCausalLM"),
    "cohere2": ("cohere2", "Cohere2Config", "Cohere2Model", "Cohere2ForCausalLM"),
}
"""By ``model_type``: transformers' folder, and its config, body and language model."""


def is_nexus(config: Any) -> bool:
    """Whether a config (a mapping or transformers' own) is a Nexus model's."""
    get = config.get if hasattr(config, "get") else lambda key: getattr(config, key, None)
    return str(get("model_type") or "").startswith(PREFIX)


def architecture_of(model_type: str) -> str:
    """Name of the language model's class, for config.json: ``NexusLlamaForCausalLM``."""
    return "Nexus" + FAMILIES[model_type.removeprefix(PREFIX)][3]


def mlp_router_size(width: int, num_experts: int, domain_size: int) -> int:
    """Hidden size of the MLP router whose parameters come nearest to a Nexus router's."""
    return max(1, round((2 * width * domain_size + width**2) / (2 * width + num_experts)))
