"""A mixture as an architecture that others serve, where one carries it exactly.

``qwen2_moe`` takes the softmax over all experts, does not renormalize its top-k
(``norm_topk_prob`` false) and adds a shared expert times a sigmoid gate: with gate weights of 0
that is one half, and with the shared down-projection doubled, which is exact, it is the shared
expert itself. A Nexus router is folded into the gate's rows, e = W2 · SwiGLU(W1 · d).
``cohere2_moe`` takes the softmax over the top-k alone, which is ours where every expert is taken.
Read in the source of transformers 5.23: modeling_qwen2_moe.py, modeling_cohere2_moe.py.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from polylect.base import InputError, Ledger
from polylect.checkpoints import Checkpoint, read_floats
from polylect.experts.engine import Output, Work, Written, write
from polylect.experts.extending import seed_digest
from polylect.experts.families import family_of
from polylect.experts.nexus_checkpoint import NexusCheckpoint
from polylect.experts.pieces import Piece, copied, given, scaled
from polylect.experts.tensor_names import is_shared, router_name
from polylect.models import with_defaults

EXPORTED_BY = {
    "llama": "qwen2_moe", "mistral": "qwen2_moe", "qwen2": "qwen2_moe", "cohere2": "cohere2_moe",
}  # fmt: skip
"""The architecture that carries a family, by the family."""
_NO = {
    "qwen3": "qwen2_moe has no norms of queries and keys, and what has them beside a shared expert"
    " renormalizes its gates or takes sigmoids",
    "gemma": "qwen2_moe neither scales embeddings nor multiplies by 1 + w in its norms, as Gemma"
    " does",
    "gemma2": "qwen2_moe has no norms of 1 + w, none behind each part, and caps no logits, as Gemma"
    " 2 does",
    "gemma3_text": "qwen2_moe has no norms of 1 + w, none behind each part, and none of queries and"
    " keys, as Gemma 3 has",
    "cohere": "cohere2_moe has the sliding windows of Cohere 2 and no norms of queries and keys,"
    " which Cohere may have",
}
_HINT = "transformers loads the mixture itself: import polylect.models.nexus_families"


def prepare_export(mixture: Checkpoint) -> Work:
    """What is written of a mixture in another architecture; reads the routers alone.

    Raises:
        InputError: no served architecture carries it exactly; says why.
    """
    whole = NexusCheckpoint.of(mixture, mixture.path.resolve().name)
    family = family_of(mixture.config)
    if family in _NO:
        raise InputError(f"{whole.label}: nothing carries it exactly: {_NO[family]}", _HINT)
    if whole.router not in {"nexus", "linear"}:
        raise InputError(
            f"{whole.label}: nothing carries it exactly: the {whole.router} router is no row per"
            " expert",
            _HINT,
        )
    dense = with_defaults(whole.dense_view().config)
    if dense is None:
        raise InputError(f"{whole.label}: transformers does not read its config.json",
                         "pip install 'polylect[models]'")  # fmt: skip
    make = _cohere2_moe if EXPORTED_BY[family] == "cohere2_moe" else _qwen2_moe
    config = make(whole, dense)
    seed = seed_digest(mixture)
    return Work(
        method="experts export",
        settings={"to": config["model_type"], **({"seed_model": seed} if seed else {})},
        inputs={whole.label: mixture},
        config=config,
        pieces=_pieces(whole, config["model_type"]),
        files_from=whole.label,
        title=f"{whole.label} as {config['model_type']}",
    )


def export(
    mixture: Checkpoint, out: Path, *, work: Work | None = None, output: Output | None = None
) -> Written:
    """Write a mixture in an architecture of transformers that others serve, its logits equal.

    Llama, Mistral and Qwen 2 become ``qwen2_moe``; Cohere 2 becomes ``cohere2_moe`` where every
    expert is taken. Weights are copied to the bit, the shared down-projection is doubled, and the
    router's rows are computed in float64 and rounded once.

    Does not keep the domains: the result cannot grow.

    Args:
        mixture: made by ``upcycle`` or ``extend``.
        out: a path that does not exist, or an empty folder, unless it is replaced.
        work: of ``prepare_export``, if it is there already.
        output: threads, shards, progress.

    Raises:
        InputError: see ``prepare_export``; a doubled weight overflows float16.
        StorageError: the disk is full or the folder cannot be written.
    """
    work = work or prepare_export(mixture)
    ledger = Ledger()
    mixture.beside.count_left(ledger)
    return write(work, out, ledger, output)


def router_rows(whole: NexusCheckpoint, layer: int) -> np.ndarray:
    """The rows of a layer's router, float64 [experts, width]: folded, or as they are."""
    tensors = whole.checkpoint.tensors

    def read(part: str) -> np.ndarray:
        info = tensors[router_name(layer, part)]
        out = np.empty(info.num_elements, np.float64)
        return read_floats(info, out=out).reshape(info.shape).astype(np.float64)

    if whole.router == "linear":
        return read("rows.weight")
    hidden = read("domains") @ read("proj_in.weight").T
    gate, up = np.split(hidden, 2, axis=1)
    return (gate / (1 + np.exp(-gate)) * up) @ read("proj_out.weight").T


def _qwen2_moe(whole: NexusCheckpoint, dense: Mapping[str, Any]) -> dict[str, Any]:
    family = dense["model_type"]
    refused = {
        "attention_bias": family == "llama" and dense.get("attention_bias"),
        "mlp_bias": dense.get("mlp_bias"),
        "sliding_window": _slides(dense),
    }
    for key, is_set in refused.items():
        if is_set:
            raise InputError(
                f"{whole.label}: nothing carries it exactly: {key} in config.json is"
                f" {dense.get(key)!r}, which qwen2_moe has not in this form",
                _HINT,
            )
    kept = (
        "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
        "num_attention_heads", "num_key_value_heads", "hidden_act", "max_position_embeddings",
        "initializer_range", "rms_norm_eps", "use_cache", "tie_word_embeddings", "rope_parameters",
        "attention_dropout", "pad_token_id", "bos_token_id", "eos_token_id", "dtype", "head_dim",
    )  # fmt: skip
    config = {key: dense[key] for key in kept if dense.get(key) is not None}
    if config.get("head_dim") == config["hidden_size"] // config["num_attention_heads"]:
        del config["head_dim"]
    return {
        **config,
        "model_type": "qwen2_moe",
        "architectures": ["Qwen2MoeForCausalLM"],
        "num_experts": whole.num_experts,
        "num_experts_per_tok": whole.top_k,
        "norm_topk_prob": False,
        "moe_intermediate_size": dense["intermediate_size"],
        "shared_expert_intermediate_size": dense["intermediate_size"],
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "qkv_bias": family == "qwen2",
        "use_sliding_window": False,
        "sliding_window": None,
        "output_router_logits": False,
        "router_aux_loss_coef": whole.checkpoint.config.get("router_aux_loss_coef", 0.0),
    }


def _slides(dense: Mapping[str, Any]) -> bool:
    types = dense.get("layer_types")
    if isinstance(types, list):
        return any(kind != "full_attention" for kind in types)
    return dense.get("sliding_window") is not None


def _cohere2_moe(whole: NexusCheckpoint, dense: Mapping[str, Any]) -> dict[str, Any]:
    if whole.top_k != whole.num_experts:
        raise InputError(
            f"{whole.label}: cohere2_moe renormalizes its top-k, so that it carries a mixture"
            f" exactly only where every expert is taken; num_experts_per_tok is {whole.top_k} of"
            f" {whole.num_experts}",
            f"upcycle with --experts-per-token {whole.num_experts} and train it so; {_HINT}",
        )
    dropped = {"model_type", "architectures", "transformers_version", "_name_or_path"}
    config = {key: value for key, value in dense.items()
              if key not in dropped and value is not None}  # fmt: skip
    return {
        **config,
        "model_type": "cohere2_moe",
        "architectures": ["Cohere2MoeForCausalLM"],
        "num_experts": whole.num_experts,
        "num_experts_per_tok": whole.top_k,
        "num_shared_experts": 1,
        "shared_expert_combination_strategy": "sum",
        "expert_selection_fn": "softmax",
        "mlp_layer_types": ["sparse"] * whole.num_layers,
        "output_router_logits": False,
    }


def _pieces(whole: NexusCheckpoint, kind: str) -> list[Piece]:
    routers = set(whole.router_tensors())
    shared = "shared_expert" if kind == "qwen2_moe" else "shared_experts"
    pieces = []
    for name, info in whole.checkpoint.tensors.items():
        if name in routers:
            continue
        if not is_shared(name):
            pieces.append(copied(name, info))
            continue
        new = name.replace(".shared_expert.", f".{shared}.", 1)
        doubles = kind == "qwen2_moe" and re.search(r"\.down_proj\.\w+$", name)
        pieces.append(scaled(new, whole.label, info, 2.0) if doubles else copied(new, info))
    for layer in range(whole.num_layers):
        prefix = f"model.layers.{layer}.mlp."
        pieces.append(given(f"{prefix}gate.weight", whole.dtype, router_rows(whole, layer)))
        if kind == "qwen2_moe":
            zeros = np.zeros((1, whole.width))
            pieces.append(given(f"{prefix}shared_expert_gate.weight", whole.dtype, zeros))
    return pieces
