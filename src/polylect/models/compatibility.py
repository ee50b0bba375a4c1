"""Whether checkpoints can be joined into one, by their configs, tokenizers and headers."""

from collections.abc import Collection, Mapping

from polylect.base import InputError, Ledger
from polylect.checkpoints import (
    FLOAT_DTYPES,
    Checkpoint,
    TensorInfo,
    TensorSpec,
    is_buffer,
    is_computed,
)
from polylect.models.config_defaults import with_defaults
from polylect.models.config_keys import check_configs
from polylect.models.differences import count_differences
from polylect.models.joining import MERGING, Joining
from polylect.models.same_encoding import check_encoding, check_readable

_HINT = "{} checkpoints that were trained from one base model"
_ROWS = ("embed", "wte", "lm_head", "word_emb")


def check_compatible(
    models: Mapping[str, Checkpoint], first: str, files: str, joining: Joining = MERGING
) -> tuple[Ledger, frozenset[str]]:
    """Counts of harmless differences between models, and the tensors that the result leaves out.

    Reads no tensor, but where a model has one that others lack: it is left out if it is a copy of
    the embedding to which it is tied.

    Args:
        models: checkpoints by label, in order.
        first: label of the model whose config.json the result has.
        files: label of the model whose other files it has.
        joining: what is done with them, for hints.

    Raises:
        InputError: architecture, encoding, names or shapes of tensors, or a key of the config
            that decides what the weights compute; names the first difference.
    """
    ledger = Ledger()
    model = models[first]
    left_out = _left_out(models, ledger)
    for label, other in models.items():
        # What is wrong with all of them alike differs in nothing.
        if other.is_quantized:
            hint = f"{joining.verb} the full-precision checkpoints"
            raise InputError(f"{label}: is quantized", hint)
        other.check_beside()
    check_readable(models)
    for label, other in models.items():
        if label == first:
            continue
        for key in ("architectures", "model_type"):
            expected, actual = model.config.get(key), other.config.get(key)
            if expected != actual:
                raise InputError(
                    f"{label}: {key} is {actual}, {first} has {expected}",
                    _HINT.format(joining.verb),
                )
        check_encoding(first, model, label, other, joining)
        _check_tensors(first, model, label, other, left_out, joining)
        check_configs(first, model.config, label, other.config, ledger, joining)
    count_differences(models, files, ledger)
    return ledger, left_out


def output_specs(
    models: Mapping[str, Checkpoint],
    out_dtype: str | None,
    left_out: Collection[str] = (),
    joining: Joining = MERGING,
) -> list[TensorSpec]:
    """The tensors of the joined checkpoint, sorted by name; buffers keep their dtype.

    Args:
        models: compatible checkpoints by label.
        out_dtype: dtype of all float tensors; None: the dtypes of the inputs.
        left_out: names of tensors that it does not have.
        joining: what is done with them, for hints.

    Raises:
        InputError: a tensor's dtype differs between models and ``out_dtype`` does not settle it.
    """
    (first, model), *others = models.items()
    specs: list[TensorSpec] = []
    for name, info in model.tensors.items():
        if name in left_out:
            continue
        is_float = is_weight(info)
        for label, other in others:
            dtype = other.tensors[name].dtype
            is_settled = is_float and dtype in FLOAT_DTYPES and out_dtype is not None
            if dtype != info.dtype and not is_settled:
                raise InputError(
                    f"{label}: tensor {name!r} is {dtype}, in {first} {info.dtype}",
                    f"give the type to write: {joining.other_types}"
                    if joining.other_types
                    else f"{joining.verb} models of one type: polylect merge DIR --out-dtype BF16",
                )
        dtype = out_dtype if is_float and out_dtype is not None else info.dtype
        specs.append(TensorSpec(name, dtype, info.shape))
    return specs


def is_weight(tensor: TensorInfo | TensorSpec) -> bool:
    """Whether a tensor is merged: of floats, and no buffer."""
    return tensor.dtype in FLOAT_DTYPES and not is_buffer(tensor.name, tensor.shape)


def _left_out(models: Mapping[str, Checkpoint], ledger: Ledger) -> frozenset[str]:
    """Tensors of some models that are computed anyway, or are copies of one to which they are tied.

    A model without them is the same model: transformers wrote them once, or writes them untied.
    """
    everywhere = set.intersection(*(set(model.tensors) for model in models.values()))
    left_out: set[str] = set()
    for label, model in models.items():
        for name in sorted(set(model.tensors) - everywhere):
            info = model.tensors[name]
            if is_computed(name, info.shape):
                reason = "a buffer that the model computes, in some models only"
            elif twin := _tied_twin(model, name, everywhere):
                reason = f"a copy of {twin}, to which it is tied, in some models only"
            else:
                continue
            left_out.add(name)
            ledger.count(f"left: {reason}", 1, f"{label}: {name}")
    return frozenset(left_out)


def _tied_twin(model: Checkpoint, name: str, others: Collection[str]) -> str:
    """The tensor that another one repeats, byte for byte, in a model whose head is tied."""
    settings = with_defaults(model.config) or model.config
    text = settings.get("text_config")
    ties = [part.get("tie_word_embeddings") for part in (settings, text) if isinstance(part, dict)]
    if True not in ties:
        return ""
    info = model.tensors[name]
    twins = [
        other
        for other in sorted(others)
        if (model.tensors[other].dtype, model.tensors[other].shape) == (info.dtype, info.shape)
        and any(part in other.lower() for part in _ROWS)
    ]
    digests = model.tensor_digests if twins else {}
    return next((other for other in twins if digests[other] == digests[name]), "")


def _check_tensors(
    first: str,
    model: Checkpoint,
    label: str,
    other: Checkpoint,
    left_out: Collection[str],
    joining: Joining,
) -> None:
    again = _HINT.format(joining.verb)
    for name in sorted((model.tensors.keys() ^ other.tensors.keys()) - set(left_out)):
        has, lacks = (first, label) if name in model.tensors else (label, first)
        raise InputError(f"{lacks}: no tensor {name!r}, which {has} has", again)
    for name, info in model.tensors.items():
        if name in left_out:
            continue
        shape = other.tensors[name].shape
        if shape != info.shape:
            rows = shape[1:] == info.shape[1:] and any(part in name.lower() for part in _ROWS)
            union = joining.other_tokens if rows else ""
            hint = f"{union}, or {again}" if union else again
            raise InputError(
                f"{label}: tensor {name!r} has shape {shape}, in {first} {info.shape}", hint
            )
