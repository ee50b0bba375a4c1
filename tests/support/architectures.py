"""Tiny random checkpoints of the architectures that transformers has, weights of unlike sizes."""

import torch
import transformers as hf
from safetensors.torch import load_file, save_file

from polylect.checkpoints import Checkpoint

VOCABULARY = 97
_SHAPE = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "vocab_size": VOCABULARY,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
_GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "vocab_size": VOCABULARY,
        "bos_token_id": 1, "eos_token_id": 2}  # fmt: skip
_OPT = {"hidden_size": 32, "ffn_dim": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
        "max_position_embeddings": 64, "vocab_size": VOCABULARY}  # fmt: skip
_EXPERTS = {"num_experts_per_tok": 2}
_NO_GROUPS = {key: value for key, value in _SHAPE.items() if key != "num_key_value_heads"}

QUANTIZED = {
    "Llama": lambda: hf.LlamaConfig(**_SHAPE),
    "Llama, tied": lambda: hf.LlamaConfig(**_SHAPE, tie_word_embeddings=True),
    "Qwen2": lambda: hf.Qwen2Config(**_SHAPE),
    "Qwen3": lambda: hf.Qwen3Config(**_SHAPE, head_dim=8),
    "Gemma 2": lambda: hf.Gemma2Config(**_SHAPE, head_dim=8, sliding_window=8),
    "Gemma 3": lambda: hf.Gemma3TextConfig(**_SHAPE, head_dim=8, sliding_window=8),
    "GPT-NeoX": lambda: hf.GPTNeoXConfig(**_NO_GROUPS),
    "GPT-J": lambda: hf.GPTJConfig(**_GPT, rotary_dim=4),
    "OPT": lambda: hf.OPTConfig(**_OPT, word_embed_proj_dim=32),
    "OPT, projected": lambda: hf.OPTConfig(**_OPT, word_embed_proj_dim=16),
    "LFM2": lambda: hf.Lfm2Config(
        **_SHAPE, layer_types=["conv", "full_attention"], block_multiple_of=16
    ),
    "Phi": lambda: hf.PhiConfig(**_SHAPE),
    "Phi 3": lambda: hf.Phi3Config(**_SHAPE),
    "Cohere": lambda: hf.CohereConfig(**_SHAPE, logit_scale=0.7),
    "Cohere 2": lambda: hf.Cohere2Config(**_SHAPE, sliding_window=8, logit_scale=0.7),
    "StableLM": lambda: hf.StableLmConfig(**_SHAPE),
    "Granite": lambda: hf.GraniteConfig(**_SHAPE, logits_scaling=3.0, residual_multiplier=0.5),
    "OLMo 2": lambda: hf.Olmo2Config(**_SHAPE),
    "Bloom": lambda: hf.BloomConfig(
        hidden_size=32, n_layer=2, n_head=4, vocab_size=VOCABULARY, bos_token_id=1, eos_token_id=2
    ),
    "MPT": lambda: hf.MptConfig(
        d_model=32, n_heads=4, n_layers=2, max_seq_len=64, vocab_size=VOCABULARY
    ),
    "XGLM": lambda: hf.XGLMConfig(
        d_model=32, ffn_dim=48, num_layers=2, attention_heads=4, max_position_embeddings=64,
        vocab_size=VOCABULARY,
    ),
    "BioGPT": lambda: hf.BioGptConfig(**_NO_GROUPS),
    "GPT-OSS": lambda: hf.GptOssConfig(
        **_SHAPE, **_EXPERTS, num_local_experts=4, head_dim=8, sliding_window=8
    ),
}  # fmt: skip
REFUSED = {
    "Mixtral": (lambda: hf.MixtralConfig(**_SHAPE, **_EXPERTS, num_local_experts=4),
                r"MixtralForCausalLM joins 'model.layers.0.mlp.experts.down_proj' from 4 tensors"),
    "Qwen 3 MoE": (
        lambda: hf.Qwen3MoeConfig(**_SHAPE, **_EXPERTS, num_experts=4, moe_intermediate_size=16),
        r"joins 'model.layers.0.mlp.experts.down_proj' from 4 tensors",
    ),
    "Qwen 2 MoE": (
        lambda: hf.Qwen2MoeConfig(
            **_SHAPE, **_EXPERTS, num_experts=4, moe_intermediate_size=16,
            shared_expert_intermediate_size=16,
        ),
        r"joins 'model.layers.0.mlp.experts.down_proj' from 4 tensors",
    ),
    "GPT-2": (lambda: hf.GPT2Config(**_GPT), "hold no plain linear layer"),
    "Falcon": (
        lambda: hf.FalconConfig(
            hidden_size=32, num_hidden_layers=2, num_attention_heads=4, vocab_size=VOCABULARY
        ),
        "hold no plain linear layer",
    ),
    "Mamba": (
        lambda: hf.MambaConfig(
            hidden_size=32, num_hidden_layers=2, state_size=4, vocab_size=VOCABULARY
        ),
        r"layers 'dt_proj', 'out_proj' by name .* --layers '\*.dt_proj=none' '\*.out_proj=none'",
    ),
}  # fmt: skip


def write_uneven(config, folder, tokenizer):
    """A checkpoint of a configuration; norms and biases differ from what modules begin with."""
    torch.manual_seed(0)
    hf.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    for name, value in tensors.items():
        if value.ndim > 1 and not value.any():
            tensors[name] = torch.randn(value.shape)  # the vectors of domains
        elif value.is_floating_point():
            tensors[name] = value * 6 if value.ndim > 1 else value + 0.3 * torch.randn(value.shape)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(folder)
    return Checkpoint.open(folder)
