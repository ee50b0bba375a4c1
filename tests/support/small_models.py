"""Small random checkpoints of four families, with a tokenizer."""

import numpy as np
import torch
import transformers

from polylect.checkpoints import Checkpoint
from polylect.models import PACKED

TEXT = (
    "The quick brown fox jumps over the lazy dog. A question may have several answers, and one of "
    "them is right. Die Frage hat mehrere Antworten, und eine davon ist richtig. 今天天气很好。"
)
SHAPE = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 512, "pad_token_id": 0,
}  # fmt: skip
SLIDING = {
    "sliding_window": 16,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
}
FAMILIES = {
    "llama": lambda v: transformers.LlamaConfig(**SHAPE, vocab_size=v),
    "qwen3": lambda v: transformers.Qwen3Config(
        **SHAPE, vocab_size=v, head_dim=8, use_sliding_window=True, **SLIDING
    ),
    "gemma3": lambda v: transformers.Gemma3TextConfig(**SHAPE, vocab_size=v, head_dim=8, **SLIDING),
    "cohere2": lambda v: transformers.Cohere2Config(**SHAPE, vocab_size=v, **SLIDING),
    "mamba": lambda v: transformers.MambaConfig(
        vocab_size=v, hidden_size=16, num_hidden_layers=2, state_size=4
    ),
}


def write_checkpoint(folder, tokenizer, family="llama", seed=0):
    """A random model whose predictions differ visibly from token to token."""
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(FAMILIES[family](tokenizer.vocab_size))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(6)
    model.save_pretrained(folder)
    tokenizer.save(folder)
    return Checkpoint.open(folder)


@torch.no_grad()
def slow_score(checkpoint, tokenizer, context, continuation, add_bos=True):
    """The rule in plain words: one request, one plain forward pass, float64 log-softmax."""
    model = transformers.AutoModelForCausalLM.from_pretrained(
        checkpoint.path, attn_implementation="eager"
    ).eval()
    assert model.config._attn_implementation != PACKED
    bare = context.rstrip()
    whole = tokenizer.encode([context + continuation])[0].tolist()
    num_context = len(tokenizer.encode([bare])[0])
    if add_bos or not bare:
        whole, num_context = [tokenizer.bos_id, *whole], num_context + 1
    logits = model(torch.tensor([whole[:-1]])).logits[0].double().log_softmax(dim=1)
    targets = whole[num_context:]
    rows = range(num_context - 1, len(whole) - 1)
    values = [float(logits[row, target]) for row, target in zip(rows, targets, strict=True)]
    greedy = all(int(logits[row].argmax()) == t for row, t in zip(rows, targets, strict=True))
    return sum(values), len(targets), greedy, np.array(values)
