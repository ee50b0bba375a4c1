"""A reward model as an adapter and a head: small enough to keep one per person.

Trained by the loop of ``polylect train reward``; put onto the base again where answers are scored.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from transformers.pytorch_utils import Conv1D

from polylect.base import InputError, Ledger
from polylect.checkpoints import Checkpoint
from polylect.models import load_model, on_device, reward_model
from polylect.rows import Preference, as_dicts
from polylect.runs import Files, Silent, StepContext
from polylect.text import Style, Tokenizer, style_or_plain
from polylect.training.config import RewardConfig
from polylect.training.lora import ADAPTER
from polylect.training.policy import device
from polylect.training.reward_loop import run_reward
from polylect.training.rewards import ModelReward

HEAD = "score.weight"
_PREFIX, _A, _B = "base_model.model.", ".lora_A.weight", ".lora_B.weight"
_WEIGHTS = "model.safetensors"

Adapter = Mapping[str, np.ndarray]


def train_adapter(
    config: RewardConfig, model: Path, preferences: Sequence[Preference], ledger: Ledger
) -> dict[str, np.ndarray]:
    """The adapter of a reward model, float32 by name, with its head ``score.weight``.

    The training is that of ``polylect train reward`` on these rows, in a temporary folder that
    also holds the merged checkpoint until the adapter is read.

    Args:
        config: with a rank of adapters; what is too long should be dropped.
        model: folder of the base.
        preferences: rows in order.
        ledger: counts what the training drops.

    Raises:
        InputError: a row does not fit, or the base cannot be a reward model.
    """
    from safetensors.numpy import load_file

    if not config.optim.lora_rank:
        raise InputError("an adapter of rank 0", "give lora_rank=16")
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        out, work, data = folder / "out", folder / "work", folder / "rows.jsonl"
        out.mkdir()
        work.mkdir()
        data.write_text("".join(map(_line, preferences)), encoding="utf-8")
        inputs = {"model": Files(model), "data": Files(data)}
        run_reward(config, inputs, StepContext(out, work, Silent(), ledger))
        tensors = load_file(out / ADAPTER / "adapter_model.safetensors")
        adapter = {name: np.asarray(array, np.float32) for name, array in tensors.items()}
        return {HEAD: _head(out), **adapter}


def _line(row: Preference) -> str:
    content: dict[str, Any] = {
        "prompt": as_dicts(row.messages), "chosen": row.chosen, "rejected": row.rejected,
        "language": row.language or "und",
    }  # fmt: skip
    return json.dumps(content) + "\n"


def _head(folder: Path) -> np.ndarray:
    from polylect.checkpoints import read_floats

    info = Checkpoint.open(folder).tensors[HEAD]
    return np.asarray(read_floats(info), np.float32).reshape(info.shape)


def adapted_reward(model: Path, adapter: Adapter, config: RewardConfig) -> ModelReward:
    """The reward of a base with an adapter; the base is kept for the next adapter.

    Args:
        model: folder of the base.
        adapter: of ``train_adapter``.
        config: with which it was trained: rank and scale, template, size of a pass.

    Raises:
        InputError: the base cannot be a reward model, or the adapter is of another one.
    """
    loaded, originals, style = _base(model, config.examples.template)
    rank = config.optim.lora_rank
    scale = (config.optim.lora_alpha or 2 * rank) / rank
    names = {name.removeprefix(_PREFIX).removesuffix(_A) for name in adapter if name.endswith(_A)}
    layers = dict(loaded.named_modules())
    with torch.no_grad():
        for name, weight in originals.items():
            layers[name].weight.data = weight
        originals.clear()
        for name in sorted(names):
            if name not in layers or not hasattr(layers[name], "weight"):
                raise InputError(f"{model}: no layer {name}, which the adapter changes",
                                 "give the checkpoint that it was trained on")  # fmt: skip
            a, b = (_tensor(adapter[_PREFIX + name + end]) for end in (_A, _B))
            originals[name] = layers[name].weight.data
            delta = (b @ a) * scale
            if isinstance(layers[name], Conv1D):  # GPT-2's are transposed
                delta = delta.T
            layers[name].weight.data = originals[name] + delta.to(originals[name].device)
        loaded.score.weight.data = _tensor(adapter[HEAD]).to(loaded.score.weight.device)
    return ModelReward(loaded, style, config.examples.micro_batch_tokens)


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(array, np.float32))


@lru_cache(1)
def _base(model: Path, template: str) -> tuple[Any, dict[str, torch.Tensor], Style]:
    """A base as a reward model, the weights that an adapter replaced, and its turns."""
    checkpoint = Checkpoint.open(model)
    tokenizer = Tokenizer.load(model).within(checkpoint.stated_rows)
    style = style_or_plain(model, tokenizer, template, Ledger())
    loaded = reward_model(load_model(checkpoint), tokenizer.pad_id)
    return on_device(loaded, device()).eval(), {}, style


def adapter_config(
    *, lora_rank: int, learning_rate: float, epochs: float, batch_size: int, template: str,
    seed: int = 0,
) -> RewardConfig:  # fmt: skip
    """The configuration of a person's adapter: what is too long is dropped and counted."""
    config = RewardConfig()
    return replace(
        config,
        optim=replace(config.optim, lora_rank=lora_rank, learning_rate=learning_rate),
        examples=replace(
            config.examples, epochs=epochs, batch_size=batch_size, template=template, seed=seed,
            over_long="drop", threads=torch.get_num_threads(), save_every=1 << 30, probes=0,
        ),
    )  # fmt: skip
