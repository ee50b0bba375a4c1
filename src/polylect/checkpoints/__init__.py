"""Checkpoints: handles, block-wise safetensors reading and writing, lineage. Needs no torch."""

from typing import TYPE_CHECKING

from polylect.base import face

if TYPE_CHECKING:
    from polylect.checkpoints.beside import (
        CHAT_TEMPLATE,
        CONFIG,
        GENERATION_CONFIG,
        TOKENIZER,
        TOKENIZER_CONFIG,
        Beside,
        files_beside,
    )
    from polylect.checkpoints.blocks import Blocks, write_blocks
    from polylect.checkpoints.buffers import is_buffer, is_computed
    from polylect.checkpoints.dtypes import (
        DTYPE_OF_TORCH_NAME,
        DTYPES,
        FLOAT_DTYPES,
        TORCH_NAMES,
        Bytes,
        Floats,
        item_size,
        overflow,
        to_bytes,
        to_floats,
    )
    from polylect.checkpoints.handle import Checkpoint, seal
    from polylect.checkpoints.journal import Journal
    from polylect.checkpoints.lineage import LINEAGE, Lineage, Parent, join_licenses, read_seal
    from polylect.checkpoints.progress import WriteProgress
    from polylect.checkpoints.shards import INDEX, WEIGHTS, list_tensors
    from polylect.checkpoints.tensors import (
        TensorFile,
        TensorInfo,
        block_ranges,
        read_floats,
        read_header,
        read_raw,
    )
    from polylect.checkpoints.writer import MAX_SHARD_BYTES, ShardWriter, TensorSpec
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
