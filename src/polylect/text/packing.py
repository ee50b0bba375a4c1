"""Packing: segments laid one after another in one row, with no padding anywhere.

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
        item: what it belongs to, e.g. the index of its document; -1 for nothing.
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

    A parent must come before its children. Attention is fastest where segments stand depth first:
    a parent, then all that descends from it, before anything else.
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
        ids=np.concatenate([one.ids for one in segments]).astype(np.int64),
        loss_weight=np.concatenate([one.loss_weight for one in segments]).astype(np.float32),
        positions=np.concatenate(positions),
        lengths=tuple(len(one.ids) for one in segments),
        parents=tuple(one.parent for one in segments),
        languages=tuple(one.language for one in segments),
        items=tuple(one.item for one in segments),
    )


def pack_rows(segments: Iterable[Segment], row_tokens: int) -> Iterator[TokenBatch]:
    """Rows of about ``row_tokens`` tokens: a segment goes to the row in which its start falls.

    Rows therefore differ in length by less than one segment, and nothing is cut. The plan is a
    fixed function of the sequence of segments, which must have no parents.
    """
    row: list[Segment] = []
    total = 0
    for segment in segments:
        assert segment.parent < 0, "rows of trees are planned by their tree"
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
    """A document's tokens as runs of at most ``context_tokens``, every one beginning with BOS.

    EOS ends the last run. A document that does not fit is cut into runs of equal context; a run
    does not see the one before it.
    """
    assert context_tokens >= 2
    body = np.concatenate([ids, [eos_id]])
    room = context_tokens - 1
    starts = range(0, len(body), room)
    return [np.concatenate([[bos_id], body[at : at + room]]) for at in starts]
