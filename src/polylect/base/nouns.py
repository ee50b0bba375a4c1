"""Numbers with their nouns."""


def numbered(num: int, noun: str, plural: str = "") -> str:
    """A number with its noun, in the plural unless it is one.

    >>> numbered(1, "run"), numbered(1200, "run"), numbered(2, "kind of text", "kinds of text")
    ('1 run', '1,200 runs', '2 kinds of text')
    """
    return f"{num:,} {noun if num == 1 else plural or noun + 's'}"
