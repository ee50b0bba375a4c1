"""The handle of a checkpoint on disk: what it is and how it was made, without its tensors."""

import hashlib
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from polylect.base import (
    InputError,
    digest_bytes,
    digest_file,
    digest_of,
    file_digests,
    read_text,
    storage_error,
)
from polylect.checkpoints._json import strict_json
from polylect.checkpoints.dtypes import item_size
from polylect.checkpoints.lineage import LINEAGE, Lineage, read_seal, write_seal
from polylect.checkpoints.shards import INDEX, list_tensors
from polylect.checkpoints.tensors import TensorInfo, read_raw

CONFIG = "config.json"
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)
"""Files that make up a tokenizer, of which a checkpoint has some."""

# Where a model came from and what wrote it are no part of what it is.
_NOT_CONTENT = ("_name_or_path", "transformers_version")
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in Hugging Face layout with safetensors: a handle, no tensors.

    Attributes:
        path: the folder.
        config: what config.json holds.
        tensors: where every tensor lies, by name, in order of names.
        tokenizer_digest: digest of the tokenizer's files; empty where there is none.
        lineage: how it was made; None for a checkpoint without ``polylect.json``.
    """

    path: Path
    config: Mapping[str, Any] = field(hash=False)
    tensors: Mapping[str, TensorInfo] = field(hash=False, repr=False)
    tokenizer_digest: str
    lineage: Lineage | None = field(default=None, hash=False)

    @classmethod
    def open(cls, path: Path | str) -> "Checkpoint":
        """The checkpoint in a folder. Reads config, headers and tokenizer, no tensor.

        Does not download, does not open pickled weights, does not run code from the folder.

        Raises:
            InputError: no such folder, no config.json, no safetensors, or one of them is broken.
        """
        path = Path(path)
        if not path.is_dir():
            hint = "check the path"
            if not path.exists() and str(path).count("/") == 1:
                hint = f"to fetch it from the Hub: hf download {path} --local-dir {path.name}"
            raise InputError(f"{path}: no such folder", hint)
        if not (path / CONFIG).is_file():
            raise InputError(
                f"{path}: no {CONFIG}, so this is not a checkpoint",
                "give the folder that save_pretrained wrote",
            )
        config = strict_json(read_text(path / CONFIG), str(path / CONFIG), constants=True)
        if not isinstance(config, dict):
            raise InputError(f"{path / CONFIG}: not a JSON object", "save the model again")
        seal = read_seal(path)
        return cls(
            path=path,
            config=config,
            tensors=list_tensors(path),
            tokenizer_digest=_tokenizer_digest(path),
            lineage=seal.lineage if seal else None,
        )

    @property
    def num_parameters(self) -> int:
        """Elements of all tensors; one that is tied to another is stored and counted once."""
        return sum(info.num_elements for info in self.tensors.values())

    @property
    def license(self) -> str:
        """SPDX expression from the lineage; empty where it is not known."""
        return self.lineage.license if self.lineage else ""

    @cached_property
    def tensor_digests(self) -> Mapping[str, str]:
        """SHA-256 of every tensor's bytes, by name; read the first time, then kept.

        Raises:
            InputError: a file has gone or become shorter since the checkpoint was opened.
        """
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
            infos = list(self.tensors.values())
            return dict(zip(self.tensors, threads.map(_tensor_digest, infos), strict=True))

    def file_digests(self) -> dict[str, str]:
        """Digests of every file that makes up the checkpoint, by name.

        SHA-256 of config, index and tokenizer. Of a file of weights, the digest of its header and
        its tensors' SHA-256: any changed byte changes it, and it costs no second look at the
        weights where ``digest`` is asked for too. It is not what ``sha256sum`` says.

        Raises:
            InputError: a file has gone or become shorter since the checkpoint was opened.
        """
        try:
            found = {
                name: digest_file(self.path / name)
                for name in (CONFIG, INDEX, *TOKENIZER_FILES)
                if (self.path / name).is_file()
            }
            for path in sorted({info.file for info in self.tensors.values()}):
                own = {name: self.tensor_digests[name] for name, info in self.tensors.items()
                       if info.file == path}  # fmt: skip
                begin = min(self.tensors[name].begin for name in own)
                with open(path, "rb") as file:
                    header = digest_bytes(file.read(begin))
                found[path.name] = digest_of({"header": header, "tensors": own})
        except OSError as error:
            raise storage_error(error, self.path) from error
        return found

    @cached_property
    def digest(self) -> str:
        """Digest of the content: config, tokenizer, and every tensor's type, shape and bytes.

        The same however the tensors are cut into shards and wherever the folder lies. Reads all
        weights the first time, then it is kept with this instance; ``polylect.json`` has no say.

        Raises:
            InputError: a file has gone or become shorter since the checkpoint was opened.
        """
        digests = self.tensor_digests
        tensors = {
            name: [info.dtype, info.shape, digests[name]] for name, info in self.tensors.items()
        }
        content = {key: one for key, one in self.config.items() if key not in _NOT_CONTENT}
        # Not canonical_json: transformers writes Infinity into some configs.
        config = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return digest_of(
            {
                "config": digest_bytes(config.encode()),
                "tokenizer": self.tokenizer_digest,
                "tensors": tensors,
            }
        )

    def verify(self) -> None:
        """Hold every file against the digest with which it was sealed; reads all of them.

        Does not notice a ``polylect.json`` that was changed together with the files.

        Raises:
            InputError: there is no ``polylect.json``; a file is missing, differs, or was added to
                what makes up the checkpoint. Names the first in order of names.
        """
        seal = read_seal(self.path)
        if seal is None:
            raise InputError(f"{self.path}: no {LINEAGE} to verify it by", "make it with polylect")
        hint = "fetch or make the checkpoint again"
        added = {path.name for path in self.path.iterdir() if _is_content(path)} - set(seal.files)
        for name in sorted({*seal.files, *added}):
            path = self.path / name
            if name in added:
                raise InputError(f"{path}: was not there when the checkpoint was sealed", hint)
            if not path.is_file():
                raise InputError(f"{path}: is missing", hint)
            try:
                found = digest_file(path)
            except OSError as error:
                raise storage_error(error, path) from error
            if found != seal.files[name]:
                raise InputError(
                    f"{path}: was changed after it was sealed "
                    f"(digest {found[:12]}, sealed {seal.files[name][:12]})",
                    hint,
                )


def seal(folder: Path, lineage: Lineage, *, digests: Mapping[str, str] | None = None) -> Checkpoint:
    """The checkpoint in a folder, after ``polylect.json`` was written into it.

    Args:
        folder: holds config.json and safetensors; everything below it counts as sealed.
        lineage: how the checkpoint was made.
        digests: of files that were digested as they were written, by name; they are not read again.

    Raises:
        InputError: the folder is not a checkpoint.
        StorageError: the folder cannot be written.
    """
    Checkpoint.open(folder)
    known = dict(digests or {})
    files = file_digests(folder, leave_out=frozenset({LINEAGE, *known}))
    write_seal(folder, lineage, {**files, **known})
    return Checkpoint.open(folder)


def _is_content(path: Path) -> bool:
    """Whether a file directly in the folder is a part of what the checkpoint is."""
    return path.suffix == ".safetensors" or path.name in {CONFIG, INDEX, *TOKENIZER_FILES}


def _tokenizer_digest(folder: Path) -> str:
    try:
        found = {
            name: digest_file(folder / name)
            for name in TOKENIZER_FILES
            if (folder / name).is_file()
        }
    except OSError as error:
        raise storage_error(error, folder) from error
    return digest_of(found) if found else ""


def _tensor_digest(info: TensorInfo) -> str:
    """SHA-256 of a tensor's bytes, read in blocks."""
    step = _BLOCK_BYTES // item_size(info.dtype)
    whole = hashlib.sha256()
    for start in range(0, info.num_elements, step):
        whole.update(read_raw(info, start, min(start + step, info.num_elements)).data)
    return whole.hexdigest()
