"""Building a model: its shape from a budget, its weights from a seed, in transformers' classes."""

from typing import TYPE_CHECKING

import torch

from polylect.models.attention import PACKED
from polylect.models.config import BuildConfig, shape_for

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def build_model(
    config: BuildConfig, vocab_size: int, bos_id: int, eos_id: int, pad_id: int
) -> "PreTrainedModel":
    """A Cohere 2 causal language model with fresh float32 weights: same config, same bytes.

    Three of four layers slide with RoPE, every fourth sees everything without positions (Command A,
    section 2); embeddings are tied. The logit scale is 1, not Cohere's 1/16: that one belongs to
    their width.
    """
    from transformers import Cohere2Config, Cohere2ForCausalLM

    shape = shape_for(config.num_parameters, vocab_size)
    architecture = Cohere2Config(
        vocab_size=vocab_size,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        num_key_value_heads=shape.num_key_heads,
        max_position_embeddings=config.context_tokens,
        sliding_window=config.sliding_window,
        logit_scale=1.0,
        bos_token_id=bos_id,
        eos_token_id=eos_id,
        pad_token_id=pad_id,
    )
    architecture._attn_implementation = PACKED
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return Cohere2ForCausalLM(architecture)
