"""A real store of held-out text and a real model, both tiny."""

import numpy as np
import pytest
import torch

from polylect.checkpoints import Checkpoint, Lineage
from polylect.mixtures import TokenStore, write_tokens
from polylect.models import BuildConfig, build_model, save_model
from polylect.rows import Document, Split
from polylect.text import train_bpe

WORDS = {
    "de": ["das", "Haus", "ist", "über", "klein", "und", "weiß", "nichts"],
    "el": ["το", "σπίτι", "είναι", "μικρό", "και", "λευκό"],
    "ja": ["家", "は", "小さい", "白い", "です", "と"],
}


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """Held-out documents of 2 to 60 words, most with a translation, in no order."""
    folder = tmp_path_factory.mktemp("tokens")
    random = np.random.default_rng(0)
    documents = [
        Document(
            id=f"{tag}-{i}",
            language=tag,
            source="a" if i % 3 else "b",
            parallel="" if i % 5 == 4 else f"page-{i}",
            text=" ".join(random.choice(words, random.integers(2, 60))),
        )
        for i in range(15)
        for tag, words in WORDS.items()
    ]
    documents = [documents[i] for i in random.permutation(len(documents))]
    texts = {tag: [one.text for one in documents if one.language == tag] for tag in WORDS}
    tokenizer = train_bpe(texts, vocab_size=300)
    tokenizer.save(folder / "tokenizer")
    write_tokens(iter(documents), tokenizer, folder, Split.TEST)
    return TokenStore(folder, Split.TEST)


@pytest.fixture(scope="session")
def checkpoint(store, tmp_path_factory):
    """A Cohere 2 model whose predictions are far from uniform."""
    folder = tmp_path_factory.mktemp("model")
    t = store.tokenizer()
    config = BuildConfig(num_parameters=230_000, context_tokens=48, sliding_window=8)
    made = build_model(config, t.vocab_size, t.bos_id, t.eos_id, t.pad_id)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim == 2:
                parameter.mul_(5)
    save_model(made, t, folder, Lineage(method="build"))
    return Checkpoint.open(folder)
