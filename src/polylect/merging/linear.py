"""Linear merges in one call: the weighted sum of checkpoints."""

from collections.abc import Sequence
from pathlib import Path

from polylect.base import InputError
from polylect.checkpoints import MAX_SHARD_BYTES, Checkpoint
from polylect.merging.config import MergeConfig
from polylect.merging.engine import MergeResult, merge
from polylect.merging.names import unique_names
from polylect.merging.plan import check_weights


def merge_linear(
    models: Sequence[Checkpoint],
    weights: Sequence[float] | None,
    out: Path,
    *,
    normalize: bool = True,
    out_dtype: str | None = None,
    labels: Sequence[str] | None = None,
    num_threads: int = 2,
    block_elems: int | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
    final: Path | None = None,
) -> MergeResult:
    """Write the weighted sum of checkpoints to ``out``.

    Every element is summed in the order of the models, in float32 (float64 for an F64 result), each
    step a fused multiply-add; divided by the sum of the weights with ``normalize``; and rounded
    once to the dtype of the result: the bits of mergekit 0.1.5. A BF16 or F16 model merged with
    itself gives its own values (if no weight is negative). See ``merge`` for everything else.

    Does not match permuted neurons or resize vocabularies. Does not skip a model whose weight is 0:
    it is still read and checked.

    Args:
        models: checkpoints of one architecture, with the same tokenizer and tensors.
        weights: one for each model, possibly negative; None: the same for all.
        out: a path that does not exist, or an empty folder.
        normalize: divide by the sum of the weights. Without it, weights of 0.5 and 1 give tensors
            half as large again.
        out_dtype: F64, F32, F16 or BF16 for all float tensors; None: the dtypes of the inputs.
        labels: names of the models in errors and in the lineage; default: their folders' names.
        num_threads: number of blocks computed at once.
        block_elems: elements of a block; default: as many as fit into a core's cache.
        max_shard_bytes: maximum bytes of tensors in one file.
        final: see ``merge``.

    Raises:
        InputError: there are no models; weights that are not finite, too many, too few, or sum to
            0; configs, tokenizers or tensors differ; all before any tensor is read. An element is
            NaN or infinite, a result overflows, or a tensor that is not of floats differs: nothing
            is left behind.
        StorageError: the disk is full or the folder cannot be written.
    """
    by_label = label_models(models, labels)
    num = len(by_label)
    if weights is not None and len(weights) != num:
        raise InputError(f"{len(weights)} weights for {num} models", "give one for each")
    weights = [1.0 / num] * num if weights is None else [float(weight) for weight in weights]
    check_weights(weights, normalize)
    config = MergeConfig(
        method="linear",
        options={"normalize": normalize},
        model_options={
            label: {"weight": weight} for label, weight in zip(by_label, weights, strict=True)
        },
        out_dtype=out_dtype,
    )
    sizes = {
        "num_threads": num_threads,
        "max_shard_bytes": max_shard_bytes,
        "block_elems": block_elems,
    }
    for name, value in sizes.items():
        if value is not None and value < 1:
            raise InputError(f"{name} is {value}", "it must be at least 1")
    return merge(
        config,
        by_label,
        out,
        num_threads=num_threads,
        max_shard_bytes=max_shard_bytes,
        block_elems=block_elems,
        final=final,
    )


def label_models(
    models: Sequence[Checkpoint], labels: Sequence[str] | None = None
) -> dict[str, Checkpoint]:
    """Models by label; default labels are the folders' names, numbered where they repeat.

    Raises:
        InputError: no models; too many or too few labels, or a label given twice.
    """
    if not models:
        raise InputError("no models to merge", "give at least one checkpoint")
    if labels is None:
        labels = unique_names([model.path.resolve().name for model in models])
    if len(labels) != len(models):
        raise InputError(f"{len(labels)} labels for {len(models)} models", "give one for each")
    for label in labels:
        if labels.count(label) > 1:
            raise InputError(f"label {label!r} is given twice", "labels must differ")
    return dict(zip(labels, models, strict=True))
