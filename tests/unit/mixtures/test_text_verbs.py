import json

import polars as pl
import pytest

from polylect.base import InputError
from polylect.mixtures import (
    CollectConfig,
    FolderSource,
    TokenizerConfig,
    collect_text,
    train_tokenizer,
)
from polylect.rows import Document, Split, read_rows
from polylect.runs import Call, execute
from polylect.text import Tokenizer


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    for tag, text in (("de", "Der Hund Nummer {} schläft."), ("en", "Dog number {} sleeps.")):
        rows = [{"text": text.format(n), "parallel": f"p{n}", "id": n} for n in range(300)]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{tag}.jsonl").write_text(lines, encoding="utf-8")
    return FolderSource(folder)


def test_from_files_to_a_tokenizer(source, tmp_path):
    corpus = execute(Call(collect_text, "text", CollectConfig(), {"a": source}), tmp_path / "r")
    counts = pl.read_parquet(corpus.path / "counts.parquet")
    assert counts["documents"].sum() == 600
    sides = {}
    for split in Split:
        documents = list(read_rows(corpus.path / f"{split}.parquet", Document))
        assert documents == sorted(documents, key=lambda d: (d.language, d.source, d.id))
        for one in documents:
            assert sides.setdefault(one.parallel, split) == split

    call = Call(train_tokenizer, "tokenizer", TokenizerConfig(vocab_size=280), {"corpus": corpus})
    artifact = execute(call, tmp_path / "r")
    tokenizer = Tokenizer.load(artifact.path)
    assert tokenizer.vocab_size == 280
    frame = pl.read_parquet(artifact.path / "fertility.parquet")
    assert frame["language"].to_list() == ["de", "en"]
    assert frame["parallel_documents"].min() > 3

    again = execute(call, tmp_path / "elsewhere")
    assert again.digest == artifact.digest


def test_a_vocabulary_that_falls_short_is_counted(source, tmp_path):
    corpus = execute(Call(collect_text, "text", CollectConfig(), {"a": source}), tmp_path)
    call = Call(train_tokenizer, "tokenizer", TokenizerConfig(vocab_size=9000), {"corpus": corpus})
    artifact = execute(call, tmp_path)
    short = 9000 - Tokenizer.load(artifact.path).vocab_size
    assert artifact.ledger.by_event() == {"fell short: entries of the vocabulary": short}


def test_an_empty_language_leaves_no_artifact(source, tmp_path):
    call = Call(collect_text, "text", CollectConfig(languages=("de", "he")), {"a": source})
    with pytest.raises(InputError, match=r"no text in he \(Hebrew\)"):
        execute(call, tmp_path / "r")
    assert not call.folder(tmp_path / "r").exists()
