"""Packing: segments one after another in one row, without padding.

A segment is a run of tokens that sees itself causally. Its positions start at 0, or it names a
parent segment, whose tokens it sees and continues: chosen and rejected share one prompt, the
choices of a question share the question.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of tokens.

    Attributes:
        ids: token ids [length], at least one.
        loss_weight: [length]; weight of predicting each token from those before it. The first token
            of a segment without a parent cannot be predicted: its weight must be 0.
        language: tag.
        parent: index of the segment that this one continues, or -1.
        item: index of what it belongs to, e.g. its document; -1 for nothing.
    """

    ids: np.ndarray
    loss_weight: np.ndarray
    language: str
    parent: int = -1
    item: int = -1

    def __post_init__(self) -> None:
        assert len(self.ids) == len(self.loss_weight) > 0
        assert self.parent >= 0 or self.loss_weight[0] == 0, "the first token has no context"


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """One packed row.

    Attributes:
        ids: int64 [T], the tokens of all segments, in order.
        loss_weight: float32 [T], weight of predicting token t from its predecessors.
        positions: int64 [T], position within the segment (continued from the parent).
        lengths: tokens of each segment [S]; they sum to T.
        parents: index of each segment's parent, or -1 [S].
        languages: tag of each segment [S].
        items: item of each segment [S].
    """

    ids: np.ndarray
    loss_weight: np.ndarray
    positions: np.ndarray
    lengths: tuple[int, ...]
    parents: tuple[int, ...]
    languages: tuple[str, ...]
    items: tuple[int, ...]

    @property
    def num_tokens(self) -> int:
        """Tokens in the row."""
        return len(self.ids)

    def segment_of_token(self) -> np.ndarray:
        """Index of the segment of every token, int64 [T]."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def predecessors(self) -> np.ndarray:
        """Row index of the token before each one, int64 [T]; -1 for the first of a root segment.

        The first token of a child follows its parent's last token.
        """
        before = np.arange(-1, self.num_tokens - 1)
        ends = np.cumsum(self.lengths)
        starts = ends - self.lengths
        for start, parent in zip(starts, self.parents, strict=True):
            before[start] = ends[parent] - 1 if parent >= 0 else -1
        return before


def pack(segments: Sequence[Segment]) -> TokenBatch:
    """The segments as one row, in the given order; no token is lost, added or moved.

    A parent must come before its children. Attention is fastest if segments are in depth-first
    order: a parent, then all its descendants.
    """
    assert segments, "nothing to pack"
    ends: list[int] = []
    positions: list[np.ndarray] = []
    for index, segment in enumerate(segments):
        assert segment.parent < index, "a parent comes before its children"
        start = ends[segment.parent] if segment.parent >= 0 else 0
        ends.append(start + len(segment.ids))
        positions.append(np.arange(start, ends[-1]))
    return TokenBatch(
        ids=np.concatenate([segment.ids for segment in segments]).astype(np.int64),
        loss_weight=np.concatenate([segment.loss_weight for segment in segments]).astype(
            np.float32
        ),
        positions=np.concatenate(positions),
        lengths=tuple(len(segment.ids) for segment in segments),
        parents=tuple(segment.parent for segment in segments),
        languages=tuple(segment.language for segment in segments),
        items=tuple(segment.item for segment in segments),
    )


def pack_rows(segments: Iterable[Segment], row_tokens: int) -> Iterator[TokenBatch]:
    """Rows of about ``row_tokens`` tokens: a segment goes to the row in which it starts.

    Rows differ in length by less than one segment, and nothing is cut. The plan is a function of
    the sequence of segments alone. Segments must have no parents.
    """
    row: list[Segment] = []
    total = 0
    for segment in segments:
        assert segment.parent < 0, "segments with parents are packed tree by tree"
        if row and total // row_tokens != (total - len(row[-1].ids)) // row_tokens:
            yield pack(row)
            row = []
        row.append(segment)
        total += len(segment.ids)
    if row:
        yield pack(row)


def split_document(
    ids: np.ndarray, bos_id: int, eos_id: int, context_tokens: int
) -> list[np.ndarray]:
    """A document's tokens as runs of at most ``context_tokens``, each beginning with BOS.

    EOS ends the last run. A run does not see the one before it.

    Example:
        >>> [run.tolist() for run in split_document(np.array([5, 6, 7]), 1, 2, 3)]
        [[1, 5, 6], [1, 7, 2]]
    """
    assert context_tokens >= 2
    body = np.concatenate([ids, [eos_id]])
    room = context_tokens - 1
    starts = range(0, len(body), room)
    return [np.concatenate([[bos_id], body[start : start + room]]) for start in starts]
