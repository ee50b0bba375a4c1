"""Languages as data: any well-formed BCP-47 tag, with what is known of it from named sources.

``docs/concepts/languages.md`` states the sources, and the rules by which a tag is read.

The 23 languages of Aya 23 (Aryabumi et al. 2024, section 2) are the default set where one is
needed, and no bound. They stand here as a table, so that the common case imports nothing.
"""

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache

from polylect.base.decoding import did_you_mean
from polylect.base.errors import InputError
from polylect.base.language_names import (
    NO_CLASS,
    UNKNOWN,
    class_of,
    direction_of,
    family_of,
    is_registered,
    likely_script,
    names_of,
)
from polylect.base.language_tags import MOST_CHARACTERS, standard_tag
from polylect.base.languages_file import ENVIRONMENT, stated_languages, tag_of_name


@dataclass(frozen=True, slots=True, order=True)
class Language:
    """One language, in one script where its tag states or implies one.

    Attributes:
        tag: canonical BCP-47 tag, e.g. ``de``, ``zh-Hant`` or ``x-mine``; the key in every table.
        name: English name (CLDR); the tag where there is none.
        endonym: what its speakers call it, in its script (CLDR).
        script: ISO 15924 code of its script; ``Zzzz`` where none is known.
        family: top-level family (Glottolog); ``unknown`` where none is known.
        resource_class: Joshi et al. 2020, from 0 to 5; -1 where none is known.
        direction: ``rtl`` or ``ltr``, for the ``dir`` of a page.
    """

    tag: str
    name: str
    endonym: str
    script: str
    family: str
    resource_class: int
    direction: str = "ltr"

    @property
    def class_name(self) -> str:
        """The resource class in words: a digit, or ``unknown``."""
        return UNKNOWN if self.resource_class == NO_CLASS else str(self.resource_class)

    def __str__(self) -> str:
        return self.tag


_TABLE = """
ar      Arabic                Arab Afro-Asiatic   5 العربية
cs      Czech                 Latn Indo-European  4 Čeština
de      German                Latn Indo-European  5 Deutsch
el      Greek                 Grek Indo-European  3 Ελληνικά
en      English               Latn Indo-European  5 English
es      Spanish               Latn Indo-European  5 Español
fa      Persian               Arab Indo-European  4 فارسی
fr      French                Latn Indo-European  5 Français
he      Hebrew                Hebr Afro-Asiatic   3 עברית
hi      Hindi                 Deva Indo-European  4 हिन्दी
id      Indonesian            Latn Austronesian   3 Bahasa~Indonesia
it      Italian               Latn Indo-European  4 Italiano
ja      Japanese              Jpan Japonic        5 日本語
ko      Korean                Kore Koreanic       4 한국어
nl      Dutch                 Latn Indo-European  4 Nederlands
pl      Polish                Latn Indo-European  4 Polski
pt      Portuguese            Latn Indo-European  4 Português
ro      Romanian              Latn Indo-European  3 Română
ru      Russian               Cyrl Indo-European  4 Русский
tr      Turkish               Latn Turkic         4 Türkçe
uk      Ukrainian             Cyrl Indo-European  3 Українська
vi      Vietnamese            Latn Austroasiatic  4 Tiếng~Việt
zh-Hans Chinese~(simplified)  Hans Sino-Tibetan   5 简体中文
zh-Hant Chinese~(traditional) Hant Sino-Tibetan   5 繁體中文
"""


def _read_table(table: str) -> dict[str, Language]:
    languages: dict[str, Language] = {}
    for line in table.split("\n"):
        if line:
            tag, name, script, family, resource, endonym = (
                word.replace("~", " ") for word in line.split()
            )
            languages[tag] = Language(
                tag, name, endonym, script, family, int(resource), direction_of(script)
            )
    return languages


LANGUAGES: dict[str, Language] = _read_table(_TABLE)
"""The 23 languages (24 entries: Chinese has two scripts), by tag: the default set, no bound."""

CODE = Language("code", "program code", "code", "Zyyy", "none", NO_CLASS)
"""Program text: a pseudo-language with a column in every table, no script and no speakers."""

# The same languages in file and folder names, other tag systems and older standards.
_ALIASES = {
    "zh": "zh-Hans", "zh-cn": "zh-Hans", "zh-sg": "zh-Hans", "zho-cn": "zh-Hans",
    "zho-hans": "zh-Hans", "cmn-hans": "zh-Hans", "zho": "zh-Hans", "cmn": "zh-Hans",
    "zh-tw": "zh-Hant", "zh-hk": "zh-Hant", "zh-mo": "zh-Hant", "zho-tw": "zh-Hant",
    "zho-hant": "zh-Hant", "cmn-hant": "zh-Hant", "zh-hant-hk": "zh-Hant",
    "pt-br": "pt", "pt-pt": "pt", "por-br": "pt", "iw": "he", "in": "id", "fa-ir": "fa",
    "ara": "ar", "arb": "ar", "ces": "cs", "deu": "de", "ell": "el", "eng": "en", "spa": "es",
    "fas": "fa", "pes": "fa", "fra": "fr", "heb": "he", "hin": "hi", "ind": "id", "ita": "it",
    "jpn": "ja", "kor": "ko", "nld": "nl", "pol": "pl", "por": "pt", "ron": "ro", "rus": "ru",
    "tur": "tr", "ukr": "uk", "vie": "vi", "en-us": "en", "en-gb": "en",
}  # fmt: skip
_LOWER = {tag.lower(): tag for tag in LANGUAGES} | _ALIASES | {"code": "code"}
# A locale's region stays part of the tag; only where a name may or may not be a language it goes.
_MISSING = frozenset({"nan", "inf"})
_REGIONAL = frozenset({"pt-br", "pt-pt", "por-br", "fa-ir", "en-us", "en-gb"})


def find_language(text: str) -> Language | None:
    """The one of the 23 languages that a tag, alias or locale name stands for, or None.

    For names that need not be languages, such as folder names, where ``my`` or ``so`` would be a
    wrong guess; use ``language`` for text that must be a language. A bare ``zh`` is simplified
    Chinese (CLDR's likely script). English names are not recognized.

    >>> str(find_language("zh_TW")), str(find_language("pt_BR")), find_language("my")
    ('zh-Hant', 'pt', None)
    """
    tag = _LOWER.get(_plain(text))
    return CODE if tag == "code" else LANGUAGES.get(tag) if tag else None


def _plain(text: str) -> str:
    return text.strip().replace("_", "-").lower()


def canonical_tag(text: str, where: str = "") -> str:
    """The canonical tag of a language: the form in which it is written everywhere.

    ``zh`` stays as it is, a language with a script unsaid, where ``language`` reads the likeliest.

    >>> canonical_tag("DE "), canonical_tag("pt_BR"), canonical_tag("zh"), canonical_tag("zh-hant")
    ('de', 'pt-BR', 'zh', 'zh-Hant')

    Raises:
        InputError: as for ``language``.
    """
    if text == "zh" or text in LANGUAGES:
        return text
    return _canonical(text, where, os.environ.get(ENVIRONMENT, ""))


def language(text: str, where: str = "") -> Language:
    """The language of a tag, code, locale or name, or program code; a bare ``zh`` is ``zh-Hans``.

    Args:
        text: BCP-47 tag, ISO 639-3 code, locale, English name or endonym.
        where: file or option; the error message begins with it.

    Raises:
        InputError: the text is no tag and no name of a language.

    >>> language("cym").name, language("sr-Latn").script, language("x-mine").family
    ('Welsh', 'Latn', 'unknown')
    """
    return described(_canonical(text, where, os.environ.get(ENVIRONMENT, "")))


@lru_cache(maxsize=4096)
def _canonical(text: str, where: str, languages_file: str) -> str:
    plain = _plain(text)
    default = None if plain in _REGIONAL else _LOWER.get(plain)
    if default is not None:
        return default
    prefix = f"{where}: " if where else ""
    if not text.strip():
        raise InputError(f"{prefix}the language is empty", "give a tag such as cy")
    if plain in _MISSING:
        raise InputError(f"{prefix}language {text!r} is what a missing value is written as",
                         "give a tag such as cy; Min Nan is nan-Hant or nan-Latn")  # fmt: skip
    tag = standard_tag(text) or (tag_of_name(text) if languages_file else None)
    if tag is not None:
        return "zh-Hans" if tag == "zh" else tag
    if len(text) > MOST_CHARACTERS:
        text = f"{text[:40]}…"
    names = {language.name: language.tag for language in LANGUAGES.values()}
    raise InputError(
        f"{prefix}unknown language {text!r}: no tag, and no name of one",
        did_you_mean(text, [*LANGUAGES, *names, CODE.tag])
        or "give a tag such as cy, sr-Latn or x-mine; polylect languages lists some",
    )


def described(tag: str) -> Language:
    """What is known of the language of a canonical tag; of a bare ``zh`` too.

    >>> described("zh").script, described("gl").endonym, described("ur").direction
    ('Hani', 'Galego', 'rtl')
    """
    return _described(tag, os.environ.get(ENVIRONMENT, ""))


@lru_cache(maxsize=4096)
def _described(tag: str, languages_file: str) -> Language:
    known = CODE if tag == CODE.tag else LANGUAGES.get(tag)
    stated = stated_languages().get(tag) if languages_file else None
    if known is None:
        name, endonym = names_of(tag)
        script = likely_script(tag)
        known = Language(
            tag, name, endonym, script, family_of(tag), class_of(tag), direction_of(script)
        )
    if stated is None:
        return known
    script = stated.script or known.script
    name = stated.name or known.name
    resource_class = stated.resource_class
    return Language(
        tag,
        name,
        stated.endonym or (known.endonym if known.endonym != tag else name),
        script,
        stated.family or known.family,
        known.resource_class if resource_class is None else resource_class,
        stated.direction or direction_of(script),
    )


def fallback_tags(tag: str) -> tuple[str, ...]:
    """A tag, then the more general ones under which data on it may be kept, nearest first.

    By RFC 4647's lookup: parts are dropped from the end, but a script never, unless it is the
    likeliest one of what remains. A ``zh`` without a script falls back to the likeliest.

    >>> fallback_tags("pt-BR"), fallback_tags("sr-Latn-RS"), fallback_tags("sr-Cyrl")
    (('pt-BR', 'pt'), ('sr-Latn-RS', 'sr-Latn'), ('sr-Cyrl', 'sr'))
    """
    if tag == "zh":
        return ("zh", "zh-Hans")
    if tag in LANGUAGES or tag == CODE.tag or tag.startswith("x-"):
        return (tag,)
    script = likely_script(tag)
    tags, parts = [tag], tag.split("-")
    while len(parts) > 1:
        parts = parts[:-1]
        if len(parts[-1]) == 1:
            continue  # a singleton begins what was dropped
        shorter = "-".join(parts)
        if likely_script(shorter) == script:
            tags.append(shorter)
    return tuple(tags)


def nearest_tag(tag: str, tags: Collection[str]) -> str | None:
    """The first of ``fallback_tags`` that is among some tags; None if none is.

    >>> nearest_tag("pt-BR", {"pt", "de"}), nearest_tag("sr-Latn", {"sr"})
    ('pt', None)
    """
    return next((candidate for candidate in fallback_tags(tag) if candidate in tags), None)


def reading_notes(texts: Iterable[str]) -> list[str]:
    """What was made of each text that does not say its canonical tag, for people to read.

    >>> reading_notes(["de", "zh", "PT_br", "no", "Welsh"])[:2]
    ['zh is read as zh-Hans: of a script unsaid the likeliest', 'no is read as nb']
    """
    notes = []
    for text in dict.fromkeys(texts):
        tag = language(text).tag
        plain = text.strip().replace("_", "-")
        if _plain(text) == "zh":
            notes.append(f"{plain} is read as {tag}: of a script unsaid the likeliest")
        elif plain.lower() != tag.lower():
            notes.append(f"{plain} is read as {tag}")
        elif tag not in LANGUAGES and tag != CODE.tag and not is_registered(tag):
            near = did_you_mean(tag, LANGUAGES)
            notes.append(f"{tag} is in no registry of languages: taken as it is"
                         + (f" ({near})" if near else ""))  # fmt: skip
    return notes
