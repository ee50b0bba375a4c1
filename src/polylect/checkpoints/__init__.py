"""Checkpoints: handles, block-wise safetensors reading and writing, lineage. Needs no torch."""

from polylect.checkpoints.dtypes import (
    DTYPES,
    FLOAT_DTYPES,
    Bytes,
    Floats,
    item_size,
    overflow,
    to_bytes,
    to_floats,
)
from polylect.checkpoints.folder import kept_folder, new_folder
from polylect.checkpoints.handle import CONFIG, TOKENIZER_FILES, Checkpoint, seal
from polylect.checkpoints.lineage import LINEAGE, Lineage, Parent, join_licences, read_seal
from polylect.checkpoints.shards import INDEX, WEIGHTS, list_tensors
from polylect.checkpoints.tensors import (
    TensorFile,
    TensorInfo,
    read_floats,
    read_header,
    read_raw,
)
from polylect.checkpoints.writer import MAX_SHARD_BYTES, ShardWriter, TensorSpec

__all__ = [
    "CONFIG",
    "DTYPES",
    "FLOAT_DTYPES",
    "INDEX",
    "LINEAGE",
    "MAX_SHARD_BYTES",
    "TOKENIZER_FILES",
    "WEIGHTS",
    "Bytes",
    "Checkpoint",
    "Floats",
    "Lineage",
    "Parent",
    "ShardWriter",
    "TensorFile",
    "TensorInfo",
    "TensorSpec",
    "item_size",
    "join_licences",
    "kept_folder",
    "list_tensors",
    "new_folder",
    "overflow",
    "read_floats",
    "read_header",
    "read_raw",
    "read_seal",
    "seal",
    "to_bytes",
    "to_floats",
]
