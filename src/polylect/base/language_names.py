"""What is known of a language: names and script from CLDR (Babel), family and class from tables.

Babel is imported when a language is met that is not one of the default ones.
"""

from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from polylect.base.language_tags import UNDETERMINED

if TYPE_CHECKING:
    from babel import Locale

UNKNOWN = "unknown"
"""Family of a language of which none is known."""
UNKNOWN_SCRIPT = "Zzzz"
"""ISO 15924's code for an unknown script."""
NO_CLASS = -1
"""Resource class of a language of which none is known."""

RIGHT_TO_LEFT = frozenset(
    {"Adlm", "Arab", "Aran", "Armi", "Avst", "Chrs", "Cprt", "Elym", "Hatr", "Hebr", "Hung", "Khar",
     "Lydi", "Mand", "Mani", "Mend", "Merc", "Mero", "Narb", "Nbat", "Nkoo", "Orkh", "Ougr", "Palm",
     "Phli", "Phlp", "Phnx", "Prti", "Rohg", "Samr", "Sarb", "Sogd", "Sogo", "Syrc", "Syre", "Syrj",
     "Syrn", "Thaa", "Yezi"}
)  # fmt: skip
"""Scripts written from right to left, by CLDR's script metadata."""


def direction_of(script: str) -> str:
    """``rtl`` or ``ltr``."""
    return "rtl" if script in RIGHT_TO_LEFT else "ltr"


def likely_script(tag: str) -> str:
    """The script that a tag states, else the likeliest by CLDR; ``Zzzz`` where nobody knows.

    >>> likely_script("sr"), likely_script("sr-Latn"), likely_script("x-mine")
    ('Cyrl', 'Latn', 'Zzzz')
    """
    base, script, region = parts_of(tag)
    if script:
        return script
    if tag == "zh":
        return "Hani"  # either of two: see ``language``
    if base in UNDETERMINED or not base:
        return UNKNOWN_SCRIPT
    from babel.core import get_global

    likely = get_global("likely_subtags")
    full = (region and likely.get(f"{base}_{region}")) or likely.get(base, "")
    return full.split("_")[1] if full else UNKNOWN_SCRIPT


@cache
def scripts_of(base: str) -> frozenset[str]:
    """The scripts in which a language is written somewhere, by CLDR's likely subtags.

    >>> sorted(scripts_of("uz"))
    ['Arab', 'Cyrl', 'Latn']
    """
    from babel.core import get_global

    likely = get_global("likely_subtags")
    return frozenset(
        full.split("_")[1]
        for key, full in likely.items()
        if key == base or key.startswith(f"{base}_")
    )


def parts_of(tag: str) -> tuple[str, str, str]:
    """Language, script and region of a canonical tag; empty where it states none.

    >>> parts_of("sr-Latn-RS"), parts_of("x-mine"), parts_of("de-1996")
    (('sr', 'Latn', 'RS'), ('', '', ''), ('de', '', ''))
    """
    base, *rest = tag.split("-")
    if base == "x":
        return "", "", ""
    script = region = ""
    for part in rest:
        if len(part) == 1:
            break
        if len(part) == 4 and part.isalpha() and not script:
            script = part
        elif (len(part) == 2 or (len(part) == 3 and part.isdigit())) and not region:
            region = part
    return base, script, region


def english_name(tag: str) -> str:
    """English name; the tag itself where CLDR has none."""
    base, script, region = parts_of(tag)
    english = _locale("en")
    assert english is not None
    name = english.languages.get(base)
    return tag if name is None else _with_details(name, english, tag, script, region)


def names_of(tag: str) -> tuple[str, str]:
    """English name and endonym; the tag itself where CLDR has none."""
    base, script, region = parts_of(tag)
    english = _locale("en")
    assert english is not None
    name = english.languages.get(base)
    if name is None:
        return tag, tag
    locale = next(
        filter(None, (_locale("_".join(filter(None, form))) for form in ((base, script), (base,)))),
        None,
    )
    endonym = locale.languages.get(base, name) if locale is not None else name
    if locale is None:
        locale = english
    return (
        english_name(tag),
        _with_details(_capitalized(endonym), locale, tag, script, region),
    )


def _with_details(name: str, locale: "Locale", tag: str, script: str, region: str) -> str:
    details = [
        names.get(code, code)
        for names, code in ((locale.scripts, script), (locale.territories, region))
        if code
    ]
    other = [part for part in tag.split("-")[1:] if part not in {script, region}]
    return f"{name} ({', '.join(details + other)})" if details or other else name


def _capitalized(name: str) -> str:
    """As in a list: the first letter in capitals, unless the language has its capital within."""
    return name if any(letter.isupper() for letter in name[1:4]) else name[:1].upper() + name[1:]


@lru_cache(maxsize=256)
def _locale(name: str) -> "Locale | None":
    from babel import Locale, UnknownLocaleError

    try:
        return Locale.parse(name)
    except (UnknownLocaleError, ValueError):
        return None


def family_of(tag: str) -> str:
    """The top-level family by Glottolog; ``unknown`` where it has none."""
    return _table("language_families.txt").get(tag.partition("-")[0], UNKNOWN)


def class_of(tag: str) -> int:
    """The resource class by Joshi et al. 2020; -1 where the list lacks the language."""
    return int(_table("language_classes.txt").get(tag.partition("-")[0], NO_CLASS))


@cache
def _table(name: str) -> dict[str, str]:
    groups: dict[str, str] = {}
    for line in (Path(__file__).parent / name).read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            label, _, tags = line.partition("\t")
            groups |= dict.fromkeys(tags.split(), label)
    return groups


def is_registered(tag: str) -> bool:
    """Whether every part of a tag is registered, or private use.

    A language that ISO 639-3 has and an older registry of langcodes has not (``tok``) is known
    from Glottolog.
    """
    import langcodes

    if langcodes.Language.get(tag, normalize=False).is_valid():
        return True
    base, _, rest = tag.partition("-")
    others = f"en-{rest}" if rest else "en"
    is_valid = langcodes.Language.get(others, normalize=False).is_valid()
    return family_of(base) != UNKNOWN and is_valid
