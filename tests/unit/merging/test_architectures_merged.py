"""The guide's table of architectures: a merge of two is the mean of their weights, and opens."""

import pytest
import torch
import transformers
from architecture_matrix import (
    ARCHITECTURES,
    check_refusal,
    table_of_the_guide,
    word_tokenizer,
    write_architecture,
)
from safetensors.torch import load_file

from polylect.base import InputError
from polylect.checkpoints import Checkpoint
from polylect.merging import MergeConfig, merge

TABLE = table_of_the_guide()


def tensors_of(folder):
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize("name", ARCHITECTURES)
@torch.no_grad()
def test_a_merge_is_the_mean_of_the_weights(name, tmp_path):
    one = write_architecture(name, tmp_path / "one")
    model = transformers.AutoModelForCausalLM.from_pretrained(one.path)
    torch.manual_seed(5)
    for parameter in model.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(tmp_path / "other")
    word_tokenizer().save(tmp_path / "other")
    other = Checkpoint.open(tmp_path / "other")
    out, cell = tmp_path / "merged", TABLE[name]["merge"]
    try:
        merge(MergeConfig(method="linear"), {"one": one, "other": other}, out)
    except InputError as error:
        check_refusal(cell, error)
        return
    first, second = tensors_of(one.path), tensors_of(other.path)
    merged = load_file(next(out.glob("*.safetensors")))
    assert set(merged) == set(first) == set(second)
    for key, value in first.items():
        if value.is_floating_point():
            mean = (value.double() + second[key].double()) / 2
            torch.testing.assert_close(merged[key].double(), mean, rtol=1e-6, atol=1e-7)
    opened, info = transformers.AutoModelForCausalLM.from_pretrained(out, output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    row = torch.arange(3, 20)[None]
    assert not torch.equal(opened(row, use_cache=False).logits, model(row, use_cache=False).logits)
    assert cell == "yes"
