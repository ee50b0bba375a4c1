"""Candidates of a merge search: merges by weight vector, tensor by tensor or as a file."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from polylect.base import InputError, one_blas_thread
from polylect.checkpoints import Bytes, Checkpoint, TensorSpec, item_size
from polylect.merging import (
    MergeConfig,
    MergeResult,
    Plan,
    merge,
    operator_named,
    plan_merge,
    tensor_blocks,
)
from polylect.search import equal_weights


class Candidates:
    """The merges of some checkpoints by one method, one per weight vector.

    Whatever does not depend on the weights is checked once. A candidate's bytes are those that
    ``merge`` writes with the same configuration.

    Attributes:
        labels: of the models with a weight, in the order of the weights.
    """

    def __init__(self, config: MergeConfig, models: Mapping[str, Checkpoint]) -> None:
        """Plan the merges; reads no tensor.

        Args:
            config: method, base and options; its weights are replaced by the candidates'.
            models: checkpoints by label, the base among them.

        Raises:
            InputError: see ``plan_merge``; a method without weights; fewer than two models.
        """
        if "weight" not in operator_named(config.method).options:
            raise InputError(f"{config.method} has no weights to search", "e.g. --method linear")
        self._models, self._base = dict(models), config
        self.labels = tuple(label for label in models if label != config.base)
        if len(self.labels) < 2:
            raise InputError(
                f"a search needs at least two models besides the base, not {len(self.labels)}",
                "name more models",
            )
        uniform = equal_weights(range(len(self.labels)), len(self.labels))
        self._plan = plan_merge(self.config(uniform), models)

    @property
    def specs(self) -> Sequence[TensorSpec]:
        """The tensors of a merge, in order of names."""
        return self._plan.specs

    def config(self, weights: Sequence[float]) -> MergeConfig:
        """The merge configuration of a candidate."""
        assert len(weights) == len(self.labels), f"{len(weights)} weights"
        options = {label: dict(values) for label, values in self._base.model_options.items()}
        for label, weight in zip(self.labels, weights, strict=True):
            options[label] = options.get(label, {}) | {"weight": float(weight)}
        return replace(self._base, model_options=options)

    def identity(self) -> dict[str, Any]:
        """Everything but the weights that decides a candidate's bytes; reads every input once."""
        config = replace(self._plan.config, model_options=self._base.model_options)
        return {
            "method": config.method,
            "options": dict(config.options),
            "model_options": {
                label: dict(values) for label, values in config.model_options.items()
            },
            "base": config.base,
            "out_dtype": config.out_dtype,
            "seed": config.seed,
            "models": {label: model.digest for label, model in self._models.items()},
        }

    def tensors(
        self, weights: Sequence[float], num_threads: int = 1
    ) -> Iterator[tuple[TensorSpec, Bytes]]:
        """Every tensor of a candidate with its bytes, which are valid until the next tensor.

        Holds one tensor at a time.

        Raises:
            InputError: an element is NaN or infinite, a result overflows its dtype, or a tensor
                that is not floating point differs between models.
        """
        plan = replace(self._plan, config=self.config(weights))
        largest = max(spec.num_bytes for spec in plan.specs)
        buffer = np.empty(largest, np.uint8)
        with one_blas_thread(), ThreadPoolExecutor(num_threads) as threads:
            for spec in plan.specs:
                raw = buffer[: spec.num_bytes]
                _fill(plan, spec, raw, threads)
                yield spec, raw

    def write(self, weights: Sequence[float], out: Path, *, num_threads: int = 1) -> MergeResult:
        """Write a candidate as a checkpoint, for engines that read files.

        Raises:
            InputError: see ``merge``.
            StorageError: the disk is full or the folder cannot be written.
        """
        return merge(self.config(weights), self._models, out, num_threads=num_threads)


def _fill(plan: Plan, spec: TensorSpec, raw: Bytes, threads: ThreadPoolExecutor) -> None:
    """Merge one tensor into its bytes."""
    blocks = tensor_blocks(plan, spec, threads)
    size = item_size(spec.dtype)

    def fill_block(bounds: tuple[int, int]) -> None:
        start, stop = bounds
        raw[start * size : stop * size] = blocks.compute(start, stop)

    for _ in threads.map(fill_block, blocks.ranges()):
        pass
