"""A real store of tokens and a real model, both tiny."""

import numpy as np
import pytest

from polylect.checkpoints import Lineage
from polylect.mixtures import TokenStore, write_tokens
from polylect.models import BuildConfig, build_model, save_model
from polylect.rows import Document, Split
from polylect.runs import Files
from polylect.text import train_bpe

WORDS = {
    "de": ["das", "Haus", "ist", "über", "klein", "und", "weiß", "nichts"],
    "el": ["το", "σπίτι", "είναι", "μικρό", "και", "λευκό"],
    "ja": ["家", "は", "小さい", "白い", "です", "と"],
}


@pytest.fixture(scope="session")
def tokens(tmp_path_factory):
    """A folder as ``tokenize_text`` writes it: three languages, documents of many lengths."""
    folder = tmp_path_factory.mktemp("tokens")
    random = np.random.default_rng(0)
    documents = [
        Document(
            id=f"{tag}{i}",
            language=tag,
            source="test",
            license="CC0-1.0",
            text=" ".join(random.choice(words, random.integers(2, 40))),
        )
        for i in range(20)
        for tag, words in WORDS.items()
    ]
    texts = {tag: [row.text for row in documents if row.language == tag] for tag in WORDS}
    tokenizer = train_bpe(texts, vocab_size=300)
    tokenizer.save(folder / "tokenizer")
    write_tokens(iter(documents), tokenizer, folder, Split.TRAIN)
    return Files(folder)


@pytest.fixture(scope="session")
def model(tokens, tmp_path_factory):
    """The checkpoint of a fresh Cohere 2 model of 220,000 parameters."""
    folder = tmp_path_factory.mktemp("model")
    tokenizer = TokenStore(tokens.path, Split.TRAIN).tokenizer()
    config = BuildConfig(num_parameters=230_000, context_tokens=32, sliding_window=8)
    model = build_model(
        config, tokenizer.vocab_size, tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id
    )
    save_model(model, tokenizer, folder, Lineage(method="build", license="Apache-2.0"))
    return Files(folder)
