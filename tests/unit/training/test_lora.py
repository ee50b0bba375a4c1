"""Adapters: the reference without them, the merged checkpoint, peft's own layout."""

import json

import numpy as np
import peft
import pytest
import torch
import transformers
from align_cases import pair_rows, write_lines, write_model

from polylect.base import Ledger
from polylect.runs import Call, Files, execute_into
from polylect.training import ExamplesConfig, OptimConfig, PreferenceConfig, open_policy, preference
from polylect.training.lora import add_adapters, merge_adapters, without_adapters

OPTIM = OptimConfig(learning_rate=1e-2, warmup=0.1, schedule="linear", min_lr_ratio=0.0,
                    weight_decay=0.0, lora_rank=4)  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lora")
    write_model(folder / "model")
    write_lines(folder / "pairs.jsonl", pair_rows(24))
    config = PreferenceConfig(examples=ExamplesConfig(epochs=6, batch_size=4), optim=OPTIM)
    write_lines(folder / "held.jsonl", pair_rows(9, seed=1))
    inputs = {"model": Files(folder / "model"), "data": Files(folder / "pairs.jsonl"),
              "held_out": Files(folder / "held.jsonl")}  # fmt: skip
    execute_into(Call(preference, "out", config, inputs), folder / "out")
    return folder


IDS = torch.tensor([[5, 9, 33, 60, 7, 2]])


# Within peft, of transformers.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_pefts_own_loader_gives_the_merged_model(trained):
    merged = transformers.AutoModelForCausalLM.from_pretrained(trained / "out").eval()
    base = transformers.AutoModelForCausalLM.from_pretrained(trained / "model").eval()
    with torch.no_grad():
        before = base(IDS).logits
        adapted = peft.PeftModel.from_pretrained(base, trained / "out" / "adapter").eval()
        assert float((adapted(IDS).logits - merged(IDS).logits).abs().max()) < 1e-4
        assert float((before - merged(IDS).logits).abs().max()) > 1e-2


def test_it_learns_and_tells_of_held_out_pairs(trained):
    rows = [json.loads(x) for x in (trained / "out/metrics.jsonl").read_text().splitlines()]
    assert rows[0]["loss"] == pytest.approx(np.log(2), abs=1e-4)
    assert rows[-1]["accuracy"] == 1
    assert rows[0]["probe_start"]["kl"] == pytest.approx(0, abs=1e-4)
    assert set(rows[-1]["probe"]["by_language"]) == {"en", "de", "tr"}
    from polylect.comparison import read_model

    table = read_model(trained / "out").table
    assert table.by("metric")["items"].to_list() == [9, 9, 9]
    assert float(table.only(metric="acc").frame["value"].mean()) > 0.5


def test_without_them_it_is_the_start_and_with_rank_zero_nothing_is_frozen(trained):
    start = open_policy(trained / "model", ExamplesConfig(), Ledger())
    plain = start.load().eval()
    model = start.load(OPTIM).eval()
    names = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert names
    assert all("lora_" in name for name in names)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1)
        want = plain(IDS).logits
        assert float((model(IDS).logits - want).abs().max()) > 1e-2
        with without_adapters(model):
            assert torch.equal(model(IDS).logits, want)
        assert float((model(IDS).logits - want).abs().max()) > 1e-2
    assert all(parameter.requires_grad for parameter in plain.parameters())


def test_merging_keeps_the_logits(trained, tmp_path):
    start = open_policy(trained / "model", ExamplesConfig(), Ledger())
    model = start.load()
    add_adapters(model, OPTIM, 3)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05)
        want = model.eval()(IDS).logits
        merge_adapters(model, tmp_path, "base")
        assert float((model(IDS).logits - want).abs().max()) < 1e-4
    assert not [name for name, _ in model.named_parameters() if "lora_" in name]
