"""What of a text is compared: its letters, marks and digits, in any script."""

import unicodedata


def normalized(text: str) -> str:
    """A text without case, punctuation and layout; as it is where nothing else is in it.

    Compatibility forms (NFKC) and case are folded; only letters, marks and digits are kept, one
    blank between words.

    >>> normalized("  Ｗhy,  then? ")
    'why then'
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    kept = "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in folded)
    return " ".join(kept.split()) or text.strip()
