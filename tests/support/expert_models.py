"""Tiny dense models of every family that can have experts, a seed and experts, with a tokenizer."""

import json
import shutil
from functools import lru_cache

import numpy as np
import torch
import transformers as hf

from polylect.checkpoints import Checkpoint
from polylect.text import train_bpe

TEXTS = {
    "de": "Das Haus steht am Fluss und der Hund schläft vor der Tür, Nummer {}.",
    "fr": "La maison est près de la rivière et le chien dort devant la porte, numéro {}.",
    "code": "def value_{0}(x):\n    return [x + {0} for x in range({0})]",
    "ja": "家は川のそばにあり、犬はドアの前で眠っています。番号は{}です。",
}
SHAPE = {
    "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 128, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
_GEMMA = {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 8}
FAMILIES = {
    "llama": lambda v: hf.LlamaConfig(**SHAPE, vocab_size=v),
    "llama-tied": lambda v: hf.LlamaConfig(**SHAPE, vocab_size=v, tie_word_embeddings=True),
    "llama-biased": lambda v: hf.LlamaConfig(
        **SHAPE, vocab_size=v, mlp_bias=True, attention_bias=True
    ),
    "mistral": lambda v: hf.MistralConfig(**SHAPE, vocab_size=v, sliding_window=None),
    "qwen2": lambda v: hf.Qwen2Config(**SHAPE, vocab_size=v),
    "qwen3": lambda v: hf.Qwen3Config(**SHAPE, vocab_size=v, head_dim=8),
    "gemma": lambda v: hf.GemmaConfig(**SHAPE, vocab_size=v, head_dim=8),
    "gemma2": lambda v: hf.Gemma2Config(**SHAPE, vocab_size=v, **_GEMMA),
    "gemma3_text": lambda v: hf.Gemma3TextConfig(**SHAPE, vocab_size=v, **_GEMMA),
    "cohere": lambda v: hf.CohereConfig(**SHAPE, vocab_size=v, logit_scale=0.7),
    "cohere2": lambda v: hf.Cohere2Config(
        **SHAPE, vocab_size=v, sliding_window=8, logit_scale=0.7
    ),
}  # fmt: skip


@lru_cache
def tokenizer():
    texts = {tag: [text.format(i) for i in range(5)] for tag, text in TEXTS.items()}
    return train_bpe(texts, vocab_size=300)


def write_model(folder, family="llama", number=0, dtype=torch.float32, shard=None):
    """A model that differs from number 0, the seed, by a little in every weight."""
    config = FAMILIES[family](tokenizer().vocab_size)
    torch.manual_seed(0)
    model = hf.AutoModelForCausalLM.from_config(config)
    random = torch.Generator().manual_seed(number)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(6)
            if number:
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=random))
    sizes = {} if shard is None else {"max_shard_size": shard}
    model.to(dtype).save_pretrained(folder, **sizes)
    tokenizer().save(folder)
    return Checkpoint.open(folder)


def write_data(folder, names=tuple(TEXTS), num=6):
    """A file of JSON lines per domain; the last is plain text."""
    files = []
    for name in names:
        file = folder / f"{name}.jsonl"
        rows = [{"text": TEXTS[name].format(i), "language": name} for i in range(num)]
        file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        files.append(file)
    return files


def changed_config(source, folder, **keys):
    """A copy of a checkpoint whose config.json has other keys; None removes one."""
    shutil.copytree(source, folder)
    (folder / "polylect.json").unlink(missing_ok=True)
    path = folder / "config.json"
    config = json.loads(path.read_text()) | keys
    path.write_text(json.dumps({k: v for k, v in config.items() if v is not None}))
    return Checkpoint.open(folder)


def tensors_of(checkpoint):
    """All tensors as float64 arrays, by name."""
    from polylect.checkpoints import read_floats

    arrays = {}
    for name, info in checkpoint.tensors.items():
        out = np.empty(info.num_elements, np.float64)
        arrays[name] = read_floats(info, out=out).reshape(info.shape)
    return arrays


def rounded(values, dtype):
    """Float64 values rounded once, by torch (float64 to bfloat16 goes through no other type)."""
    return torch.from_numpy(np.ascontiguousarray(values)).to(dtype).double().numpy()
