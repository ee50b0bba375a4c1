"""What every training loop shares: learning rate, metrics, resuming, and writing the result."""

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from polylect.base import PolylectError, derive_seed, write_json
from polylect.checkpoints import Checkpoint, Lineage, Parent
from polylect.models import save_model
from polylect.runs import VOLATILE, StepContext, headline
from polylect.text import Style, Tokenizer
from polylect.training.checkpointing import Position, load_state, moments_of, save_state
from polylect.training.config import OptimConfig
from polylect.training.finite import check_finite, check_outputs
from polylect.training.lora import has_adapters, merge_adapters
from polylect.training.mesh import Mesh, full
from polylect.training.routers import router_parameters
from polylect.training.saved_turns import end_turns, write_template
from polylect.training.schedule import learning_rate

if TYPE_CHECKING:
    from transformers import PreTrainedModel


METRICS = "metrics.jsonl"


class Session:
    """A training that resumes from its last saved state and writes a row of metrics per step."""

    def __init__(
        self,
        context: StepContext,
        model: "PreTrainedModel",
        optim: OptimConfig,
        num_steps: int,
        *,
        save_every: int,
        seed: int,
        mesh: Mesh,
    ) -> None:
        """Make the optimizer; load the last saved state into it and the model, if there is one.

        Args:
            context: of the run's step.
            model: what is trained, sharded already.
            optim: learning rate and clipping.
            num_steps: steps in all.
            save_every: steps between saved states.
            seed: of dropout.
            mesh: the processes; the first one writes.
        """
        optimizer = make_optimizer(model, optim)
        self._mesh = mesh
        self._context, self._model, self._optimizer = context, model, optimizer
        self._optim, self._num_steps = optim, num_steps
        self._save_every, self._seed = save_every, seed
        self._position = load_state(context.work, model, optimizer) or Position(0, 0, 0.0)
        self._started = time.monotonic()

    def steps(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The steps that remain: their number, and a row that the loop fills with its metrics."""
        path = self._context.work / METRICS if self._mesh.first else Path(os.devnull)
        with open(path, "ab") as log:
            if self._mesh.first:
                log.truncate(self._position.metrics_bytes)
            for step in range(self._position.step, self._num_steps):
                torch.manual_seed(derive_seed(self._seed, "dropout", step))
                rate = learning_rate(self._optim, step, self._num_steps)
                for group in self._optimizer.param_groups:
                    group["lr"] = rate * group["lr_ratio"]
                metrics: dict[str, Any] = {"step": step + 1, "learning_rate": rate}
                yield step, metrics
                log.write(json.dumps(metrics).encode() + b"\n")
                self._context.report.metrics(step + 1, metrics)
                self._context.report.update(
                    step + 1, self._num_steps, "updates", f"loss {metrics['loss']:.3f}"
                )
                headline(f"loss {metrics['loss']:.3f} after {step + 1:,} updates")
                if (step + 1) % self._save_every == 0 and step + 1 < self._num_steps:
                    log.flush()
                    if self._mesh.first:
                        os.fsync(log.fileno())
                    position = Position(step + 1, log.tell(), self.seconds())
                    work, mesh = self._context.work, self._mesh
                    save_state(work, self._model, self._optimizer, position, mesh)

    def update(self, step: int, loss: float) -> float:
        """Apply the gradients; see ``apply_gradients``. Returns their norm before clipping.

        Raises:
            PolylectError: the loss, the gradient, or a weight after the update is not finite.
        """
        norm = apply_gradients(self._optimizer, self._optim, step, loss)
        named = self._model.named_parameters()
        trained = {name: value for name, value in named if value.requires_grad}
        check_finite(trained, step + 1, self._optim.learning_rate)
        return norm

    def seconds(self) -> float:
        """Seconds trained so far, those before a resume included."""
        return self._position.seconds + time.monotonic() - self._started

    def finish(
        self,
        parent: Checkpoint,
        tokenizer: Tokenizer,
        method: str,
        settings: dict[str, Any],
        make: Callable[[], "PreTrainedModel"],
        style: Style | None = None,
    ) -> None:
        """Write the checkpoint and its metrics.

        Args:
            parent: the checkpoint before training.
            tokenizer: its tokenizer.
            method: for the lineage.
            settings: for the lineage.
            make: makes an unsharded model, which takes the weights of several processes.
            style: the turns of the training; they are written with the tokenizer.

        Raises:
            PolylectError: the trained model computes numbers that are not finite.
            StorageError: the disk is full or the folder cannot be written.
        """
        moments = moments_of(self._optimizer)
        check_finite(moments, self._num_steps, self._optim.learning_rate)
        model = self._mesh.whole(self._model, make)
        self._mesh.close()
        if model is None:
            return
        model.eval()
        check_outputs(model, self._num_steps, self._optim.learning_rate)
        out, work = self._context.out, self._context.work
        # A copy: a run that is killed from here on needs the file when it resumes.
        shutil.copyfile(work / METRICS, out / METRICS)
        write_json(work / VOLATILE, {"training_seconds": round(self.seconds(), 3)})
        parent.carry_beside(out)
        if style is not None:
            tokenizer = write_template(out, parent, tokenizer, style)
            end_turns(model, tokenizer, style)
            settings = settings | {"turns": style.name}
        lineage = Lineage(
            method=method,
            settings=settings,
            parents=(Parent(label="init", digest=parent.digest, license=parent.license),),
            license=parent.license,
        )
        if has_adapters(model):
            merge_adapters(model, out, parent.digest)
        save_model(model, tokenizer, out, lineage)


def make_optimizer(model: torch.nn.Module, config: OptimConfig) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices; none on norms, biases and the embedding.

    Routers of a Nexus mixture have a rate of their own (``lr_ratio``).
    """
    embedding = {id(p) for p in model.get_input_embeddings().parameters()}  # pyrefly: ignore
    ratio = config.router_lr_ratio
    routers = {id(p) for p in router_parameters(model)} if ratio != 1 else set()
    trained = [p for p in model.parameters() if p.requires_grad]
    of_routers = [p for p in trained if id(p) in routers]
    rest = [p for p in trained if id(p) not in routers]
    decayed = [p for p in rest if p.ndim >= 2 and id(p) not in embedding]
    plain = [p for p in rest if p.ndim < 2 or id(p) in embedding]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay, "lr_ratio": 1.0},
        {"params": plain, "weight_decay": 0.0, "lr_ratio": 1.0},
        {"params": of_routers, "weight_decay": config.weight_decay, "lr_ratio": ratio},
    ]
    groups = [group for group in groups if group["params"]]
    return torch.optim.AdamW(
        groups, lr=config.learning_rate, betas=(config.beta1, config.beta2), fused=True
    )


def num_batches(num_examples: int, batch_size: int) -> int:
    """Steps that it takes to see every example once."""
    return -(-num_examples // batch_size)


def apply_gradients(
    optimizer: torch.optim.Optimizer, config: OptimConfig, step: int, loss: float
) -> float:
    """Apply and clear the gradients; returns their norm before clipping.

    Raises:
        PolylectError: the loss or the gradient is not finite.
    """
    max_norm = config.max_grad_norm or float("inf")
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    norm = full(torch.nn.utils.clip_grad_norm_(parameters, max_norm)).item()
    for name, value in (("loss", loss), ("gradient norm", norm)):
        if not math.isfinite(value):
            lower = config.learning_rate / 3
            raise PolylectError(
                f"the {name} became {value} after {step} updates",
                f"lower the learning rate, e.g. --learning-rate {lower:.1g}",
            )
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm
