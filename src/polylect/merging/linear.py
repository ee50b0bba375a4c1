"""Linear merging in one call: the weighted sum of checkpoints."""

from collections.abc import Sequence
from pathlib import Path

from polylect.base import InputError
from polylect.checkpoints import MAX_SHARD_BYTES, Checkpoint
from polylect.merging.config import MergeConfig
from polylect.merging.engine import MergeResult, merge
from polylect.merging.plan import check_shares


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
    place: Path | None = None,
) -> MergeResult:
    """The weighted sum of checkpoints, written to ``out``, with what was counted on the way.

    Every element is summed in the order of the models, in float32 (float64 for an F64 result), each
    step a fused multiply-add; divided by the sum of the weights if ``normalize`` is set; and
    rounded once to the result's type: the bits of mergekit 0.1.5. A BF16 or F16 model merged with
    itself gives its own values (weights not negative). See ``merge`` for what else holds.

    Does not match permuted neurons or resize vocabularies. Does not leave out a model whose weight
    is 0: it is still read and checked.

    Args:
        models: of one architecture, with the same tokenizer and tensors.
        weights: one for each model; None for all the same. They may be negative.
        out: nothing, or an empty folder.
        normalize: divide by the sum of the weights. Without it, weights of 0.5 and 1 give tensors
            half as large again.
        out_dtype: F64, F32, F16 or BF16 for all float tensors; None for the inputs' own types.
        labels: what the models are called in errors and in the lineage; their folders' names by
            default.
        num_threads: blocks worked on at once.
        block_elems: elements of a block; by default what stays in a core's cache.
        max_shard_bytes: most bytes of tensors in one file.
        place: see ``merge``.

    Raises:
        InputError: there are no models; weights that are not finite, too many, too few, or sum to
            0; configs, tokenizers or tensors differ; all before any tensor is read. An element is
            NaN or infinite, a result overflows, or a tensor that is not of floats differs: nothing
            is left behind.
        StorageError: the disk is full or the folder cannot be written.
    """
    named = label_models(models, labels)
    if weights is not None and len(weights) != len(named):
        raise InputError(f"{len(weights)} weights for {len(named)} models", "give one for each")
    shares = [1.0 / len(named)] * len(named) if weights is None else [float(one) for one in weights]
    check_shares(shares, normalize)
    config = MergeConfig(
        method="linear",
        options={"normalize": normalize},
        model_options={
            label: {"weight": share} for label, share in zip(named, shares, strict=True)
        },
        out_dtype=out_dtype,
    )
    sizes = {"num_threads": num_threads, "max_shard_bytes": max_shard_bytes}
    for name, value in (
        sizes | ({} if block_elems is None else {"block_elems": block_elems})
    ).items():
        if value < 1:
            raise InputError(f"{name} is {value}", "it must be at least 1")
    return merge(
        config,
        named,
        out,
        num_threads=num_threads,
        max_shard_bytes=max_shard_bytes,
        block_elems=block_elems,
        place=place,
    )


def label_models(
    models: Sequence[Checkpoint], labels: Sequence[str] | None = None
) -> dict[str, Checkpoint]:
    """Models by label; folders of the same name are told apart by their position.

    Raises:
        InputError: no models; a label too many, too few, or given twice.
    """
    if not models:
        raise InputError("no models to merge", "give at least one checkpoint")
    if labels is None:
        names = [model.path.resolve().name for model in models]
        labels = [
            f"{name}#{number}" if names.count(name) > 1 else name
            for number, name in enumerate(names, start=1)
        ]
    if len(labels) != len(models):
        raise InputError(f"{len(labels)} labels for {len(models)} models", "give one for each")
    for label in labels:
        if labels.count(label) > 1:
            raise InputError(f"label {label!r} is given twice", "labels must differ")
    return dict(zip(labels, models, strict=True))
