"""Tokenizers without ``tokenizer.json``, converted by transformers; no code of a folder is run."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tokenizers as hf

from polylect.base import InputError, import_optional, read_json, refuse_pointer

_FILE, _CONFIG = "tokenizer.json", "tokenizer_config.json"
_ROLES = ("bos_token", "eos_token", "pad_token", "unk_token")
_PROTOBUF_START = b"\n"
"""First byte of a SentencePiece model; tiktoken's files, often called the same, are text."""


def convert_tokenizer(folder: Path, files: Sequence[str]) -> tuple[hf.Tokenizer, dict[str, Any]]:
    """The tokenizer in a folder without ``tokenizer.json``, and its configuration.

    Args:
        folder: of the checkpoint.
        files: names of the files that hold its vocabulary, for the message.

    Raises:
        InputError: transformers cannot convert it, or is not installed.
    """
    for name in files:
        refuse_pointer(folder / name)
    place = f"{folder}: no {_FILE}, and {', '.join(files)}"
    needed = _needed(folder, files)
    if needed:
        raise InputError(
            f"{place} cannot be read without {' and '.join(needed)}",
            f"pip install {' '.join(needed)}, or put the model's {_FILE} there",
        )
    # By name: users who do not need this branch need no transformers.
    transformers = import_optional("transformers", f"{folder}: no {_FILE}; converting", "models")
    try:
        loaded = transformers.AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False, use_fast=True
        )
        if not hasattr(loaded, "backend_tokenizer"):
            raise ValueError(f"{type(loaded).__name__} is written in Python")
        backend = hf.Tokenizer.from_str(loaded.backend_tokenizer.to_str())
    except Exception as error:  # transformers raises many kinds for one cause
        raise InputError(
            f"{place} cannot be converted to it by transformers ({_reason(error)})",
            f"put the model's {_FILE} there",
        ) from None
    path = folder / _CONFIG
    written = read_json(path) if path.is_file() else {}
    config = dict(written) if isinstance(written, dict) else {}
    for name in _ROLES:
        token = getattr(loaded, name, None)
        if token is not None:
            config[name] = str(token)
    return backend, config


def _needed(folder: Path, files: Sequence[str]) -> list[str]:
    """Packages that transformers needs for these files and that are not installed."""
    models = [name for name in files if name.endswith(".model")]
    if not any((folder / name).read_bytes()[:1] == _PROTOBUF_START for name in models):
        return []
    modules = {"sentencepiece": "sentencepiece", "google.protobuf": "protobuf"}
    return [package for module, package in modules.items() if not _is_installed(module)]


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:  # the package that holds it is missing
        return False


def _reason(error: Exception) -> str:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if reason.startswith("Couldn't instantiate"):
        return "it knows no such files"
    return reason.split(". ")[0][:160]
