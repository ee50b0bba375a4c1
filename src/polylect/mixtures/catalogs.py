"""The sample source: the translation catalogs of installed packages, read where they lie.

The message id is the English text. All English messages of a package are sorted and cut into fixed
blocks of 16. A block's messages in one locale make a document, one message per line; the block's
name is its `parallel` key. Blocks depend only on what is installed, never on the requested
languages.
"""

import importlib.metadata
import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import Distribution, PackagePath
from pathlib import Path

from polylect.base import (
    InputError,
    Ledger,
    canonical_tag,
    digest_file,
    digest_of,
    is_registered,
)
from polylect.mixtures._gettext import read_defaults, read_mo
from polylect.mixtures.sources import locale_language
from polylect.rows import Document

BLOCK_MESSAGES = 16
# Used where a package's metadata states no SPDX expression.
_WANTED = {"Django": "BSD-3-Clause", "gramps": "GPL-2.0-or-later",
           "plone.app.locales": "GPL-2.0-only"}  # fmt: skip
_PACKS, _PACKS_LICENSE = "jupyterlab-language-pack-", "BSD-3-Clause"
_CATALOG = re.compile(r"(?:^|/)([A-Za-z_@]+)/LC_MESSAGES/([^/]+)\.mo$")
_SYMBOL = re.compile(r"[a-z0-9.-]*_[a-z0-9_.-]*")
_CJK_MNEMONIC = re.compile(r"\s?[(（]_\w[)）]")
_NO_MNEMONIC = re.compile(r"%\(|[{/<.=]")
_LETTER = re.compile(r"[^\W\d_]")
_PLACEHOLDER = re.compile(r"%(?:\([^()]*\))?[a-zA-Z]|\$?\{[^{}]*\}|<[^<>]*>")

SAMPLE_PACKAGES = tuple(_WANTED)
"""Distributions whose catalogs are the sample text."""

Key = tuple[str, str, str]
"""Domain, context and English message id; unique within a package."""


@dataclass(frozen=True)
class Package:
    """An installed package with catalogs.

    Attributes:
        name: distribution name.
        license: SPDX expression of the catalogs.
        catalogs: (locale, domain, file), sorted, of the default languages: they make the blocks.
        templates: ``.pot`` files with the English text of symbolic message ids.
        further: catalogs of all other languages; read where they are asked for.
    """

    name: str
    license: str
    catalogs: tuple[tuple[str, str, Path], ...]
    templates: tuple[Path, ...] = ()
    further: tuple[tuple[str, str, Path], ...] = ()


@dataclass(frozen=True)
class CatalogSource:
    """Catalogs of gramps, plone.app.locales and Django, and of JupyterLab language packs.

    JupyterLab's packs are optional. gramps and plone.app.locales are under the GPL; every document
    carries its license. GTK mnemonics (``_File``, ``檔案(_F)``) are removed from gramps' messages;
    placeholders and markup stay. Each plural form counts as a message.
    """

    name: str = "catalogues"  # in the files of earlier versions too: a name of data, not of code

    @cached_property
    def digest(self) -> str:
        """Digest of the content of all catalogs."""
        contents = []
        for package in installed_packages():
            files = [
                [locale, domain, digest_file(path)]
                for locale, domain, path in (*package.catalogs, *package.further)
            ]
            templates = [digest_file(path) for path in package.templates]
            contents.append([package.name, files, templates])
        return digest_of(contents)

    @cached_property
    def offered(self) -> frozenset[str]:
        """Tags of all languages that it has text in.

        Raises:
            InputError: a package is not installed.
        """
        locales = {locale for package in installed_packages()
                   for locale, _, _ in (*package.catalogs, *package.further)}  # fmt: skip
        tags = {name(locale) for locale in locales for name in (catalog_tag, canonical_tag)}
        return frozenset({"en", *tags} - {""})

    def documents(self, languages: Collection[str], ledger: Ledger) -> Iterator[Document]:
        """Documents block by block, package by package; each message appears once per language.

        Raises:
            InputError: a package is not installed.
        """
        seen: dict[str, set[str]] = defaultdict(set)
        for package in installed_packages():
            yield from block_documents(package, self.name, frozenset(languages), seen, ledger)


def installed_packages() -> list[Package]:
    """The installed packages whose catalogs are read, sorted by name.

    Raises:
        InputError: gramps, plone.app.locales or Django is not installed.
    """
    packages = [_package(name, license) for name, license in _WANTED.items()]
    missing = [package.name for package in packages if not package.catalogs]
    if missing:
        raise InputError(
            f"the sample text needs packages that are not installed: {', '.join(missing)}",
            "pip install -c constraints.txt '.[sample]'",
        )
    packs = [
        distribution
        for distribution in importlib.metadata.distributions()
        if (distribution.metadata["Name"] or "").lower().replace("_", "-").startswith(_PACKS)
    ]
    catalogs = sorted({catalog for pack in packs for catalog in _catalogs(pack)})
    if catalogs:
        packages.append(Package("jupyterlab", _PACKS_LICENSE, tuple(catalogs)))
    return packages


def _package(name: str, license: str) -> Package:
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return Package(name, license, ())
    stated = distribution.metadata.get_all("License-Expression") or [license]
    files = sorted(distribution.files or [])
    templates = [_located(file) for file in files if file.suffix == ".pot"]
    return Package(
        name,
        stated[0],
        tuple(_catalogs(distribution)),
        tuple(templates),
        tuple(_catalogs(distribution, further=True)),
    )


def _catalogs(distribution: Distribution, *, further: bool = False) -> list[tuple[str, str, Path]]:
    """(locale, domain, file) of every catalog in a default language, or in the further ones.

    Two applications of one package may use the same domain (Django's do): the first file wins where
    both translate a message.
    """
    catalogs = []
    for file in sorted(distribution.files or []):
        match = _CATALOG.search(file.as_posix())
        if match and _is_read(match[1], further=further):
            catalogs.append((match[1], match[2], _located(file)))
    return sorted(catalogs, key=lambda catalog: catalog[:2])


def _is_read(locale: str, *, further: bool) -> bool:
    tag = catalog_tag(locale)
    is_default = locale_language(locale) != ""
    return tag != "" and tag.partition("-")[0] != "en" and is_default != further


def _asked_tag(locale: str, languages: Collection[str]) -> str:
    """The language of a locale: ``pt-BR`` where that was asked for, else ``pt``."""
    exact = canonical_tag(locale)
    return exact if exact in languages else catalog_tag(locale)


def catalog_tag(locale: str) -> str:
    """The language of a catalog's locale, ``pt`` for ``pt_BR`` as the sample text has it.

    Empty for what is no registered language.

    >>> [catalog_tag(locale) for locale in ("pt_BR", "cy", "sr@latin", "es_AR", "xx")]
    ['pt', 'cy', 'sr-Latn', 'es-AR', '']
    """
    if tag := locale_language(locale):
        return tag
    tag = canonical_tag(locale)
    return tag if is_registered(tag) else ""


def _located(file: PackagePath) -> Path:
    path = Path(str(file.locate()))
    if not path.is_file():
        raise InputError(
            f"{path}: missing, although an installed package lists it", "install it again"
        )
    return path


def block_documents(
    package: Package,
    source: str,
    languages: Collection[str],
    seen: dict[str, set[str]],
    ledger: Ledger,
) -> Iterator[Document]:
    """The documents of a package, block by block, English first.

    Args:
        package: the package to read.
        source: `source` field of the documents.
        languages: tags of the languages to read.
        seen: messages seen so far, by language; updated in place.
        ledger: counts every message that is left out.
    """
    english, translated = _read(package, languages)
    order = sorted(english, key=lambda key: (english[key] or (key[2],), key))
    locales = [
        ("en", "en"),
        *sorted((_asked_tag(locale, languages), locale) for locale in translated),
    ]
    locales = [(tag, locale) for tag, locale in locales if tag in languages]
    is_gtk = package.name == "gramps"
    for start in range(0, len(order), BLOCK_MESSAGES):
        block = order[start : start + BLOCK_MESSAGES]
        number = f"{package.name}/{start // BLOCK_MESSAGES:04d}"
        for tag, locale in locales:
            lines: list[str] = []
            for key in block:
                if locale == "en":
                    forms = english[key]
                else:
                    forms = translated[locale].get(key, ())
                if not forms:
                    ledger.count("missing message: no translation", 1, tag)
                original = () if locale == "en" else {*english[key], key[2]}
                for form in forms:
                    line = clean(form, is_gtk)
                    reason = _refusal(line, form in original, seen[tag])
                    ledger.count("read: messages", 1, tag)
                    if reason:
                        ledger.count(f"dropped message: {reason}", 1, tag)
                    else:
                        seen[tag].add(line)
                        lines.append(line)
            if lines:
                yield Document(
                    id=f"{number}/{locale}", language=tag, source=source, text="\n".join(lines),
                    parallel=number, license=package.license,
                )  # fmt: skip


def _read(
    package: Package, languages: Collection[str]
) -> tuple[dict[Key, tuple[str, ...]], dict[str, dict[Key, tuple[str, ...]]]]:
    """English forms of every message (none for an unexplained symbolic id), and translations."""
    defaults: dict[str, str] = {}
    for path in package.templates:
        defaults |= read_defaults(path)
    english: dict[Key, tuple[str, ...]] = {}
    translated: dict[str, dict[Key, tuple[str, ...]]] = defaultdict(dict)
    for locale, domain, path in package.catalogs:
        for key, forms, texts in _messages(domain, path):
            translated[locale].setdefault(key, texts)
            if key not in english:
                meant = defaults.get(forms[0])
                symbolic = _SYMBOL.fullmatch(forms[0]) is not None
                english[key] = (meant,) if meant else () if symbolic else forms
    # What the default languages lack is in no block: blocks do not depend on what is asked for.
    for locale, domain, path in package.further:
        if _asked_tag(locale, languages) in languages:
            for key, _, texts in _messages(domain, path):
                translated[locale].setdefault(key, texts)
    return english, translated


def _messages(domain: str, path: Path) -> Iterator[tuple[Key, tuple[str, ...], tuple[str, ...]]]:
    """Key, English forms and translations of every message of running text in a catalog."""
    for context, forms, texts in read_mo(path):
        # Names of wiki pages and tables of inflected forms are not running text.
        if context != "manual" and not any("|" in text for text in texts):
            yield (domain, context, forms[0]), forms, texts


def clean(message: str, is_gtk: bool) -> str:
    """The message on one line, white space collapsed, its GTK mnemonic removed.

    A mnemonic is removed only where it is unambiguous: a single underscore before a letter, and
    nothing in the message that could be a placeholder, a file name or markup.
    """
    line = " ".join(message.split())
    if is_gtk and line.count("_") == 1 and not _NO_MNEMONIC.search(line):
        line = _CJK_MNEMONIC.sub("", line)
        at = line.find("_")
        if 0 <= at < len(line) - 1 and line[at + 1].isalnum():
            line = line[:at] + line[at + 1 :]
    return line


def _refusal(line: str, is_original: bool, seen: set[str]) -> str:
    """The reason to leave a message out; empty to keep it."""
    if is_original:
        return "untranslated"
    if not _LETTER.search(_PLACEHOLDER.sub("", line)):
        return "no letter"
    return "exact duplicate" if line in seen else ""
