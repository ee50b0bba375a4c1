"""The options of ``merge``."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from polylect.api.fields import Group, Mark, Output, Positional, Switch
from polylect.api.merge_methods import MergeMethod, MethodOptions
from polylect.base import Count, Finite, Seed, Threads


@dataclass(frozen=True, kw_only=True)
class MergeOptions:
    """Merge checkpoints of one family block by block, in constant memory.

    Writes a checkpoint in Hugging Face layout with merge.json, a record from which 'polylect
    verify' computes blocks again.

    Examples:
        polylect merge de fr ja --weights 0.5 0.3 0.2 --out merged
        polylect merge de fr ja --method ties --base base --density 0.5
        polylect merge base base+adapter --weights 0.25 0.75
        polylect merge recipe.yaml --dry-run
    """

    models: Annotated[Positional[tuple[Path, ...]], Mark(metavar="MODELS ...")] = ()
    """Folders of the checkpoints, or BASE+ADAPTER for a base with a LoRA adapter; or a mergekit
    recipe, which ends in .yml or .yaml. For slerp and interpolate, the first is the base where none
    is named."""
    recipe: Path | None = None
    """A mergekit recipe, in place of models, method, weights, base and options of the method."""
    method: MergeMethod | None = None
    """Method of the merge. Default: linear."""
    weights: tuple[Finite, ...] = ()
    """One weight per model, in order. Default: equal weights."""
    base: Path | None = None
    """The common base model, for methods on task vectors."""
    out_dtype: str | None = None
    """Type of all float tensors: F32, BF16, F16, F64 (or torch's name). Default: the inputs'."""
    tokenizer_from: str | None = None
    """Label of the model whose tokenizer, chat template and other files beside the weights are
    taken. Default: the base or first model; the first with a chat template if that has none."""
    vocabulary: Literal["same", "union"] = "same"
    """Models with different tokenizers: same refuses them, union extends all to the union first."""
    seed: Seed = 0
    """Seed of methods that drop parameters at random."""
    parity: Switch = False
    """Round every step as mergekit 0.1.5 does, instead of once."""
    threads: Threads | None = None
    """CPU threads, one per block merged in parallel. Default: all cores."""
    max_shard_bytes: Count = 5_000_000_000
    """Maximum bytes of tensors per file."""
    method_options: Group[MethodOptions] = field(default_factory=MethodOptions)
    output: Group[Output] = field(default_factory=Output)
