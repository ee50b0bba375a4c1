"""Tokenisers, language identification, packing and fertility."""

from polylect.text.packing import Segment, TokenBatch, pack, pack_rows, split_document
from polylect.text.tokenizer import Tokenizer

__all__ = ["Segment", "TokenBatch", "Tokenizer", "pack", "pack_rows", "split_document"]
