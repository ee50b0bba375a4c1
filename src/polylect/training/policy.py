"""What an alignment begins with: a checkpoint, its tokenizer, and how its turns are written."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from polylect.base import InputError, Ledger
from polylect.checkpoints import Checkpoint
from polylect.models import head_of, is_packed, load_model
from polylect.text import Style, Tokenizer, style_or_plain
from polylect.training.config import ExamplesConfig, OptimConfig
from polylect.training.lora import add_adapters


@dataclass(frozen=True)
class Policy:
    """A checkpoint that is to be trained.

    Attributes:
        checkpoint: the checkpoint.
        tokenizer: its tokenizer.
        style: how turns are written.
        context_tokens: longest sequence.
        recompute: compute activations again in the backward pass.
    """

    checkpoint: Checkpoint
    tokenizer: Tokenizer
    style: Style
    context_tokens: int
    recompute: bool = False

    def load(self, optim: OptimConfig | None = None, seed: int = 0) -> Any:
        """The model in training mode, in float32, on the accelerator where there is one.

        Args:
            optim: says whether adapters are put in.
            seed: of the adapters.

        Raises:
            InputError: it cannot be loaded, or its architecture cannot run packed or be trained.
        """
        model = load_model(self.checkpoint)
        if not is_packed(model):
            raise InputError(
                f"{self.checkpoint.path}: {type(model).__name__} cannot run packed rows",
                "polylect trains architectures whose layers go through transformers' attention",
            )
        head = head_of(model)
        if head.softcap is not None or head.bias is not None:
            what = "capped logits" if head.softcap is not None else "a bias in its head"
            raise InputError(
                f"{self.checkpoint.path}: {type(model).__name__} has {what}",
                "polylect does not train through that yet",
            )
        if optim is not None and optim.lora_rank:
            add_adapters(model, optim, seed)
        if self.recompute:
            # Older versions of transformers know it by its other name.
            name = "activation_checkpointing_enable"
            again = getattr(model, name, None) or model.gradient_checkpointing_enable
            again({"use_reentrant": False})
        return model.to(device()).train()


def device() -> torch.device:
    """Where training runs."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast(config: ExamplesConfig) -> AbstractContextManager[Any]:
    """A context in which matrix products run in the precision that was asked for.

    Weights, gradients, sums and the optimizer stay in float32. ``auto`` never takes bfloat16 on a
    processor, whatever its flags say: here it was 1.4 to 1.9 times slower than float32.
    """
    kind = device().type
    gains = kind == "cuda" and torch.cuda.is_bf16_supported()
    if config.precision == "bfloat16" or (config.precision == "auto" and gains):
        return torch.autocast(kind, dtype=torch.bfloat16)
    return nullcontext()


def open_policy(path: Path, config: ExamplesConfig, ledger: Ledger) -> Policy:
    """The checkpoint in a folder, without its weights; sets torch's threads.

    Raises:
        InputError: no checkpoint, no such template, or a context longer than the model's.
    """
    torch.set_num_threads(config.threads)
    checkpoint = Checkpoint.open(path)
    tokenizer = Tokenizer.load(path)
    shape = checkpoint.config.get("text_config", checkpoint.config)
    known = shape.get("max_position_embeddings")
    limit = known if isinstance(known, int) and known > 0 else 1 << 20
    if config.context_tokens is not None and config.context_tokens > limit:
        raise InputError(
            f"--context-tokens is {config.context_tokens}, the model takes {limit}",
            f"--context-tokens {limit}, or leave it out",
        )
    style = style_or_plain(path, tokenizer, config.template, ledger)
    return Policy(checkpoint, tokenizer, style, config.context_tokens or limit, config.recompute)
