"""Writing safetensors block by block: the layout comes first, then any thread fills it."""

import json
import math
import os
import shutil
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

from polylect.base import StorageError, digest_file, storage_error, sync
from polylect.checkpoints.dtypes import DTYPES, Bytes, item_size
from polylect.checkpoints.shards import INDEX, WEIGHTS
from polylect.checkpoints.tensors import TensorInfo, block_ranges, read_raw

MAX_SHARD_BYTES = 5_000_000_000
_COPIED_BYTES = 1 << 22


class TensorSpec(NamedTuple):
    """A tensor to be written: key in the state dict, safetensors type, shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def num_elements(self) -> int:
        """Number of elements; 1 for a scalar, 0 if any dimension is 0."""
        return math.prod(self.shape)

    @property
    def num_bytes(self) -> int:
        """Bytes of the tensor."""
        return self.num_elements * item_size(self.dtype)


class ShardWriter:
    """Writes the weights of a checkpoint, in any order and from any number of threads.

    Tensors fill the shards in the order given; one that is larger than a shard gets its own. Within
    a shard, larger element types come first, as in safetensors. The layout depends only on the
    specs and ``max_shard_bytes``. With specs sorted by name and one shard, the file equals that of
    ``safetensors.torch.save_file``, byte for byte.

    Does not make the folder appear atomically: write into one from ``runs.kept_folder``.
    """

    def __init__(
        self,
        folder: Path,
        specs: Sequence[TensorSpec],
        *,
        max_shard_bytes: int = MAX_SHARD_BYTES,
        keep: bool = False,
    ) -> None:
        """Write headers and set the files to their full size.

        Args:
            folder: an existing folder without weights.
            specs: the tensors; names are unique.
            max_shard_bytes: maximum bytes of tensors in one file.
            keep: keep files that an earlier writer of the same specs began; call ``skip`` for what
                they hold already.

        Raises:
            StorageError: the folder cannot be written, or the disk has too little space.
        """
        assert len({spec.name for spec in specs}) == len(specs), "a name is given twice"
        assert max_shard_bytes > 0, f"max_shard_bytes must be positive, is {max_shard_bytes}"
        self._folder = folder
        self._missing: dict[str, int] = {}
        self._lock = threading.Lock()
        self.tensors: dict[str, TensorInfo] = {}
        shards = _split(specs, max_shard_bytes)
        self._files = [folder / name for name in _shard_names(len(shards))]
        self._keep = keep
        _check_space(folder, sum(spec.num_bytes for spec in specs), self._files)
        for path, shard in zip(self._files, shards, strict=True):
            self._start(path, shard)

    def write(self, name: str, start: int, raw: Bytes) -> None:
        """Write the bytes of consecutive elements of a tensor, beginning with element ``start``.

        Raises:
            StorageError: the disk is full or failed.
        """
        info = self.tensors[name]
        size = item_size(info.dtype)
        offset = info.begin + start * size
        assert start >= 0, f"{name}: begins at element {start}"
        assert offset + raw.size <= info.end, f"{name}: written past its end"
        assert raw.size % size == 0, f"{name}: {raw.size} bytes are not whole elements"
        _write_at(info.file, raw, offset)
        with self._lock:
            self._missing[name] -= raw.size
            assert self._missing[name] >= 0, f"{name}: a part was written twice"

    def copy(self, info: TensorInfo) -> None:
        """Write a tensor of another checkpoint, as it is.

        Raises:
            InputError: its file was truncated or removed since its header was read.
            StorageError: the disk is full or failed.
        """
        for start, stop in block_ranges(info.num_elements, _COPIED_BYTES // item_size(info.dtype)):
            self.write(info.name, start, read_raw(info, start, stop))

    def skip(self, name: str, start: int, stop: int) -> None:
        """Count elements ``start`` to ``stop`` of a tensor as written by an earlier writer."""
        self._missing[name] -= (stop - start) * item_size(self.tensors[name].dtype)
        assert self._missing[name] >= 0, f"{name}: a part was written twice"

    def flush(self) -> None:
        """Flush everything written so far to the disk.

        Raises:
            StorageError: the disk is full or failed.
        """
        try:
            for path in self._files:
                sync(path)
        except OSError as error:
            raise storage_error(error, self._folder) from error

    def finish(self) -> dict[str, str]:
        """Flush everything to the disk; digests of the files, by name.

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
                return dict(threads.map(_synced_digest, paths))
        except OSError as error:
            raise storage_error(error, self._folder) from error

    def _start(self, path: Path, shard: Sequence[TensorSpec]) -> None:
        """Lay out the tensors of a shard, write the header, set the file's size."""
        ranked = sorted(shard, key=lambda spec: DTYPES.index(spec.dtype), reverse=True)
        offsets = [0, *accumulate(spec.num_bytes for spec in ranked)]
        header = _header(ranked, offsets)
        for (name, dtype, shape), (first, last) in zip(ranked, pairwise(offsets), strict=True):
            begin, end = len(header) + first, len(header) + last
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


def _check_space(folder: Path, num_bytes: int, files: Sequence[Path]) -> None:
    """Refuse to begin if the disk cannot hold everything."""
    try:
        written = sum(path.stat().st_blocks * 512 for path in files if path.is_file())
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise storage_error(error, folder) from error
    if num_bytes - written > free:
        raise StorageError(
            f"{folder.parent}: the disk is full ({num_bytes - written:,} bytes are needed, "
            f"{free:,} are free)",
            "free some space and run the same command again",
        )


def _split(specs: Sequence[TensorSpec], max_shard_bytes: int) -> list[list[TensorSpec]]:
    shards: list[list[TensorSpec]] = [[]]
    used = 0
    for spec in specs:
        if shards[-1] and used + spec.num_bytes > max_shard_bytes:
            shards.append([])
            used = 0
        shards[-1].append(spec)
        used += spec.num_bytes
    return shards


def _shard_names(num_shards: int) -> list[str]:
    if num_shards == 1:
        return [WEIGHTS]
    numbers = range(1, num_shards + 1)
    return [f"model-{number:05}-of-{num_shards:05}.safetensors" for number in numbers]


def _header(ranked: Sequence[TensorSpec], offsets: Sequence[int]) -> bytes:
    """Length and JSON, padded with spaces so that the tensors begin at a multiple of 8."""
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    for (name, dtype, shape), span in zip(ranked, pairwise(offsets), strict=True):
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": list(span)}
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _write_at(path: Path, raw: Bytes, offset: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            num_written = 0
            while num_written < raw.size:
                num_written += os.pwrite(descriptor, raw[num_written:].data, offset + num_written)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise storage_error(error, path) from error


def _synced_digest(path: Path) -> tuple[str, str]:
    sync(path)
    return path.name, digest_file(path)
