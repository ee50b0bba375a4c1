"""Where a text is cut into pieces of tokens: one rule for what is trained on and what is scored.

A token may span the border of a prompt and its answer: in a script without spaces the prompt's end
and the answer's begin merge into one. To cut the tokens of both together at the number of tokens of
the prompt alone then moves a part of the answer into what it is conditioned on or, with the tokens
of the prompt alone before it, as in the field's harness, out of the text: another part for each
answer. The rule here:

1. The tokens of the whole text are cut where those of its beginning end, if they begin with them.
2. Otherwise the pieces on both sides of that border are encoded apart, so that what comes before is
   always encoded as it is when the model answers. A tokenizer that marks the beginning of a text
   (SentencePiece's ▁, WordPiece without ##) would write that mark into the middle of a word: the
   piece is encoded behind some characters whose tokens are then cut off, if the result spells the
   same text as the whole.

It does not know which of the pieces are learned or scored.
"""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from polylect.text.tokenizer import Tokenizer

APART = "encoded apart: a token would span prompt and answer"
"""Ledger event: a text whose pieces were encoded apart."""
RESPELLED = "encoded apart: the tokens spell another text than the whole's"
"""Ledger event: such a text where the tokenizer has no tokens that continue it as it is written."""

_ANCHORS = ("\n", "=", "0", "。")
"""Characters that seldom merge with what follows; a piece is encoded behind one of them."""


@dataclass(frozen=True, slots=True)
class CutText:
    """A text as pieces of tokens.

    Attributes:
        pieces: ids of each piece, int32; together the tokens of the text.
        apart: a token would span a border, so that pieces were encoded apart.
        respelled: the tokens spell another text than those of the whole, up to Unicode's NFKC.
    """

    pieces: tuple[np.ndarray, ...]
    apart: bool = False
    respelled: bool = False


def cut_at_borders(
    tokenizer: Tokenizer, texts: Sequence[Sequence[str]], *, special: bool = False
) -> list[CutText]:
    """Every text's tokens, cut at the borders of its pieces by the rule of this module.

    The first piece of a text of two has the tokens that it has alone, whatever follows.

    Args:
        tokenizer: adds no special tokens.
        texts: each as pieces that together are the text.
        special: recognize special tokens in the texts.

    Example:
        >>> from polylect.text import train_bpe
        >>> tokenizer = train_bpe({"en": ["hello world"] * 9}, vocab_size=300)
        >>> (cut,) = cut_at_borders(tokenizer, [["hello wor", "ld"]])
        >>> [tokenizer.decode(ids) for ids in cut.pieces], cut.apart
        (['hello wor', 'ld'], True)
    """
    beginnings = [
        ["".join(pieces[: number + 1]) for number in range(len(pieces))] for pieces in texts
    ]
    distinct = list(dict.fromkeys(text for some in beginnings for text in some))
    ids = dict(zip(distinct, tokenizer.encode(distinct, special=special), strict=True))
    cuts = []
    for pieces, some in zip(texts, beginnings, strict=True):
        joined = _joined([ids[text] for text in some], tokenizer.unknown_id)
        cuts.append(CutText(joined) if joined is not None else _apart(tokenizer, pieces, special))
    return cuts


def _joined(beginnings: Sequence[np.ndarray], unknown_id: int) -> tuple[np.ndarray, ...] | None:
    """The whole's tokens cut at every border, or None where one of them is crossed.

    A border behind an unknown token counts as crossed: the token may hold what follows, too.
    """
    whole, ends = beginnings[-1], [0]
    for before in beginnings[:-1]:
        known = not len(before) or before[-1] != unknown_id
        if not known or not np.array_equal(whole[: len(before)], before):
            return None
        ends.append(len(before))
    return tuple(whole[a:b] for a, b in zip(ends, [*ends[1:], len(whole)], strict=True))


def _apart(tokenizer: Tokenizer, pieces: Sequence[str], special: bool) -> CutText:
    """The tokens of the longest runs of pieces that no token crosses, one run after the other."""
    parts: list[np.ndarray] = []
    runs, respelled, start = 0, False, 0
    while start < len(pieces):
        before = np.concatenate([*parts, np.empty(0, np.int32)])
        for stop in range(len(pieces), start, -1):
            encode, same = _continuing(
                tokenizer, "".join(pieces[:start]), before, "".join(pieces[start:stop]), special
            )
            joined = _joined(
                [encode("".join(pieces[start : k + 1])) for k in range(start, stop)],
                tokenizer.unknown_id,
            )
            if joined is not None:
                break
        assert joined is not None, "a run of one piece has no border inside"
        parts += joined
        runs, respelled, start = runs + 1, respelled or not same, stop
    whole = tokenizer.encode(["".join(pieces)], special=special)[0]
    # Behind an unknown token both ways may agree: then nothing was encoded apart.
    apart = not np.array_equal(np.concatenate(parts), whole)
    return CutText(tuple(parts), apart, apart and respelled)


Encode = Callable[[str], np.ndarray]


def _continuing(
    tokenizer: Tokenizer, text: str, before: np.ndarray, piece: str, special: bool
) -> tuple[Encode, bool]:
    """How to encode a piece that follows a text, and whether both together spell the whole."""

    def encoded(some: str) -> np.ndarray:
        return tokenizer.encode([some], special=special)[0]

    if not text or not piece:
        return encoded, True
    whole = _spelled(tokenizer, encoded(text + piece))
    for anchor in ("", *_ANCHORS, text[-1:], text[-2:]):
        first, both = encoded(anchor), encoded(anchor + piece)
        ids = both[len(first) :]
        if not np.array_equal(both[: len(first)], first) or (piece.strip() and not len(ids)):
            continue
        if _spelled(tokenizer, np.concatenate([before, ids])) == whole:
            num = len(first)
            return lambda some, anchor=anchor, num=num: encoded(anchor + some)[num:], True
    return encoded, False


def _spelled(tokenizer: Tokenizer, ids: np.ndarray) -> str:
    return unicodedata.normalize("NFKC", tokenizer.decode(ids))


def cut_like_lm_eval(whole: np.ndarray, context: np.ndarray) -> CutText:
    """The context's own tokens, and the whole's after as many (lm_eval 0.4.13, ``_encode_pair``).

    Where a token spans the border, what it holds of the continuation is in neither.

    Args:
        whole: ids of context and continuation together.
        context: ids of the context alone.
    """
    return CutText((context, whole[len(context) :]))
