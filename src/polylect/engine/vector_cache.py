"""Vectors of earlier calls, by the digest of all that decides them; blocks in safetensors.

A block appears whole or not at all, and its name is the digest of its keys: two processes that
write the same one write the same file. What cannot be read is computed again.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from polylect.base import atomic_file, digest_bytes, digest_of

_KEY_BYTES = 32


def vector_keys(texts: Sequence[Sequence[str]]) -> list[bytes]:
    """A key of each text with its context, 32 bytes."""
    return [bytes.fromhex(digest_of(list(parts))) for parts in texts]


class VectorCache:
    """Vectors in a folder."""

    def __init__(self, folder: Path | None, identity: str) -> None:
        """Open a cache.

        Args:
            folder: of all encoders; made on the first write. None for no cache.
            identity: digest of weights and settings; another one never hits.
        """
        self._folder = None if folder is None else folder / identity[:32]

    def read(self) -> dict[bytes, np.ndarray]:
        """All vectors by key, float32 [width]."""
        from safetensors.numpy import load_file

        vectors: dict[bytes, np.ndarray] = {}
        if self._folder is None or not self._folder.is_dir():
            return vectors
        for path in sorted(self._folder.glob("*.safetensors")):
            try:
                block = load_file(path)
                keys, rows = block["keys"], block["vectors"]
            except Exception:  # a block that is broken in any way is computed again
                continue
            if keys.shape == (len(rows), _KEY_BYTES) and rows.dtype == np.float32:
                vectors |= {key.tobytes(): row for key, row in zip(keys, rows, strict=True)}
        return vectors

    def write(self, keys: Sequence[bytes], vectors: np.ndarray) -> None:
        """Store a block.

        Raises:
            StorageError: the disk is full or the folder cannot be written.
        """
        from safetensors.numpy import save_file

        if self._folder is None or not keys:
            return
        content = {
            "keys": np.frombuffer(b"".join(keys), np.uint8).reshape(-1, _KEY_BYTES).copy(),
            "vectors": np.ascontiguousarray(vectors, np.float32),
        }
        name = digest_bytes(b"".join(keys))[:32]
        with atomic_file(self._folder / f"{name}.safetensors") as temporary:
            save_file(content, temporary)
