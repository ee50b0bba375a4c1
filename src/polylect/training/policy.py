"""The policy: the checkpoint that is trained, its tokenizer and its chat style."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from polylect.base import InputError, Ledger
from polylect.checkpoints import Checkpoint
from polylect.engine import stated_limit, stated_unscaled
from polylect.models import SEPARATE, is_oracle, load_model, on_device
from polylect.text import Style, Tokenizer, style_or_plain
from polylect.training.config import ExamplesConfig, OptimConfig
from polylect.training.freezing import freeze
from polylect.training.lora import add_adapters
from polylect.training.modes import turn_off_dropout
from polylect.training.routers import check_routers

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Policy:
    """A checkpoint that is to be trained.

    Attributes:
        checkpoint: the checkpoint.
        tokenizer: its tokenizer.
        style: renders messages.
        context_tokens: longest sequence.
        recompute: gradient checkpointing.
        ledger: counts an architecture that does not run packed: every sequence is a pass then.
    """

    checkpoint: Checkpoint
    tokenizer: Tokenizer
    style: Style
    context_tokens: int
    recompute: bool = False
    ledger: Ledger | None = field(default=None, compare=False, repr=False)

    def load(
        self, optim: OptimConfig | None = None, seed: int = 0, *, dropout: bool = False
    ) -> "PreTrainedModel":
        """The model in float32, on the accelerator if there is one, ready to be trained.

        Args:
            optim: says whether adapters are added; None adds none.
            seed: of the adapters.
            dropout: train with the dropout of the model's config; without it the model is in
                evaluation mode (see ``training.modes``).

        Raises:
            InputError: it cannot be loaded, or adapters do not fit it.
        """
        # Loaded several times, counted once.
        is_counted = self.ledger is None or self.ledger.total(SEPARATE) > 0
        model = load_model(self.checkpoint, ledger=None if is_counted else self.ledger)
        if optim is not None and optim.lora_rank:
            add_adapters(model, optim, seed)
        if optim is not None:
            check_routers(model, optim)
            freeze(model, optim.freeze)
        if self.recompute and is_oracle(model):
            raise InputError(f"{self.checkpoint.path}: --recompute with the oracle's router",
                             "leave --recompute out: a pass is told its domains once")  # fmt: skip
        if self.recompute:
            # Older versions of transformers have the second name only.
            name = "activation_checkpointing_enable"
            enable = getattr(model, name, None) or model.gradient_checkpointing_enable
            enable({"use_reentrant": False})
        model.train()
        if not dropout:
            turn_off_dropout(model, recompute=self.recompute)
        return on_device(model, device())


def device() -> torch.device:
    """The device on which training runs."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast(config: ExamplesConfig) -> AbstractContextManager[Any]:
    """A context in which matrix products run in the configured precision.

    Weights, gradients, sums and the optimizer stay in float32. ``auto`` never takes bfloat16 on a
    CPU: it was measured to be 1.4 to 1.9 times slower than float32 there.
    """
    kind = device().type
    is_faster = kind == "cuda" and torch.cuda.is_bf16_supported()
    if config.precision == "bfloat16" or (config.precision == "auto" and is_faster):
        return torch.autocast(kind, dtype=torch.bfloat16)
    return nullcontext()


def open_trainable(path: Path) -> Checkpoint:
    """A checkpoint that can be trained, and whose files can be carried.

    Raises:
        InputError: there is none, it is quantized, or what lies beside its weights is broken.
    """
    checkpoint = Checkpoint.open(path)
    if checkpoint.is_quantized:
        raise InputError(f"{path}: is quantized", "train the full-precision checkpoint")
    checkpoint.check_beside()
    return checkpoint


def context_limit(checkpoint: Checkpoint) -> tuple[int, str]:
    """The longest sequence that a checkpoint is trained on, in tokens, and what errors add."""
    limit = stated_limit(checkpoint.config) or 1 << 20
    unscaled = stated_unscaled(checkpoint.config)
    if unscaled is None:
        return limit, ""
    # Packed sequences have the short positions only up to here.
    return min(limit, unscaled), " in training (LongRoPE: longer sequences are rotated apart)"


def open_policy(
    path: Path, config: ExamplesConfig, ledger: Ledger, *, is_trained: bool = True
) -> Policy:
    """The checkpoint in a folder, without its weights; sets torch's threads.

    Args:
        path: the folder.
        config: template, context and threads.
        ledger: counts a checkpoint that falls back to plain turns, and files that training leaves.
        is_trained: False where it only answers, which a quantized checkpoint can.

    Raises:
        InputError: no checkpoint or a quantized one, no such template, or a context longer than
            the model's.
    """
    torch.set_num_threads(config.threads)
    checkpoint = open_trainable(path) if is_trained else Checkpoint.open(path)
    if is_trained:
        checkpoint.beside.count_left(ledger)
    tokenizer = Tokenizer.load(path).within(checkpoint.stated_rows)
    limit, why = context_limit(checkpoint)
    if config.context_tokens is not None and config.context_tokens > limit:
        raise InputError(
            f"--context-tokens is {config.context_tokens}, the model takes {limit}{why}",
            f"--context-tokens {limit}, or leave it out",
        )
    style = style_or_plain(
        path, tokenizer, config.template, ledger, special_tokens=config.special_tokens
    )
    return Policy(
        checkpoint, tokenizer, style, config.context_tokens or limit, config.recompute, ledger
    )
