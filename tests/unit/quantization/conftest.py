"""Tiny models of two families, a tokenizer, and calibration text in four languages."""

import json

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from polylect.checkpoints import Checkpoint, Lineage
from polylect.models import BuildConfig, build_model, save_model
from polylect.text import train_bpe

WORDS = {
    "en": ["the", "house", "is", "small", "and", "white", "but", "nobody", "lives", "there"],
    "de": ["das", "Haus", "ist", "klein", "und", "weiß", "aber", "niemand", "wohnt", "darin"],
    "el": ["το", "σπίτι", "είναι", "μικρό", "και", "λευκό", "αλλά", "κανείς"],
    "ja": ["家", "は", "小さい", "白い", "です", "と", "誰", "も", "いない"],
}


@pytest.fixture(scope="session")
def text(tmp_path_factory):
    """A file of calibration text: 40 documents a language, two sources."""
    random = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("text") / "text.jsonl"
    with open(path, "w", encoding="utf-8") as file:
        for i in range(40):
            for tag, words in WORDS.items():
                row = {"text": " ".join(random.choice(words, 40)), "language": tag}
                row |= {"source": "news" if i % 4 else "chat"}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path


@pytest.fixture(scope="session")
def tokenizer(text):
    rows = [json.loads(line) for line in text.read_text("utf-8").splitlines()]
    texts = {tag: [one["text"] for one in rows if one["language"] == tag] for tag in WORDS}
    return train_bpe(texts, vocab_size=320)


def _uneven(model):
    """Weights of unlike sizes, and some inputs far larger than others, as trained models have."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, one in model.named_parameters():
            if one.ndim == 2:
                one.mul_(torch.exp(torch.randn(one.shape[0], 1) * 0.5) * 2)
            elif "norm" in name:
                one.mul_(torch.exp(torch.randn(one.shape) * 0.7))
    return model


@pytest.fixture(scope="session")
def llama(tokenizer, tmp_path_factory):
    """Three layers, grouped heads, biases in attention, a head of its own."""
    folder = tmp_path_factory.mktemp("llama")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=tokenizer.vocab_size, hidden_size=64, intermediate_size=192,
        num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=4, attention_bias=True,
        max_position_embeddings=64, tie_word_embeddings=False, bos_token_id=tokenizer.bos_id,
        eos_token_id=tokenizer.eos_id, pad_token_id=tokenizer.pad_id,
    )  # fmt: skip
    save_model(_uneven(LlamaForCausalLM(config)), tokenizer, folder, Lineage(method="build"))
    return Checkpoint.open(folder)


@pytest.fixture(scope="session")
def cohere(tokenizer, tmp_path_factory):
    """The house's own base: sliding windows, one norm for all inputs of a layer, tied head."""
    folder = tmp_path_factory.mktemp("cohere")
    t = tokenizer
    config = BuildConfig(num_parameters=260_000, context_tokens=48, sliding_window=8)
    model = build_model(config, t.vocab_size, t.bos_id, t.eos_id, t.pad_id)
    save_model(_uneven(model), t, folder, Lineage(method="build"))
    return Checkpoint.open(folder)
