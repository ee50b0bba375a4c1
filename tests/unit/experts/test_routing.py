"""Routing tables: equal to counting token by token, and the shares that are read from them."""

from functools import partial

import numpy as np
import polars as pl
import pytest
import torch
from align_cases import write_model

from polylect.base import Ledger
from polylect.checkpoints import Checkpoint
from polylect.engine import RoutedText, routing_table
from polylect.experts import own_counts, shares, unused_experts
from polylect.models import blocks_of, load_model
from polylect.text import Tokenizer

TEXTS = [
    RoutedText("das Haus ist klein und weiß", "de", "german", "1"),
    RoutedText("ein anderer Satz", "de", "german", "2"),
    RoutedText("यह घर छोटा है", "hi", "hindi", "3"),
    RoutedText("x = [i for i in range(3)]", "code", "code", "4"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("routing") / "model", kind="nexus")


@pytest.mark.parametrize("top_k", [1, 2])
@pytest.mark.parametrize("context", [8, 128])
def test_a_table_counts_every_token_once(place, top_k, context):
    model, tokenizer = load_model(Checkpoint.open(place)), Tokenizer.load(place)
    for block in blocks_of(model):
        block.top_k = top_k
    ledger = Ledger()
    table = routing_table(model, tokenizer, TEXTS, context_tokens=context, micro_batch_tokens=20,
                          ledger=ledger)  # fmt: skip
    assert table.height == len(TEXTS) * 2 * 5
    assert bool(ledger.total("split: ")) == (context == 8)
    lengths = [len(ids) for ids in tokenizer.encode([row.text for row in TEXTS])]
    per_block = table.group_by("document", "block").agg(pl.col("choices", "gate").sum(),
                                                        pl.col("tokens").first())  # fmt: skip
    for row in per_block.iter_rows(named=True):
        assert row["tokens"] == lengths[int(row["document"]) - 1]
        assert row["choices"] == top_k * row["tokens"]
        assert row["gate"] == pytest.approx(row["tokens"], rel=1e-5)
    if context == 8:
        return
    # Document by document, without packing, from the gates of a plain pass.
    for number, row in enumerate(TEXTS, start=1):
        ids = tokenizer.encode([row.text])[0]
        inputs = torch.tensor([[tokenizer.bos_id, *ids.tolist(), tokenizer.eos_id]])
        kept: list[torch.Tensor] = []
        keep = partial(lambda kept, block, args: kept.append(args[0]), kept)
        hooks = [block.register_forward_pre_hook(keep)
                 for block in blocks_of(model)]  # fmt: skip
        with torch.no_grad():
            model.model(inputs)
            choices = [block.choose(x[0])[0] for block, x in zip(blocks_of(model), kept,
                                                                 strict=True)]  # fmt: skip
        for hook in hooks:
            hook.remove()
        for block, chosen in enumerate(choices):
            expected = np.bincount(chosen[1:-1].flatten().numpy(), minlength=5)
            found = table.filter((pl.col("document") == str(number)) & (pl.col("block") == block))
            assert found.sort("expert")["choices"].to_list() == expected.tolist()


def test_shares_sum_to_one_in_every_group():
    table = pl.DataFrame({
        "domain": ["a", "a", "b", "b"] * 2, "language": ["de", "de", "hi", "hi"] * 2,
        "document": ["1", "1", "2", "2"] * 2, "block": [0] * 4 + [1] * 4, "expert": [0, 1] * 4,
        "choices": [9, 1, 2, 8, 6, 4, 0, 10], "gate": [8.0, 2.0, 3.0, 7.0, 5.0, 5.0, 1.0, 9.0],
        "tokens": [10] * 8,
    })  # fmt: skip
    of_domain = shares(table, ["domain"])
    assert of_domain["share"].to_list() == pytest.approx([0.75, 0.25, 0.1, 0.9])
    assert of_domain["gate_share"].to_list() == pytest.approx([0.65, 0.35, 0.2, 0.8])
    for keys in ([], ["block"], ["domain", "block"]):
        total = shares(table, keys)["share"].sum()
        assert total == pytest.approx(len(table.unique(keys)) if keys else 1)
    own = own_counts(table, {"a": 0, "b": 1})
    assert own.rows() == [("a", "de", "1", 15, 20), ("b", "hi", "2", 18, 20)]
    assert own_counts(table, {"b": 0})["own"].to_list() == [2]
    assert unused_experts(table) == []
    assert unused_experts(table, below=0.5) == [0]
