"""What every loop over examples shares: rates, metrics, saved states, and the end of a training."""

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from polylect.base import PolylectError, derive_seed, write_json
from polylect.checkpoints import CHAT_TEMPLATE, GENERATION_CONFIG, Checkpoint, Lineage, Parent
from polylect.models import save_model
from polylect.runs import VOLATILE, StepContext
from polylect.text import Tokenizer
from polylect.training.checkpointing import Position, load_state, save_state
from polylect.training.config import OptimConfig
from polylect.training.lora import has_adapters, merge_adapters
from polylect.training.mesh import Mesh, full
from polylect.training.schedule import learning_rate

METRICS = "metrics.jsonl"


class Session:
    """A training under way: resumed where it was saved, one row of metrics for every update."""

    def __init__(
        self,
        context: StepContext,
        model: Any,
        optimizer: torch.optim.Optimizer,
        optim: OptimConfig,
        num_steps: int,
        *,
        save_every: int,
        seed: int,
        mesh: Mesh,
    ) -> None:
        """Find the last saved state, if there is one.

        Args:
            context: of the step.
            model: the model, put into that state.
            optimizer: as the model.
            optim: rates and clipping.
            num_steps: updates in all.
            save_every: updates between saved states.
            seed: of what is random in the model.
            mesh: the processes; the first one writes.
        """
        self._mesh = mesh
        self._context, self._model, self._optimizer = context, model, optimizer
        self._optim, self._num_steps = optim, num_steps
        self._save_every, self._seed = save_every, seed
        self._position = load_state(context.work, model, optimizer) or Position(0, 0, 0.0)
        self._started = time.monotonic()

    def steps(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The updates still to do: their number, and a row that the loop fills with its metrics."""
        path = self._context.work / METRICS if self._mesh.first else Path(os.devnull)
        with open(path, "ab") as log:
            if self._mesh.first:
                log.truncate(self._position.metrics_bytes)
            for step in range(self._position.step, self._num_steps):
                torch.manual_seed(derive_seed(self._seed, "dropout", step))
                rate = learning_rate(self._optim, step, self._num_steps)
                for group in self._optimizer.param_groups:
                    group["lr"] = rate
                row: dict[str, Any] = {"step": step + 1, "learning_rate": rate}
                yield step, row
                log.write(json.dumps(row).encode() + b"\n")
                self._context.report.metrics(step + 1, row)
                self._context.report.update(
                    step + 1, self._num_steps, "updates", f"loss {row['loss']:.3f}"
                )
                if (step + 1) % self._save_every == 0 and step + 1 < self._num_steps:
                    log.flush()
                    if self._mesh.first:
                        os.fsync(log.fileno())
                    where = Position(step + 1, log.tell(), self.seconds())
                    work, mesh = self._context.work, self._mesh
                    save_state(work, self._model, self._optimizer, where, mesh)

    def update(self, step: int, loss: float) -> float:
        """As ``apply_gradients``."""
        return apply_gradients(self._optimizer, self._optim, step, loss)

    def seconds(self) -> float:
        """Seconds of all tries so far."""
        return self._position.seconds + time.monotonic() - self._started

    def finish(
        self,
        parent: Checkpoint,
        tokenizer: Tokenizer,
        method: str,
        settings: dict[str, Any],
        make: Callable[[], Any],
    ) -> None:
        """Write the checkpoint and its metrics.

        Args:
            parent: what the training began with.
            tokenizer: its tokenizer.
            method: of the lineage.
            settings: of the lineage.
            make: gives a model that is not sharded, for the weights of several processes.

        Raises:
            StorageError: the disk is full or the folder cannot be written.
        """
        model = self._mesh.whole(self._model, make)
        self._mesh.close()
        if model is None:
            return
        out, work = self._context.out, self._context.work
        # A copy: whoever is killed from here on needs it again.
        shutil.copyfile(work / METRICS, out / METRICS)
        write_json(work / VOLATILE, {"training_seconds": round(self.seconds(), 3)})
        parent.copy_files(out, (CHAT_TEMPLATE, GENERATION_CONFIG))
        lineage = Lineage(
            method=method,
            settings=settings,
            parents=(Parent(label="init", digest=parent.digest, license=parent.license),),
            license=parent.license,
        )
        model.eval()
        if has_adapters(model):
            merge_adapters(model, out, parent.digest)
        save_model(model, tokenizer, out, lineage)


def apply_gradients(
    optimizer: torch.optim.Optimizer, config: OptimConfig, step: int, loss: float
) -> float:
    """Apply the gradients and drop them; their norm before clipping.

    Raises:
        PolylectError: the loss or the gradient is not finite.
    """
    max_norm = config.max_grad_norm or float("inf")
    parameters = [one for group in optimizer.param_groups for one in group["params"]]
    norm = full(torch.nn.utils.clip_grad_norm_(parameters, max_norm)).item()
    for name, value in (("loss", loss), ("norm of the gradient", norm)):
        if not math.isfinite(value):
            lower = config.learning_rate / 3
            raise PolylectError(
                f"the {name} became {value} after {step} updates",
                f"lower the learning rate, e.g. --learning-rate {lower:.1g}",
            )
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Rows of a ``metrics.jsonl``."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
