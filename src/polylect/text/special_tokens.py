"""Text that spells a special token, such as ``<|im_start|>`` in what a user wrote.

Read as the token, it would end the user's turn and begin another: whoever writes a text would
write the chat. By default it is spelled out, as ordinary characters. In a rendered chat the
template's own special tokens stand beside such texts; a mark inside the latter tells them apart.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from polylect.base import InputError, Ledger

SpecialTokens = Literal["spell", "parse"]
"""What becomes of the text of a special token in content: spelled out, or read as the token."""

SPELLED = "spelled out: text with the text of a special token"
"""Ledger event: a text or row in which special tokens' texts are ordinary characters."""
PARSED = "read as special tokens: text with the text of one"
"""Ledger event: a text or row in which special tokens' texts are the tokens."""

MARK = "\ufdd0"
"""Behind the first character of a text that is no special token; not a character of any text."""

ANCHORS = ("", "\n", "=", "0", "。")
"""Characters that seldom merge with what follows; a piece is encoded behind one of them."""


def count_special(num: int, special_tokens: SpecialTokens, ledger: Ledger, where: str = "") -> None:
    """Count texts, or rows, that spell a special token, by what became of it."""
    ledger.count(PARSED if special_tokens == "parse" else SPELLED, num, where)


@lru_cache
def pattern_of(special_texts: tuple[str, ...], inside: str = "") -> re.Pattern[str] | None:
    """A pattern of special tokens' texts; None if there are none.

    Args:
        special_texts: of a tokenizer; those of one character are left out.
        inside: what stands behind the first character of each.
    """
    texts = sorted({text for text in special_texts if len(text) > 1}, key=len, reverse=True)
    if not texts:
        return None
    return re.compile("|".join(re.escape(text[0] + inside + text[1:]) for text in texts))


def with_marks(value: Any, special_texts: tuple[str, ...]) -> Any:
    """Plain data in which every string's special tokens' texts are marked.

    Example:
        >>> with_marks({"content": "a<|end|>"}, ("<|end|>",)) == {"content": f"a<{MARK}|end|>"}
        True
    """
    pattern = pattern_of(special_texts)
    if pattern is None:
        return value

    def marked(some: Any) -> Any:
        if isinstance(some, str):
            return pattern.sub(lambda match: match[0][0] + MARK + match[0][1:], some)
        if isinstance(some, Mapping):
            return {key: marked(element) for key, element in some.items()}
        if isinstance(some, list | tuple):
            return [marked(element) for element in some]
        return some

    return marked(value)


def strings_in(value: Any) -> list[str]:
    """Every string in plain data."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for element in value.values() for text in strings_in(element)]
    if isinstance(value, list | tuple):
        return [text for element in value for text in strings_in(element)]
    return []


def render_marked(
    render: Callable[[Any], str], arguments: Any, special_texts: tuple[str, ...]
) -> str:
    """A template's text of arguments whose special tokens' texts are marked.

    A text that the template itself looks for in the content (the end of a thought, say) is left to
    it: marked, it would be rendered otherwise.

    Args:
        render: the template.
        arguments: plain data.
        special_texts: of the tokenizer.

    Raises:
        InputError: a text has the mark in it.
    """
    plain = render(arguments)
    joined = "\n".join(strings_in(arguments))
    if MARK in joined:
        raise InputError("a text has U+FDD0 in it, which is no character", "remove it")
    pattern = pattern_of(special_texts)
    if pattern is None or not pattern.search(joined):
        return plain

    def marked(tokens: tuple[str, ...]) -> str:
        return render(with_marks(arguments, tokens)) if tokens else plain

    present = tuple(special for special in special_texts if special in joined)
    text = marked(present)
    if text.replace(MARK, "") != plain:
        alone = (name for name in present if marked((name,)).replace(MARK, "") == plain)
        text = marked(tuple(alone))
    return text if text.replace(MARK, "") == plain else plain


def encode_marked(
    text: str,
    marked: re.Pattern[str],
    special: re.Pattern[str],
    encode: Callable[[str], np.ndarray],
    decode: Callable[[np.ndarray], str],
) -> np.ndarray:
    """Ids of a text with marks, int32: unmarked special tokens are read, marked ones spelled.

    The text is cut at the marks: neither half is a special token.

    Args:
        text: a rendered chat.
        marked: pattern of the marked texts.
        special: pattern of the special tokens' texts.
        encode: reads special tokens.
        decode: its inverse.
    """
    cuts = [match.start() + 1 for match in marked.finditer(text)]
    starts, ends = [0, *(cut + len(MARK) for cut in cuts)], [*cuts, len(text)]
    pieces = [text[start:end] for start, end in zip(starts, ends, strict=True)]
    parts = [encode(pieces[0])]
    parts += [_continuing(piece, special, encode, decode) for piece in pieces[1:]]
    return np.concatenate(parts)


def _continuing(
    piece: str,
    special: re.Pattern[str],
    encode: Callable[[str], np.ndarray],
    decode: Callable[[np.ndarray], str],
) -> np.ndarray:
    """Ids of a piece that follows others, without a mark of a text's beginning."""
    match = special.search(piece)
    head = piece[: match.start()] if match else piece
    before = encode("a")
    expected = _same(decode(before) + head)
    for anchor in ANCHORS:
        first, both = encode(anchor), encode(anchor + piece)
        ids = both[len(first) :]
        is_prefix = np.array_equal(both[: len(first)], first)
        if is_prefix and _same(decode(np.concatenate([before, ids]))).startswith(expected):
            return ids
    return encode(piece)


def _same(text: str) -> str:
    return unicodedata.normalize("NFKC", text)
