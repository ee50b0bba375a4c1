"""Checkpoints: handles, block-wise safetensors reading and writing, lineage. Needs no torch."""

from typing import TYPE_CHECKING

from polylect.base.faces import face

if TYPE_CHECKING:
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
    from polylect.checkpoints.handle import CONFIG, TOKENIZER_FILES, Checkpoint, seal
    from polylect.checkpoints.lineage import LINEAGE, Lineage, Parent, join_licenses, read_seal
    from polylect.checkpoints.shards import INDEX, WEIGHTS, list_tensors
    from polylect.checkpoints.tensors import (
        TensorFile,
        TensorInfo,
        read_floats,
        read_header,
        read_raw,
    )
    from polylect.checkpoints.writer import MAX_SHARD_BYTES, ShardWriter, TensorSpec
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
