"""Tags of languages: from what people write to one canonical BCP-47 tag, by stated rules.

``docs/concepts/languages.md`` states the rules. langcodes parses the tags and knows CLDR's aliases;
it is imported when a tag is met that is not one of the default languages'.
"""

import re
from functools import lru_cache

MOST_CHARACTERS = 80
"""A longer text is no tag: the longest that RFC 5646 foresees has 35 characters."""
UNDETERMINED = frozenset({"und", "mul", "mis", "zxx"})
"""Codes that name no language: undetermined, several, uncoded, none."""
_SPECIAL = {"no": "nb", "pbt": "ps"}
_HANT_REGIONS = frozenset({"TW", "HK", "MO"})
# de_DE.UTF-8, sr_RS@latin, ca_ES@valencia: POSIX locales.
_LOCALE = re.compile(r"([A-Za-z]{2,3}(?:[_-][A-Za-z]{2})?)(?:\.[\w-]+)?(?:@(\w+))?")
_MODIFIERS = {"latin": "Latn", "cyrillic": "Cyrl", "devanagari": "Deva", "arabic": "Arab"}


@lru_cache(maxsize=4096)
def standard_tag(text: str) -> str | None:
    """The canonical tag of a tag, code, locale or name of a language; None if it is none of them.

    Case and separators do not matter. ISO 639-3 codes become ISO 639-1 where there is one, the
    leading language of a macrolanguage becomes the macrolanguage (``arb`` is ``ar``, ``arz``
    stays), ``no`` is ``nb``, ``pbt`` is ``ps``, a Chinese region says the script. Any other region
    stays. What is well-formed stays as it is where no registry knows it. English names and
    endonyms are found too.

    >>> [standard_tag(text) for text in ("DEU", "pt_br", "x-mine", "Cymraeg", "zh_TW", "a tag!")]
    ['de', 'pt-BR', 'x-mine', 'cy', 'zh-Hant', None]
    """
    plain = _without_locale(text.strip())
    if not plain or len(plain) > MOST_CHARACTERS:
        return None
    tag = plain.replace("_", "-")
    primary = tag.partition("-")[0].lower()
    if (len(primary) in {2, 3} and primary.isascii() and primary.isalpha()) or primary in {
        "x",
        "i",
    }:
        return _parsed(tag)
    return _named(plain)


def _without_locale(text: str) -> str:
    """A POSIX locale as a tag: without its encoding, its modifier as script or variant."""
    match = _LOCALE.fullmatch(text)
    if match is None or text == match[1]:
        return text
    tag, modifier = match[1].replace("_", "-"), (match[2] or "").lower()
    script = _MODIFIERS.get(modifier, modifier if len(modifier) == 4 else "")
    if script and modifier != "euro":
        base, _, region = tag.partition("-")
        return "-".join(part for part in (base, script, region) if part)
    return f"{tag}-{modifier}" if len(modifier) > 4 else tag


def _parsed(tag: str) -> str | None:
    import langcodes
    from langcodes.tag_parser import LanguageTagError

    try:
        standard = langcodes.standardize_tag(tag, macro=True)
        parts = langcodes.Language.get(standard, normalize=False)
    except (LanguageTagError, ValueError):
        return None
    base, _, rest = standard.partition("-")
    base = _SPECIAL.get(base, base)
    if (
        base == "zh"
        and parts.script in {None, "Hans", "Hant"}
        and (parts.script or parts.territory)
    ):
        hant = parts.script == "Hant" or (not parts.script and parts.territory in _HANT_REGIONS)
        return "zh-Hant" if hant else "zh-Hans"
    return f"{base}-{rest}" if rest else base


def _named(name: str) -> str | None:
    """The tag of a language by its English name or its endonym, exactly, but for case."""
    import langcodes

    if not name[:1].isalpha():
        return None
    try:
        language = langcodes.find(name)
    except LookupError:
        return None
    names = (language.display_name("en"), language.autonym())
    return _parsed(language.to_tag()) if name.casefold() in map(str.casefold, names) else None
