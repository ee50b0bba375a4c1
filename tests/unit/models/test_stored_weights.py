"""What headers say of a checkpoint's weights is what transformers finds as it loads them."""

import re

import pytest
import torch
import transformers
from architectures import QUANTIZED, REFUSED
from safetensors.torch import load_file, save_file

from polylect.base import InputError
from polylect.checkpoints import Checkpoint
from polylect.models import check_language_model

KINDS = ("Llama, tied", "Qwen3", "GPT-NeoX", "OPT, projected", "LFM2", "Phi 3", "GPT-OSS", "Bloom",
         "Mixtral", "Qwen 2 MoE", "GPT-2", "Mamba")  # fmt: skip


def is_refused(folder):
    try:
        check_language_model(Checkpoint.open(folder))
    except InputError:
        return True
    return False


def is_incomplete(folder):
    """Whether transformers would put random values into a weight, or raise."""
    try:
        _, info = transformers.AutoModelForCausalLM.from_pretrained(
            folder, output_loading_info=True
        )
    except (ValueError, RuntimeError, OSError):
        return True
    return bool(info["missing_keys"] or info["mismatched_keys"])


@pytest.mark.parametrize("kind", KINDS)
def test_every_tensor_is_missed(kind, tmp_path):
    """One of every name (of one layer): taken away, and a row shorter."""
    config = QUANTIZED[kind]() if kind in QUANTIZED else REFUSED[kind][0]()
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    assert not is_refused(tmp_path)
    names = {re.sub(r"\.\d+\.", ".N.", name): name for name in tensors}
    for name in names.values():
        others = {other: value for other, value in tensors.items() if other != name}
        save_file(others, path, metadata={"format": "pt"})
        assert is_refused(tmp_path) == is_incomplete(tmp_path), name
        shorter = torch.cat([tensors[name].flatten()[1:], torch.zeros(0)])
        save_file(others | {name: shorter}, path, metadata={"format": "pt"})
        assert is_refused(tmp_path), name
