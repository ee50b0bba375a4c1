"""Tokenisers, language identification, packing and fertility."""

from polylect.text.packing import Segment, TokenBatch, pack, pack_rows, split_document
from polylect.text.prefixes import Node, path_of, prefix_tree, sort_sequences
from polylect.text.tokenizer import Tokenizer

__all__ = [
    "Node",
    "Segment",
    "TokenBatch",
    "Tokenizer",
    "pack",
    "pack_rows",
    "path_of",
    "prefix_tree",
    "sort_sequences",
    "split_document",
]
