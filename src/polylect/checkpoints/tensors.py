"""Reading safetensors: headers checked strictly, and any range of elements read by position."""

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from polylect.base import InputError, StorageError, did_you_mean, refuse_pointer, storage_error
from polylect.checkpoints._json import AGAIN, is_text_map, short, strict_json
from polylect.checkpoints.dtypes import DTYPES, Bytes, Floats, item_size, to_floats

_MAX_HEADER_BYTES = 100_000_000  # what safetensors itself accepts


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where a tensor is stored; none of its values.

    Attributes:
        name: key in the state dict.
        dtype: safetensors' name, e.g. ``BF16``.
        shape: empty for a scalar.
        file: the safetensors file.
        begin: offset of its first byte in the file.
        end: offset just past its last byte.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    begin: int
    end: int

    @property
    def num_elements(self) -> int:
        """Number of elements; 1 for a scalar, 0 if any dimension is 0."""
        return math.prod(self.shape)


def read_header(path: Path) -> dict[str, TensorInfo]:
    """The tensors of one safetensors file by name, in their order in the file.

    Raises:
        InputError: the file is missing or truncated, or its header violates the format (length,
            JSON, types, shapes, ranges without gaps or overlaps); names file and tensor.
    """
    refuse_pointer(path)
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            text = _header_text(path, size, file.read(8), file)
    except OSError as error:
        raise _unreadable(error, path) from None
    header = strict_json(text, str(path))
    if not isinstance(header, dict):
        raise InputError(f"{path}: the header is not a JSON object", AGAIN)
    metadata = header.pop("__metadata__", {})
    if not is_text_map(metadata):
        raise InputError(f"{path}: __metadata__ is not a map of text to text", AGAIN)
    data = 8 + len(text)
    infos = [_tensor(path, name, entry, data) for name, entry in header.items()]
    infos.sort(key=lambda info: (info.begin, info.end))
    _check_ranges(path, infos, data, size)
    return {info.name: info for info in infos}


class TensorFile:
    """An open file to read one tensor from, again and again without opening it anew.

    Reads by position, from any number of threads at once. Closed by ``close`` or with the object.
    """

    def __init__(self, info: TensorInfo) -> None:
        """Opens the file.

        Raises:
            InputError: it was removed since its header was read.
        """
        self.info = info
        self._size = item_size(info.dtype)
        self._descriptor = -1
        try:
            self._descriptor = os.open(info.file, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise _unreadable(error, info.file) from None

    def read(self, start: int, stop: int, *, out: Bytes | None = None) -> Bytes:
        """The bytes of elements ``start`` to ``stop``, in ``out`` or in a new array.

        Raises:
            InputError: the file was truncated since its header was read.
        """
        info, size = self.info, self._size
        assert 0 <= start <= stop <= info.num_elements, f"{info.name}: no range {start}:{stop}"
        raw = np.empty((stop - start) * size, np.uint8) if out is None else out
        try:
            num_read = 0
            while num_read < raw.size:
                view = raw[num_read:].data
                num = os.preadv(self._descriptor, [view], info.begin + start * size + num_read)
                if num == 0:
                    raise InputError(f"{info.file}: ends inside tensor {info.name!r}", AGAIN)
                num_read += num
        except OSError as error:
            raise _unreadable(error, info.file) from None
        return raw

    def close(self) -> None:
        """Close the file, if it is open."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        self.close()


def read_raw(info: TensorInfo, start: int = 0, stop: int | None = None) -> Bytes:
    """The bytes of elements ``start`` to ``stop`` (default: all), in a new array.

    Raises:
        InputError: the file was truncated or removed since its header was read.
    """
    stop = info.num_elements if stop is None else stop
    file = TensorFile(info)
    try:
        return file.read(start, stop)
    finally:
        file.close()


def read_floats(
    info: TensorInfo, start: int = 0, stop: int | None = None, *, out: Floats | None = None
) -> Floats:
    """Elements ``start`` to ``stop`` as float32 or the dtype of ``out``; see ``to_floats``."""
    return to_floats(read_raw(info, start, stop), info.dtype, out=out)


def block_ranges(num: int, step: int, align: int = 1) -> Iterator[tuple[int, int]]:
    """Consecutive ranges of about ``step`` of ``num`` elements, cut at multiples of ``align`` only.

    >>> list(block_ranges(10, 5, align=4))
    [(0, 4), (4, 8), (8, 10)]
    """
    step = max(align, step // align * align)
    for start in range(0, num, step):
        yield start, min(start + step, num)


def _header_text(path: Path, size: int, prefix: bytes, file: Any) -> bytes:
    """The header's JSON, after checking its length against the size of the file."""
    if len(prefix) < 8:
        raise InputError(f"{path}: {size} bytes, too short for a safetensors header", AGAIN)
    length = int.from_bytes(prefix, "little")
    if length > _MAX_HEADER_BYTES or 8 + length > size:
        raise InputError(
            f"{path}: a header of {length} bytes in a file of {size}, truncated or not safetensors",
            AGAIN,
        )
    text = file.read(length)
    if len(text) < length or not text.startswith(b"{"):
        raise InputError(f"{path}: not a safetensors header", AGAIN)
    return text


def _tensor(path: Path, name: str, entry: object, data: int) -> TensorInfo:
    """One checked entry of the header; ``data`` is the offset where the tensors begin."""
    where = f"{path}: tensor {short(name)}"
    if any("\ud800" <= character <= "\udfff" for character in name):
        raise InputError(f"{where}: the name is not valid Unicode", AGAIN)
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise InputError(f"{where}: needs dtype, shape and data_offsets, nothing else", AGAIN)
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        hint = did_you_mean(str(dtype), DTYPES) or f"known are {', '.join(DTYPES)}"
        raise InputError(f"{where}: unknown dtype {short(dtype)}", hint)
    if not _is_sizes(shape):
        raise InputError(f"{where}: bad shape {short(shape)}", AGAIN)
    # One at a time: the product of two offsets in a file of over 3 GB is beyond 2**63.
    if (
        not isinstance(offsets, list)
        or len(offsets) != 2
        or not all(_is_sizes([offset]) for offset in offsets)
    ):
        raise InputError(f"{where}: bad data_offsets {short(offsets)}", AGAIN)
    begin, end = offsets
    num_bytes = math.prod(shape) * item_size(dtype)
    if end - begin != num_bytes:
        raise InputError(
            f"{where}: {dtype} {shape} takes {num_bytes} bytes, the header gives {end - begin}",
            AGAIN,
        )
    return TensorInfo(name, dtype, tuple(shape), path, data + begin, data + end)


def _check_ranges(path: Path, tensors: Iterable[TensorInfo], data: int, size: int) -> None:
    """Tensors must follow one another without gap or overlap, up to the end of the file."""
    offset = data
    for info in tensors:
        if info.begin != offset:
            problem = "overlaps the one before" if info.begin < offset else "leaves a gap before it"
            raise InputError(f"{path}: tensor {short(info.name)} {problem}", AGAIN)
        if info.end > size:
            raise InputError(
                f"{path}: tensor {short(info.name)} ends at byte {info.end}, the file at {size}: "
                "truncated",
                AGAIN,
            )
        offset = info.end
    if offset != size:
        raise InputError(f"{path}: {size - offset} bytes belong to no tensor", AGAIN)


def _is_sizes(value: object) -> bool:
    """Whether this is a list of integers from 0 whose product (without zeros) is below 2**63."""
    if not isinstance(value, list):
        return False
    product = 1
    for size in value:
        if type(size) is not int or size < 0:
            return False
        product *= size or 1
        if product >= 2**63:
            return False
    return True


def _unreadable(error: OSError, path: Path) -> InputError | StorageError:
    """An InputError for a missing or forbidden file; a StorageError for a failing disk."""
    storage = storage_error(error, path)
    if isinstance(error, FileNotFoundError | IsADirectoryError | PermissionError):
        return InputError(storage.message, storage.hint)
    return storage
