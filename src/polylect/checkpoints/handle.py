"""The handle of a checkpoint on disk: its config, where its tensors are, how it was made."""

import hashlib
import json
import os
import re
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
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
    refuse_pointer,
    storage_error,
)
from polylect.checkpoints._json import AGAIN, strict_json
from polylect.checkpoints.beside import (
    CONFIG,
    GENERATION_CONFIG,
    TOKENIZER_CONFIG,
    Beside,
    carry,
    files_beside,
)
from polylect.checkpoints.dtypes import item_size
from polylect.checkpoints.lineage import LINEAGE, Lineage, read_seal, write_seal
from polylect.checkpoints.shards import INDEX, list_tensors
from polylect.checkpoints.tensors import TensorInfo, block_ranges, read_raw

# Where a model came from and what wrote it do not count as content.
_NOT_CONTENT = ("_name_or_path", "transformers_version")
_BLOCK_BYTES = 1 << 20

_FIXED = (".router.domains",)
"""Ends of names of tensors that nobody trains: they are no parameters."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in Hugging Face layout with safetensors: a handle, no tensors.

    Attributes:
        path: the folder.
        config: content of config.json.
        tensors: where every tensor is stored, sorted by name.
        tokenizer_digest: digest of the tokenizer's files, its chat template apart; empty without a
            tokenizer. Equal where all of them are equal; tokenizers that encode alike may differ.
        lineage: how it was made; None without ``polylect.json``.
        tokenizer_content: digest of the tokenizer's files, its chat template included; empty
            without any.
        beside: the files beside the weights.
    """

    path: Path
    config: Mapping[str, Any] = field(hash=False)
    tensors: Mapping[str, TensorInfo] = field(hash=False, repr=False)
    tokenizer_digest: str
    lineage: Lineage | None = field(default=None, hash=False)
    tokenizer_content: str = ""
    beside: Beside = field(default=Beside((), {}), hash=False, repr=False)

    @classmethod
    def open(cls, path: Path | str) -> "Checkpoint":
        """The checkpoint in a folder. Reads config, headers and tokenizer, no tensors.

        Does not download, open pickled weights, or run code from the folder.

        Raises:
            InputError: no such folder, no config.json, no safetensors, or one of them is broken.
        """
        path = Path(path)
        if not path.is_dir():
            hint = "check the path"
            if not path.exists() and str(path).count("/") == 1:
                hint = f"to fetch it from the Hub: hf download {path} --local-dir {path.name}"
            if re.match(r"https?:/", str(path), re.IGNORECASE):
                hint = "give a folder: of a server only generate, judge and grade take the address"
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
        tensors = list_tensors(path)
        others = files_beside(path, {info.file.name for info in tensors.values()})
        files = _digests(path, (*others.tokenizer, *others.templates))
        return cls(
            path=path,
            config=config,
            tensors=tensors,
            tokenizer_digest=_tokenizer_digest(path, files, others),
            lineage=seal.lineage if seal else None,
            tokenizer_content=digest_of(files) if files else "",
            beside=others,
        )

    @property
    def num_parameters(self) -> int:
        """Elements of all tensors; tied tensors are stored and counted once, fixed ones never."""
        return sum(
            info.num_elements for name, info in self.tensors.items() if not name.endswith(_FIXED)
        )

    @property
    def stated_rows(self) -> int | None:
        """Rows of the embedding as config.json states them; None if it does not."""
        num_rows = self.config.get("text_config", self.config).get("vocab_size")
        return num_rows if isinstance(num_rows, int) else None

    @property
    def is_quantized(self) -> bool:
        """Whether config.json declares a quantization."""
        return "quantization_config" in self.config

    @property
    def license(self) -> str:
        """SPDX expression from the lineage; empty if unknown."""
        return self.lineage.license if self.lineage else ""

    @cached_property
    def tensor_digests(self) -> Mapping[str, str]:
        """SHA-256 of every tensor's bytes, by name; computed once, then cached.

        Raises:
            InputError: a file was removed or truncated since the checkpoint was opened.
        """
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
            infos = list(self.tensors.values())
            return dict(zip(self.tensors, threads.map(_tensor_digest, infos), strict=True))

    def file_digests(self) -> dict[str, str]:
        """Digests of every file that makes up the checkpoint, by name.

        For config, index and what is carried beside (but what only people read) their SHA-256. For
        weights the digest of the header and the
        tensors' SHA-256: any changed byte changes it, and the weights are read only once if
        ``digest`` is needed too. It differs from what ``sha256sum`` prints.

        Raises:
            InputError: a file was removed or truncated since the checkpoint was opened.
        """
        try:
            digests = _digests(self.path, (CONFIG, INDEX, *self.beside.content))
            for path in sorted({info.file for info in self.tensors.values()}):
                infos = [info for info in self.tensors.values() if info.file == path]
                with open(path, "rb") as file:
                    header = digest_bytes(file.read(min(info.begin for info in infos)))
                tensors = {info.name: self.tensor_digests[info.name] for info in infos}
                digests[path.name] = digest_of({"header": header, "tensors": tensors})
        except OSError as error:
            raise storage_error(error, self.path) from error
        return digests

    @cached_property
    def digest(self) -> str:
        """Digest of the content: config, tokenizer, and every tensor's type, shape and bytes.

        Independent of sharding, of the folder's place and of ``polylect.json``. Reads all weights
        the first time, then it is cached in this instance.

        Raises:
            InputError: a file was removed or truncated since the checkpoint was opened.
        """
        digests = self.tensor_digests
        tensors = {
            name: [info.dtype, info.shape, digests[name]] for name, info in self.tensors.items()
        }
        content = {key: value for key, value in self.config.items() if key not in _NOT_CONTENT}
        # Not canonical_json: transformers writes Infinity into some configs.
        config = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return digest_of(
            {
                "config": digest_bytes(config.encode()),
                "tokenizer": self.tokenizer_content,
                "tensors": tensors,
            }
        )

    def check_beside(self) -> None:
        """Check that what is carried beside the weights can be: before anything is written.

        Raises:
            InputError: one of the files is a pointer of Git LFS, or one of the tokenizer's is not
                the JSON that it is called.
        """
        for name in self.beside.content:
            refuse_pointer(self.path / name)
        for name in (*self.beside.tokenizer, GENERATION_CONFIG):
            path = self.path / name
            if name.endswith(".json") and path.is_file():
                try:
                    json.loads(read_text(path))
                except (ValueError, RecursionError) as error:
                    reason = str(error)[:80]
                    raise InputError(f"{path}: not JSON ({reason})", AGAIN) from None

    def carry_beside(self, folder: Path, *, without: Collection[str] = ()) -> None:
        """Copy the files beside the weights into a folder, byte for byte, but config.json.

        Args:
            folder: exists.
            without: names of files that are not copied.

        Raises:
            OSError: a file cannot be read or written.
        """
        carry(self.path, self.beside.carried, folder, without=without)

    def verify(self) -> None:
        """Check every file against its digest in ``polylect.json``; reads all of them.

        Does not detect a ``polylect.json`` that was changed together with the files.

        Raises:
            InputError: no ``polylect.json``; a file is missing, differs, or was added to those that
                make up the checkpoint. Names the first by name.
        """
        seal = read_seal(self.path)
        if seal is None:
            raise InputError(f"{self.path}: no {LINEAGE} to verify it by", "make it with polylect")
        hint = "fetch or make the checkpoint again"
        weights = {path.name for path in self.path.glob("*.safetensors")}
        index = {INDEX} if (self.path / INDEX).is_file() else set()
        added = {CONFIG, *index, *weights, *self.beside.content} - set(seal.files)
        for name in sorted({*seal.files, *added}):
            path = self.path / name
            if name in added:
                raise InputError(f"{path}: was not there when the checkpoint was sealed", hint)
            if not path.is_file():
                raise InputError(f"{path}: is missing", hint)
            try:
                digest = digest_file(path)
            except OSError as error:
                raise storage_error(error, path) from error
            if digest != seal.files[name]:
                raise InputError(
                    f"{path}: was changed after it was sealed "
                    f"(digest {digest[:12]}, sealed {seal.files[name][:12]})",
                    hint,
                )


def seal(folder: Path, lineage: Lineage, *, digests: Mapping[str, str] | None = None) -> Checkpoint:
    """Write ``polylect.json`` into a folder; the checkpoint in it.

    Args:
        folder: holds config.json and safetensors; every file below it is sealed.
        lineage: how the checkpoint was made.
        digests: digests that are known already, by file name; those files are not read again.

    Raises:
        InputError: the folder is not a checkpoint.
        StorageError: the folder cannot be written.
    """
    Checkpoint.open(folder)
    known = dict(digests or {})
    files = file_digests(folder, leave_out=frozenset({LINEAGE, *known}))
    write_seal(folder, lineage, {**files, **known})
    return Checkpoint.open(folder)


def _tokenizer_digest(folder: Path, files: Mapping[str, str], others: Beside) -> str:
    """Digest of the tokenizer's files: models that differ in their turns alone have the same."""
    digests = {name: digest for name, digest in files.items() if name in others.tokenizer}
    if TOKENIZER_CONFIG in digests:
        with suppress(ValueError):  # who reads the tokenizer says what is broken
            settings = json.loads((folder / TOKENIZER_CONFIG).read_bytes())
            if isinstance(settings, dict):
                settings.pop("chat_template", None)
                digests[TOKENIZER_CONFIG] = digest_of(json.dumps(settings, sort_keys=True))
    return digest_of(digests) if digests else ""


def _digests(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """SHA-256 of those of the named files that the folder has."""
    try:
        return {name: digest_file(folder / name) for name in names if (folder / name).is_file()}
    except OSError as error:
        raise storage_error(error, folder) from error


def _tensor_digest(info: TensorInfo) -> str:
    """SHA-256 of a tensor's bytes, read in blocks."""
    sha256 = hashlib.sha256()
    for start, stop in block_ranges(info.num_elements, _BLOCK_BYTES // item_size(info.dtype)):
        sha256.update(read_raw(info, start, stop).data)
    return sha256.hexdigest()
