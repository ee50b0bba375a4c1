"""Small random checkpoints of many architectures, and the guide's table of what works on each."""

import re
from pathlib import Path

import tokenizers
import torch
import transformers as hf
from architectures import write_uneven

from polylect.checkpoints import Checkpoint
from polylect.models import family_classes
from polylect.text import Tokenizer

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "architectures.md"
VERBS = ("eval", "generate", "train sft", "train prefer", "quantize", "merge")
WORDS = ["the", "house", "is", "small", "and", "white", "das", "Haus", "ist", "klein", "und", "alt"]
VOCABULARY, WINDOW = 97, 8

_SHAPE = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256, "vocab_size": VOCABULARY,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
_HEADS = {**_SHAPE, "head_dim": 8}
_FULL = {**_SHAPE, "num_key_value_heads": 4}
_FEW = {key: _SHAPE[key] for key in ("hidden_size", "num_hidden_layers", "vocab_size",
                                     "bos_token_id", "eos_token_id")}  # fmt: skip
_OLD = {**_FEW, "num_attention_heads": 4}
_GPT = {
    "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256, "vocab_size": VOCABULARY,
    "bos_token_id": 1, "eos_token_id": 2, "resid_pdrop": 0, "embd_pdrop": 0, "attn_pdrop": 0,
}  # fmt: skip
_EXPERTS = {"num_experts_per_tok": 2}
_SMALL_EXPERTS = {**_EXPERTS, "num_experts": 4, "moe_intermediate_size": 16}
_NEXUS = {"num_experts": 3, "num_experts_per_tok": 1, "domain_size": 6,
          "router_aux_loss_coef": 0.0}  # fmt: skip
_LATENT = {
    "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8,
    "v_head_dim": 12, "head_dim": 8, "first_k_dense_replace": 1, "n_routed_experts": 4,
    "n_shared_experts": 1, "moe_intermediate_size": 16, **_EXPERTS,
}  # fmt: skip
_SSM = {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_n_groups": 1,
        "mamba_chunk_size": 8}  # fmt: skip
_DELTA = {
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8,
    "linear_value_head_dim": 8, "layer_types": ["linear_attention", "full_attention"],
}  # fmt: skip
_LONG = {"rope_type": "longrope", "rope_theta": 1e4, "long_factor": [3.0, 2.0, 5.0, 4.0],
         "short_factor": [1.0] * 4, "original_max_position_embeddings": 32}  # fmt: skip

ARCHITECTURES = {
    "Llama": lambda: hf.LlamaConfig(**_SHAPE),
    "Llama, tied": lambda: hf.LlamaConfig(**_SHAPE, tie_word_embeddings=True),
    "Qwen2": lambda: hf.Qwen2Config(**_SHAPE),
    "Qwen3": lambda: hf.Qwen3Config(**_HEADS),
    "Mistral": lambda: hf.MistralConfig(**_SHAPE, sliding_window=WINDOW),
    "Gemma 2": lambda: hf.Gemma2Config(**_HEADS, sliding_window=WINDOW, query_pre_attn_scalar=8),
    "Gemma 3": lambda: hf.Gemma3TextConfig(**_HEADS, sliding_window=WINDOW),
    "Gemma 4": lambda: hf.Gemma4TextConfig(
        **_HEADS, sliding_window=WINDOW, vocab_size_per_layer_input=VOCABULARY,
        hidden_size_per_layer_input=8, global_head_dim=8,
    ),
    "Phi": lambda: hf.PhiConfig(**_SHAPE),
    "Phi 3": lambda: hf.Phi3Config(**_SHAPE, sliding_window=WINDOW),
    "OLMo 2": lambda: hf.Olmo2Config(**_SHAPE),
    "Cohere": lambda: hf.CohereConfig(**_SHAPE, logit_scale=0.7),
    "Cohere 2": lambda: hf.Cohere2Config(**_SHAPE, sliding_window=WINDOW, logit_scale=0.7),
    "StableLM": lambda: hf.StableLmConfig(**_SHAPE),
    "SmolLM3": lambda: hf.SmolLM3Config(**_SHAPE),
    "Granite": lambda: hf.GraniteConfig(**_SHAPE, logits_scaling=3.0, residual_multiplier=0.5),
    "GPT-NeoX": lambda: hf.GPTNeoXConfig(**_OLD, intermediate_size=48, max_position_embeddings=256),
    "GPT-2": lambda: hf.GPT2Config(**_GPT),
    "GPT-BigCode": lambda: hf.GPTBigCodeConfig(**_GPT),
    "OPT": lambda: hf.OPTConfig(
        **_OLD, ffn_dim=48, max_position_embeddings=256, word_embed_proj_dim=32, dropout=0.0
    ),
    "BLOOM": lambda: hf.BloomConfig(
        hidden_size=32, n_layer=2, n_head=4, vocab_size=VOCABULARY, bos_token_id=1, eos_token_id=2
    ),
    "Falcon": lambda: hf.FalconConfig(**_OLD),
    "Mixtral": lambda: hf.MixtralConfig(**_SHAPE, **_EXPERTS, num_local_experts=4),
    "Qwen2-MoE": lambda: hf.Qwen2MoeConfig(
        **_SHAPE, **_SMALL_EXPERTS, shared_expert_intermediate_size=16
    ),
    "Qwen3-MoE": lambda: hf.Qwen3MoeConfig(**_HEADS, **_SMALL_EXPERTS),
    "OLMoE": lambda: hf.OlmoeConfig(**_SHAPE, **_EXPERTS, num_experts=4),
    "GPT-OSS": lambda: hf.GptOssConfig(
        **_HEADS, **_EXPERTS, num_local_experts=4, sliding_window=WINDOW
    ),
    "Granite MoE": lambda: hf.GraniteMoeConfig(
        **_SHAPE, **_EXPERTS, num_local_experts=4, logits_scaling=3.0
    ),
    "PhiMoE": lambda: hf.PhimoeConfig(
        **_SHAPE, **_EXPERTS, num_local_experts=4, sliding_window=WINDOW
    ),
    "DeepSeek-V2": lambda: hf.DeepseekV2Config(**_FULL, **_LATENT),
    "DeepSeek-V3": lambda: hf.DeepseekV3Config(**_FULL, **_LATENT, n_group=2, topk_group=1),
    "Nexus Llama": lambda: family_classes("llama")[0](**_SHAPE, **_NEXUS),
    "Nexus Qwen2": lambda: family_classes("qwen2")[0](**_SHAPE, **_NEXUS, router_type="linear"),
    "Nexus Qwen3": lambda: family_classes("qwen3")[0](
        **_HEADS, **_NEXUS | {"num_experts_per_tok": 2}
    ),
    "Nexus Gemma 2": lambda: family_classes("gemma2")[0](
        **_HEADS, **_NEXUS, router_type="mlp", router_size=4, sliding_window=WINDOW
    ),
    "Nexus Gemma 3": lambda: family_classes("gemma3_text")[0](
        **_HEADS, **_NEXUS, sliding_window=WINDOW
    ),
    "Nexus Cohere 2": lambda: family_classes("cohere2")[0](
        **_SHAPE, **_NEXUS, sliding_window=WINDOW, logit_scale=0.7
    ),
    "LFM2": lambda: hf.Lfm2Config(
        **_SHAPE, layer_types=["conv", "full_attention"], block_multiple_of=16
    ),
    "Jamba": lambda: hf.JambaConfig(
        **_SHAPE, **_EXPERTS, num_experts=4, attn_layer_period=2, attn_layer_offset=1,
        expert_layer_period=2, expert_layer_offset=1, mamba_d_state=4, mamba_dt_rank=4,
        use_mamba_kernels=False,
    ),
    "Bamba": lambda: hf.BambaConfig(**_SHAPE, **_SSM, attn_layer_indices=[1]),
    "Zamba 2": lambda: hf.Zamba2Config(
        **_FULL, layers_block_type=["mamba", "hybrid"], hybrid_layer_ids=[1], mamba_d_state=8,
        n_mamba_heads=4, mamba_ngroups=1, chunk_size=8, num_mem_blocks=1, adapter_rank=4,
    ),
    "Nemotron-H": lambda: hf.NemotronHConfig(
        **{key: value for key, value in _HEADS.items() if key != "num_hidden_layers"},
        layers_block_type=["mamba", "attention"], mamba_num_heads=4, mamba_head_dim=16,
        ssm_state_size=8, n_groups=1, chunk_size=8, use_mamba_kernels=False,
    ),
    "Qwen3-Next": lambda: hf.Qwen3NextConfig(
        **_HEADS, **_SMALL_EXPERTS, **_DELTA, shared_expert_intermediate_size=16
    ),
    "Mamba": lambda: hf.MambaConfig(**_FEW, state_size=4),
    "Mamba 2": lambda: hf.Mamba2Config(
        **_FEW, state_size=8, num_heads=4, head_dim=16, n_groups=1, chunk_size=8
    ),
    "RWKV": lambda: hf.RwkvConfig(**_FEW, attention_hidden_size=32, context_length=256),
    "RecurrentGemma": lambda: hf.RecurrentGemmaConfig(
        **_HEADS, attention_window_size=WINDOW, lru_width=32
    ),
    "Llama 4": lambda: hf.Llama4TextConfig(
        **_HEADS, attention_chunk_size=WINDOW, num_local_experts=2, num_experts_per_tok=1,
        intermediate_size_mlp=48,
    ),
    "Phi 3, LongRoPE": lambda: hf.Phi3Config(
        **_SHAPE, rope_parameters=dict(_LONG), original_max_position_embeddings=32
    ),
}  # fmt: skip
"""Configurations by the name in the guide's table."""


def word_tokenizer() -> Tokenizer:
    """A tokenizer with exactly as many tokens as the models have rows."""
    names = ["<unk>", "<s>", "</s>", *WORDS]
    names += [f"w{number}" for number in range(VOCABULARY - len(names))]
    ids = {name: number for number, name in enumerate(names)}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(ids, "<unk>"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    return Tokenizer(backend, {"bos_token": "<s>", "eos_token": "</s>"})


def write_architecture(name: str, folder: Path) -> Checkpoint:
    """A random checkpoint of an architecture of the table."""
    return write_uneven(ARCHITECTURES[name](), folder, word_tokenizer())


def plain_model(folder: Path):
    """The checkpoint in plain transformers, float32, eager attention."""
    return hf.AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32
    ).eval()


def table_of_the_guide() -> dict[str, dict[str, str]]:
    """What the guide says of every architecture, by verb."""
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in GUIDE.read_text("utf-8").splitlines()
        if line.startswith("|")
    ]
    assert tuple(rows[0][1:]) == VERBS
    return {cells[0]: dict(zip(VERBS, cells[1:], strict=True)) for cells in rows[2:]}


def reasons_of_the_guide() -> dict[str, str]:
    """What a refusal contains, by its number in the table: "…" stands for anything."""
    text = GUIDE.read_text("utf-8")
    return dict(re.findall(r"^(\d+)\. `([^`]+)`", text, re.MULTILINE))


def check_refusal(cell: str, error: Exception) -> None:
    """Check that the table announces this refusal, and that it is one line."""
    numbers = re.findall(r"^no \((\d+)\)$", cell)
    assert numbers, f"the table says {cell!r}; refused: {error}"
    parts = reasons_of_the_guide()[numbers[0]].split("…")
    assert re.search(".*".join(map(re.escape, parts)), str(error)), error
    assert "\n" not in str(error)
