"""Lexical measures of a text that work for any language: variety and density of its words.

Words are ``text.split_words`` in lower case, without the punctuation around them; numbers and what
a translation must keep are no words.
"""

import unicodedata
from collections import Counter, deque
from collections.abc import Iterable, Sequence

from polylect.feedback.translation.keeping import without_kept
from polylect.text import split_words

WINDOW = 50
"""Words of the windows of the moving-average type-token ratio."""
FUNCTION_SHARE, MOST_FUNCTION_WORDS = 0.4, 150
"""Function words are the most frequent ones that make up this share of the running words, at most
so many: no list of them and no tagger is needed, and any language has them."""


def words_of(text: str) -> list[str]:
    """The words of a text.

    >>> words_of("Don't go, it's {name}'s 3rd 我喜欢。")
    ["don't", 'go', "it's", 's', '3rd', '我', '喜欢']
    """
    words = (_bare(word) for word in split_words(without_kept(text).casefold()))
    return [word for word in words if any(map(str.isalpha, word))]


def _bare(word: str) -> str:
    start, end = 0, len(word)
    while start < end and unicodedata.category(word[start])[0] not in "LMN":
        start += 1
    while end > start and unicodedata.category(word[end - 1])[0] not in "LMN":
        end -= 1
    return word[start:end]


def moving_ttr(words: Sequence[str], window: int = WINDOW) -> float | None:
    """Mean share of distinct words in all windows of so many words (Covington and McFall 2010).

    Unlike the ratio over a whole text it does not fall with its length. None for fewer words.

    >>> moving_ttr(["a", "b", "a", "a"], 2)
    0.8333333333333334
    """
    if len(words) < window:
        return None
    inside: deque[str] = deque()
    counts: Counter[str] = Counter()
    total = 0
    for word in words:
        inside.append(word)
        counts[word] += 1
        if len(inside) > window:
            first = inside.popleft()
            counts[first] -= 1
            if not counts[first]:
                del counts[first]
        if len(inside) == window:
            total += len(counts)
    return total / window / (len(words) - window + 1)


def function_words(texts: Iterable[Sequence[str]]) -> frozenset[str]:
    """The function words of a language, induced from texts of all groups that are compared.

    The most frequent words, until they make up 40 % of the running words, at most 150; equally
    frequent ones in the order of the alphabet. In small or narrow samples words of the topic are
    among them: give both sides of a comparison together.

    Args:
        texts: words of every text.
    """
    counts = Counter(word for words in texts for word in words)
    total, covered = counts.total(), 0
    chosen = []
    for word, num in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if covered >= FUNCTION_SHARE * total or len(chosen) == MOST_FUNCTION_WORDS:
            break
        chosen.append(word)
        covered += num
    return frozenset(chosen)


def lexical_density(words: Sequence[str], function: frozenset[str]) -> float | None:
    """Share of words that are no function words (Ure 1971, with induced ones); None without words.

    >>> lexical_density(["the", "cat", "sleeps"], frozenset({"the"}))
    0.6666666666666666
    """
    if not words:
        return None
    return sum(word not in function for word in words) / len(words)
