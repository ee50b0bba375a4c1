"""Writing safetensors block by block: places are laid out first, then any thread fills them."""

import json
import math
import os
import shutil
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from polylect.base import StorageError, digest_file, storage_error, sync
from polylect.checkpoints.dtypes import DTYPES, Bytes, item_size
from polylect.checkpoints.shards import INDEX, WEIGHTS
from polylect.checkpoints.tensors import TensorInfo

MAX_SHARD_BYTES = 5_000_000_000


class TensorSpec(NamedTuple):
    """A tensor to be written: its key in the state dict, safetensors type, shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class ShardWriter:
    """Weights written at their places, in any order and from any number of threads.

    A tensor goes into the shard that has room, in the order given; one that is larger than a shard
    gets its own. Within a shard, larger element types come first, as safetensors has it. Places
    depend on the specs and ``max_shard_bytes`` alone. With specs in order of names and one shard,
    the file is the one that ``safetensors.torch.save_file`` writes, byte for byte.

    Does not make the folder appear at once: write into one from ``runs.kept_folder``.
    """

    def __init__(
        self,
        folder: Path,
        specs: Sequence[TensorSpec],
        *,
        max_shard_bytes: int = MAX_SHARD_BYTES,
        keep: bool = False,
    ) -> None:
        """Writes headers and sets the files to their full size.

        Args:
            folder: an existing folder without weights.
            specs: what will be written; names are unique.
            max_shard_bytes: most bytes of tensors in one file.
            keep: leave files as they are that an earlier writer for the same specs began; say with
                ``skip`` what they hold.

        Raises:
            StorageError: the folder cannot be written, or has no room for all that is missing.
        """
        assert len({one.name for one in specs}) == len(specs), "a name is given twice"
        assert max_shard_bytes > 0, f"max_shard_bytes must be positive, is {max_shard_bytes}"
        self._folder = folder
        self._missing: dict[str, int] = {}
        self._lock = threading.Lock()
        self.tensors: dict[str, TensorInfo] = {}
        shards = _split(specs, max_shard_bytes)
        self._files = [folder / name for name in _shard_names(len(shards))]
        self._keep = keep
        _check_room(folder, sum(map(_num_bytes, specs)), self._files)
        for path, shard in zip(self._files, shards, strict=True):
            self._start(path, shard)

    def write(self, name: str, start: int, raw: Bytes) -> None:
        """Write the bytes of consecutive elements of a tensor, the first of them being ``start``.

        Raises:
            StorageError: the disk is full or failed.
        """
        info = self.tensors[name]
        size = item_size(info.dtype)
        offset = info.begin + start * size
        assert start >= 0, f"{name}: begins at element {start}"
        assert offset + raw.size <= info.end, f"{name}: written past its end"
        assert raw.size % size == 0, f"{name}: {raw.size} bytes are no whole elements"
        _write_at(info.file, raw, offset)
        with self._lock:
            self._missing[name] -= raw.size
            assert self._missing[name] >= 0, f"{name}: a part was written twice"

    def skip(self, name: str, start: int, stop: int) -> None:
        """Count elements ``start`` to ``stop`` of a tensor as written: they were, before."""
        self._missing[name] -= (stop - start) * item_size(self.tensors[name].dtype)
        assert self._missing[name] >= 0, f"{name}: a part was written twice"

    def flush(self) -> None:
        """Have everything written so far on the disk.

        Raises:
            StorageError: the disk is full or failed.
        """
        try:
            for path in self._files:
                sync(path)
        except OSError as error:
            raise storage_error(error, self._folder) from error

    def finish(self) -> dict[str, str]:
        """Flush everything to the disk; the digest of every file written, by file name.

        Raises:
            StorageError: the disk is full or failed.
        """
        missing = [name for name, num in self._missing.items() if num]
        assert not missing, f"{missing[0]}: {self._missing[missing[0]]} bytes were never written"
        paths = list(self._files)
        try:
            if len(paths) > 1:
                paths.append(self._write_index())
            with ThreadPoolExecutor(min(8, len(paths))) as threads:
                return dict(threads.map(_sealed, paths))
        except OSError as error:
            raise storage_error(error, self._folder) from error

    def _start(self, path: Path, shard: Sequence[TensorSpec]) -> None:
        """Give every tensor of a shard its place, write the header, set the file's size."""
        ranked = sorted(shard, key=lambda one: DTYPES.index(one.dtype), reverse=True)
        offsets = [0]
        for one in ranked:
            offsets.append(offsets[-1] + _num_bytes(one))
        header = _header(ranked, offsets)
        for number, (name, dtype, shape) in enumerate(ranked):
            begin, end = (len(header) + offsets[number + step] for step in (0, 1))
            self.tensors[name] = TensorInfo(name, dtype, tuple(shape), path, begin, end)
            self._missing[name] = end - begin
        try:
            if self._keep and _is_begun(path, header, len(header) + offsets[-1]):
                return
            with open(path, "wb" if self._keep else "xb") as file:
                file.write(header)
                file.truncate(len(header) + offsets[-1])
        except OSError as error:
            raise storage_error(error, path) from error

    def _write_index(self) -> Path:
        weight_map = {name: info.file.name for name, info in sorted(self.tensors.items())}
        total = sum(info.end - info.begin for info in self.tensors.values())
        listing = {"metadata": {"total_size": total}, "weight_map": weight_map}
        path = self._folder / INDEX
        path.write_text(json.dumps(listing, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return path


def _is_begun(path: Path, header: bytes, size: int) -> bool:
    """Whether a file has this header and its full size."""
    if not path.is_file() or path.stat().st_size != size:
        return False
    with open(path, "rb") as file:
        return file.read(len(header)) == header


def _check_room(folder: Path, num_bytes: int, files: Sequence[Path]) -> None:
    """Refuses before anything is written where the disk cannot hold it."""
    try:
        there = sum(path.stat().st_blocks * 512 for path in files if path.is_file())
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise storage_error(error, folder) from error
    if num_bytes - there > free:
        raise StorageError(
            f"{folder.parent}: the disk is full ({num_bytes - there:,} bytes are needed, "
            f"{free:,} are free)",
            "free some space and run the same command again",
        )


def _split(specs: Sequence[TensorSpec], max_shard_bytes: int) -> list[list[TensorSpec]]:
    shards: list[list[TensorSpec]] = [[]]
    used = 0
    for one in specs:
        if shards[-1] and used + _num_bytes(one) > max_shard_bytes:
            shards.append([])
            used = 0
        shards[-1].append(one)
        used += _num_bytes(one)
    return shards


def _shard_names(num_shards: int) -> list[str]:
    if num_shards == 1:
        return [WEIGHTS]
    return [f"model-{one:05}-of-{num_shards:05}.safetensors" for one in range(1, num_shards + 1)]


def _header(ranked: Sequence[TensorSpec], offsets: Sequence[int]) -> bytes:
    """Length and JSON, filled up with spaces so that the tensors begin at a multiple of 8."""
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    for number, (name, dtype, shape) in enumerate(ranked):
        entries[name] = {
            "dtype": dtype,
            "shape": list(shape),
            "data_offsets": [offsets[number], offsets[number + 1]],
        }
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _num_bytes(spec: TensorSpec) -> int:
    return math.prod(spec.shape) * item_size(spec.dtype)


def _write_at(path: Path, raw: Bytes, offset: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            done = 0
            while done < raw.size:
                done += os.pwrite(descriptor, raw[done:].data, offset + done)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise storage_error(error, path) from error


def _sealed(path: Path) -> tuple[str, str]:
    sync(path)
    return path.name, digest_file(path)
