"""Writes peft_adapters.json: adapters that peft saved, and the models it merged them into.

In an environment that has peft:

    python tests/golden/peft_adapters.py
"""

import base64
import json
import tempfile
from importlib.metadata import version
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers.pytorch_utils import Conv1D

CASES = {
    "plain": {"target_modules": ["first", "second"], "r": 3, "lora_alpha": 5},
    "rslora": {"target_modules": ["first"], "r": 4, "lora_alpha": 3, "use_rslora": True},
    "patterns": {
        "target_modules": ["first", "second", "inner.first"], "r": 2, "lora_alpha": 4,
        "rank_pattern": {"inner.first": 5}, "alpha_pattern": {"inner.first": 7, "second": 1},
    },
    "embedding": {"target_modules": ["embed", "second"], "r": 2, "lora_alpha": 6},
    "turned": {"target_modules": ["turned"], "r": 2, "lora_alpha": 3, "fan_in_fan_out": True},
    "whole": {"target_modules": ["first"], "r": 2, "modules_to_save": ["second"]},
    "bias": {"target_modules": ["first"], "r": 2, "bias": "all"},
}  # fmt: skip


class Model(torch.nn.Module):
    """One module of every kind."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(11, 6)
        self.first = torch.nn.Linear(6, 8)
        self.second = torch.nn.Linear(8, 5, bias=False)
        self.turned = Conv1D(7, 6)
        self.inner = torch.nn.ModuleDict({"first": torch.nn.Linear(6, 8)})


def stored(tensors):
    return {
        name: {
            "shape": list(tensor.shape),
            "data": base64.b64encode(tensor.detach().contiguous().numpy().tobytes()).decode(),
        }
        for name, tensor in sorted(tensors.items())
    }


def main() -> None:
    cases = {}
    for number, (name, options) in enumerate(CASES.items()):
        torch.manual_seed(number)
        model = Model()
        base = {key: value.clone() for key, value in model.state_dict().items()}
        adapted = get_peft_model(model, LoraConfig(**options))
        with torch.no_grad():
            for parameter in adapted.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn_like(parameter) * 0.3)
        with tempfile.TemporaryDirectory() as folder:
            adapted.save_pretrained(folder)
            config = json.loads((Path(folder) / "adapter_config.json").read_text())
            adapter = load_file(Path(folder) / "adapter_model.safetensors")
        merged = adapted.merge_and_unload().state_dict()
        cases[name] = {
            "config": config, "base": stored(base), "adapter": stored(adapter),
            "merged": stored(merged),
        }  # fmt: skip
    data = {"peft": version("peft"), "cases": cases}
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    main()
