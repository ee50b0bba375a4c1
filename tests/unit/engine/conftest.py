import pytest
from small_models import FAMILIES, TEXT, write_checkpoint

from polylect.text import train_bpe


@pytest.fixture(scope="session")
def tokenizer():
    return train_bpe({"en": [TEXT]}, vocab_size=420)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory, tokenizer):
    root = tmp_path_factory.mktemp("checkpoints")
    return {name: write_checkpoint(root / name, tokenizer, name) for name in FAMILIES}
