"""What lies beside the weights of a checkpoint: carried into what is made of it, or left by name.

One rule for every command that writes a checkpoint. A file that nobody knows is carried, and taken
for the tokenizer's: it may decide how text is encoded. What is left (weights in other formats,
states of optimizers, hidden files) is named. What a file's content means is not known here.
"""

import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from polylect.base import InputError, Ledger, is_pointer, read_json
from polylect.checkpoints.shards import INDEX

CONFIG = "config.json"
GENERATION_CONFIG = "generation_config.json"
CHAT_TEMPLATE = "chat_template.jinja"
TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"

_MODULES = "modules.json"

# Records of how polylect made a checkpoint; what is made of it has its own.
_SEALS = {"polylect.json", "step.json"}
_RECORDS = {
    "experts.json", "index.html", "log.txt", "merge.json", "quantize.json", "metrics.jsonl",
    "mixture.json", "read.json", "samples.parquet", "scores.parquet", "volatile.json",
    "vocabulary.json",
}  # fmt: skip
_WEIGHTS = re.compile(
    r".*\.(?:safetensors|bin|pt|pth|ckpt|gguf|ggml|onnx|onnx_data|pb|h5|hdf5|msgpack|tflite|mlmodel"
    r"|mlpackage|ot|pte|engine|nemo|distcp|pkl|pickle|npz|npy|params|data-\d+-of-\d+)(?:\.index"
    r"\.json)?",
    re.IGNORECASE,
)
_TRAINING = re.compile(
    r"(?:optimizer|optim|scheduler|scaler|rng_state|random_states|training_args|trainer_state"
    r"|global_step|training_state|events\.out\.tfevents).*|.*\.distcp|zero_to_fp32\.py|latest|log\.txt"
)
# What other programs write beside a quantized model, and read before config.json.
_QUANTIZATION = {"quantize_config.json", "quant_config.json", "hf_quant_config.json",
                 "quantization_config.json", "quant_log.csv"}  # fmt: skip
_TRAINING_FOLDERS = re.compile(r"checkpoint-\d+|global_step\d+|runs|wandb|tensorboard|mlruns")
_OTHER_FOLDERS = re.compile(r"original|onnx|openvino|coreml|gguf|mlx|flax|tf|tflite|metal")

_VOCABULARY = re.compile(
    r".*(?:token|vocab|merges|piece|bpe|spm|tekken|codes|encoder|dict).*|.*\.model", re.IGNORECASE
)
_TEMPLATES = re.compile(r"(?:additional_)?chat_templates?(?:[./].*)?|[^/]*\.jinja2?")
_DOCUMENTS = re.compile(
    r"(?:readme|licen[cs]e|notice|copying|authors|citation|changelog|use_policy|usage_policy"
    r"|requirements|model_?card|acceptable_use)[^/]*|[^/]*\.(?:md|rst|pdf|html?|png|jpe?g|gif|svg|webp"
    r"|ipynb|csv|tsv|log|bib|cff|ya?ml|toml|cfg|ini|sh|jsonl|parquet|arrow|zip|gz|tar|wav|mp3|mp4)"
    r"|[^/]*results?[^/]*\.json",
    re.IGNORECASE,
)
_MODEL_FILES = re.compile(
    r"generation_config\.json|[^/]*processor[^/]*\.json|feature_extract[^/]*\.json|modules\.json"
    r"|config_[^/]*\.json|sentence_[^/]*config\.json|configuration\.json|params\.json"
    r"|domains\.json"
    r"|(?!tokeni[sz])[^/]*\.py"
)


@dataclass(frozen=True)
class Beside:
    """The files beside the weights of a checkpoint, by name relative to its folder.

    Attributes:
        carried: what goes into every checkpoint that is made of this one, sorted.
        left: what does not, with the reason; a folder ends in a slash.
    """

    carried: tuple[str, ...]
    left: Mapping[str, str] = field(hash=False)

    @property
    def tokenizer(self) -> tuple[str, ...]:
        """The files that may decide how text is encoded: all that nothing else is known of."""
        return tuple(name for name in self.carried if _is_tokenizer(name))

    @property
    def vocabularies(self) -> tuple[str, ...]:
        """Those of the tokenizer's files whose names say that they hold its tokens."""
        others = {TOKENIZER_CONFIG, "special_tokens_map.json", "added_tokens.json"}
        return tuple(
            name for name in self.tokenizer if name not in others and _VOCABULARY.fullmatch(name)
        )

    @property
    def templates(self) -> tuple[str, ...]:
        """The files of chat templates."""
        return tuple(name for name in self.carried if _TEMPLATES.fullmatch(name))

    @property
    def content(self) -> tuple[str, ...]:
        """All that is carried but what only people read: licenses, model cards, pictures."""
        return tuple(name for name in self.carried if not _is_document(name))

    def count_left(self, ledger: Ledger, owner: str = "") -> None:
        """Name what is left in a ledger.

        Args:
            ledger: gets an entry for each file or folder.
            owner: whose files they are, where several models have some.
        """
        for name, reason in self.left.items():
            ledger.count(f"left: {reason}", 1, f"{owner}: {name}" if owner else name)


def files_beside(folder: Path, weights: Collection[str] = ()) -> Beside:
    """What lies beside the weights in a folder; reads names, and ``modules.json``.

    Args:
        folder: the checkpoint's.
        weights: names of the files that hold its tensors.

    Raises:
        InputError: ``modules.json`` is no list of modules; or a link to nothing has the name of a
            file that the model needs.
    """
    modules = _module_folders(folder)
    known = {CONFIG, INDEX, *_SEALS, *weights}
    if any((folder / name).is_file() for name in _SEALS):
        known |= _RECORDS
    carried: list[str] = []
    left: dict[str, str] = {}
    for name, path in _entries(folder, modules):
        if name in known:
            continue
        reason = _reason(name, path, modules)
        if reason:
            left[name] = reason
        else:
            carried.append(name)
    return Beside(tuple(sorted(carried)), dict(sorted(left.items())))


def carry(
    source: Path, names: Collection[str], folder: Path, *, without: Collection[str] = ()
) -> None:
    """Copy files beside the weights into another folder, byte for byte.

    Args:
        source: folder of the checkpoint.
        names: of the files, relative to it.
        folder: exists.
        without: names that are not copied.

    Raises:
        OSError: a file cannot be read or written.
    """
    for name in names:
        if name not in without:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, folder / name)


def _is_tokenizer(name: str) -> bool:
    is_known = any(pattern.fullmatch(name) for pattern in (_TEMPLATES, _MODEL_FILES))
    return "/" not in name and not is_known and not _is_document(name)


def _is_document(name: str) -> bool:
    return bool(_DOCUMENTS.fullmatch(name.rsplit("/", 1)[-1]))


def _entries(folder: Path, modules: Collection[str]) -> Iterator[tuple[str, Path]]:
    """Files below a folder; of folders that are left as a whole only their name, with a slash."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = Path(entry.path)
        if not path.is_dir():
            yield entry.name, path
        elif _left_folder(entry.name, path, modules):
            yield f"{entry.name}/", path
        else:
            for place, folders, files in os.walk(path):
                folders.sort()
                for file in sorted(files):
                    below = Path(place) / file
                    yield below.relative_to(folder).as_posix(), below


def _left_folder(name: str, path: Path, modules: Collection[str]) -> str:
    """Why a folder is left as a whole; empty if it is not."""
    if name in modules:
        return ""
    if name.startswith(".") or name == "__pycache__" or path.is_symlink():
        return "hidden or temporary"
    if _TRAINING_FOLDERS.fullmatch(name):
        return "state or log of a training"
    if _OTHER_FOLDERS.fullmatch(name):
        return "weights in another format"
    if (path / "adapter_config.json").is_file():
        return "an adapter, which is not applied"
    files = (file for _, _, files in os.walk(path) for file in files)
    return "weights of another model" if any(map(_WEIGHTS.fullmatch, files)) else ""


def _reason(name: str, path: Path, modules: Collection[str]) -> str:
    """Why an entry is left; empty if it is carried.

    Raises:
        InputError: its name says that the model needs it, and it is no file.
    """
    if name.endswith("/"):
        return _left_folder(name[:-1], path, modules)
    last = name.rsplit("/", 1)[-1]
    is_hidden = any(part.startswith(".") for part in name.split("/"))
    if is_hidden or last.endswith((".tmp", ".lock", ".incomplete", ".pyc")):
        return "hidden or temporary"
    if last in {"adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"}:
        return "an adapter, which is not applied"
    if last in _QUANTIZATION:
        return "settings of another quantization"
    if _TRAINING.fullmatch(last):
        return "state or log of a training"
    if _WEIGHTS.fullmatch(last) and not (
        last.endswith(".safetensors") and name.split("/")[0] in modules
    ):
        return "weights in another format"
    # What decides anything is refused; a picture is only missed.
    is_document = _is_document(name)
    if not path.is_file():
        needed = (_VOCABULARY, _TEMPLATES, _MODEL_FILES)
        if is_document or not any(pattern.fullmatch(name) for pattern in needed):
            return "not a file"
        what = "a link to what is not there" if path.is_symlink() else "not a file"
        raise InputError(f"{path}: {what}", "copy the model again, or remove it")
    is_missed = is_document and is_pointer(path)
    return "a Git LFS pointer, not the file itself" if is_missed else ""


def _module_folders(folder: Path) -> set[str]:
    """Folders of the modules that sentence-transformers puts behind the model."""
    path = folder / _MODULES
    if not path.is_file():
        return set()
    modules = read_json(path)
    if not isinstance(modules, list) or not all(isinstance(entry, dict) for entry in modules):
        raise InputError(f"{path}: not a list of modules", "save the model again")
    return {str(entry.get("path") or "").split("/")[0] for entry in modules} - {""}
