"""Parts of a crowd's texts: each pair is predicted by pairs that know neither of its texts.

As in a split by response, what belongs together is in one part (near-duplicates; texts of one
prompt and texts that were compared, where they fall into many groups). A pair within a part is held
out with that part. Where users compare everything with everything most pairs lie across two parts,
and dropping them would leave hardly any: there sets of four parts are held out, the 13 lines of the
projective plane of order 3. Any two of its 13 points are on exactly one line, so that each pair is
held out once, and both of its texts are new to the pairs without a text of the line's parts, which
are half of all ((9/13)²).
"""

from typing import TYPE_CHECKING

import numpy as np

from polylect.base import digest_bytes, generator
from polylect.people.methods.pairs import CrowdPairs, Pairs
from polylect.people.splits import linked, texts_together

if TYPE_CHECKING:
    from polylect.people.methods.model import Arrays

NUM_PARTS = 13
KEYS, PARTS = "text_keys", "text_parts"
_DIFFERENCES = (0, 1, 3, 9)  # every number of 1 to 12 is the difference of two, modulo 13, once
_FINE = 1e3


def _lines() -> tuple[np.ndarray, np.ndarray]:
    """The parts of each line [lines, parts], and the line through two parts [parts, parts]."""
    line = np.arange(NUM_PARTS)
    on = np.zeros((NUM_PARTS, NUM_PARTS), bool)
    for difference in _DIFFERENCES:
        on[line, (line + difference) % NUM_PARTS] = True
    through = (on[:, :, None] & on[:, None, :]).argmax(axis=0)
    return on, through


_ON, _THROUGH = _lines()
LEFT_OUT = np.concatenate([np.eye(NUM_PARTS, dtype=bool), _ON])
"""The parts that each fold leaves out, bool [folds, parts]: each alone, then each line."""


def text_parts(pairs: CrowdPairs) -> "Arrays":
    """The part of each text of a crowd: keys of the vectors, ascending, and parts, int64 [texts].

    Which groups are in a part is decided by their content, whatever the order of the rows.
    """
    assert pairs.crowd is not None
    group, names = texts_together(pairs.crowd)
    digests = [digest_bytes(b"part" + name.encode("utf-8", "surrogatepass")) for name in names]
    part = np.zeros(len(names), np.int64)
    part[sorted(range(len(names)), key=digests.__getitem__)] = np.arange(len(names)) % NUM_PARTS
    keys, first = np.unique(_keys(pairs.vectors), return_index=True)
    return {KEYS: keys, PARTS: part[group[group >= 0]][first]}


def parts_of(pairs: Pairs, shared: "Arrays") -> np.ndarray:
    """The part of each text: that of the fit; a new text has that of those it is compared with.

    Of a new text the vector alone is known: near-duplicates and prompts are not recognized.

    Args:
        pairs: of the crowd, or of one user.
        shared: ``text_parts``, and ``precision``, the scale of the vectors.
    """
    keys = _keys(pairs.vectors)
    at = np.minimum(np.searchsorted(shared[KEYS], keys), len(shared[KEYS]) - 1)
    is_known = shared[KEYS][at] == keys
    part = shared[PARTS][at].astype(np.int64)
    if is_known.all():
        return part
    direction = generator(0, "shrinkage", "folds").normal(size=pairs.width)
    place = pairs.vectors @ direction / np.linalg.norm(direction)
    fine = np.floor(_FINE * place / float(shared["precision"][0]) ** 0.5).astype(np.int64)
    part = np.where(is_known, part, fine % NUM_PARTS)
    group = linked(np.stack([pairs.chosen, pairs.rejected], axis=1), len(part))
    if np.bincount(group[pairs.chosen]).max() > len(pairs) / 3:
        return part
    order = np.lexsort((fine, ~is_known))
    _, first = np.unique(group[order], return_index=True)
    return np.where(is_known, part, part[order[first]][group])


def folds_of(part: np.ndarray, pairs: Pairs) -> np.ndarray:
    """The fold in which each pair is held out, a row of ``LEFT_OUT``, int64 [pairs]."""
    a, b = part[pairs.chosen], part[pairs.rejected]
    return a if (a == b).all() else NUM_PARTS + _THROUGH[a, b]


def known_to(fold: int, part: np.ndarray, pairs: Pairs) -> np.ndarray:
    """The pairs that a fold may learn from, bool [pairs]: none of their texts is left out."""
    is_out = LEFT_OUT[fold][part]
    return ~(is_out[pairs.chosen] | is_out[pairs.rejected])


def _keys(vectors: np.ndarray) -> np.ndarray:
    """A number for each vector by its bytes, int64 [texts]."""
    from hashlib import blake2b

    rows = np.ascontiguousarray(vectors, np.float32)
    digests = b"".join(blake2b(row.tobytes(), digest_size=8).digest() for row in rows)
    return np.frombuffer(digests, np.int64).copy()
