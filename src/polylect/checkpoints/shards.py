"""The weights in a checkpoint folder: one safetensors file, or shards with an index."""

from pathlib import Path

from polylect.base import InputError, read_text
from polylect.checkpoints._json import AGAIN, is_text_map, short, strict_json
from polylect.checkpoints.tensors import TensorInfo, read_header

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"


def list_tensors(folder: Path) -> dict[str, TensorInfo]:
    """All tensors of a checkpoint folder by name, sorted by name.

    They come from ``model.safetensors`` or from the shards that ``model.safetensors.index.json``
    lists; the index and the headers of the shards must agree.

    Raises:
        InputError: no weights, both of them, pickled weights only, a missing shard or tensor, or a
            tensor that is listed twice.
    """
    single, index = folder / WEIGHTS, folder / INDEX
    if single.is_file() and index.is_file():
        raise InputError(f"{folder}: both {WEIGHTS} and {INDEX}", "remove the one that is stale")
    if single.is_file():
        tensors = read_header(single)
    elif index.is_file():
        tensors = _sharded(folder, index)
    else:
        raise _no_weights(folder)
    return dict(sorted(tensors.items()))


def _sharded(folder: Path, index: Path) -> dict[str, TensorInfo]:
    """Tensors of all shards, after checking the index against the shards' headers."""
    listing = strict_json(read_text(index), str(index))
    weight_map = listing.get("weight_map") if isinstance(listing, dict) else None
    if not isinstance(weight_map, dict) or not is_text_map(weight_map):
        raise InputError(f"{index}: no weight_map of tensor to file", AGAIN)
    tensors: dict[str, TensorInfo] = {}
    for file in sorted(set(weight_map.values())):
        if "\0" in file or Path(file).name != file or not (folder / file).is_file():
            raise InputError(f"{index}: shard {short(file)} is not in {folder}", AGAIN)
        for name, info in read_header(folder / file).items():
            if name in tensors:
                raise InputError(
                    f"{info.file}: tensor {short(name)} is listed twice, "
                    f"also in {tensors[name].file.name}",
                    AGAIN,
                )
            if name not in weight_map:
                raise InputError(f"{info.file}: tensor {short(name)} is not in {INDEX}", AGAIN)
            tensors[name] = info
    for name, file in weight_map.items():
        if name not in tensors or tensors[name].file.name != file:
            raise InputError(f"{folder / file}: tensor {short(name)} is missing", AGAIN)
    return tensors


def _no_weights(folder: Path) -> InputError:
    """The error for a folder without ``model.safetensors`` or an index."""
    names = sorted(path.name for path in folder.iterdir())
    if any(name.startswith("pytorch_model") for name in names):
        # transformers reads them with weights_only, which runs no code from the file.
        return InputError(
            f"{folder}: pickled weights only, which are never opened here",
            'convert them: python -c "from transformers import AutoModelForCausalLM as M; '
            f"M.from_pretrained('{folder}').save_pretrained('{folder}-safetensors')\"",
        )
    if any(name.startswith("adapter_model") for name in names):
        return InputError(f"{folder}: an adapter, not a model", "merge it into its base first")
    return InputError(f"{folder}: no {WEIGHTS} and no {INDEX}", "check the path")
