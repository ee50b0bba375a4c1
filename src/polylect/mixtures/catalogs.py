"""The sample source: the translation catalogs of installed packages, read where they lie.

English is the message id. All English messages of a package are sorted and cut into fixed blocks
of 16; a block's messages in one locale are a document, one message a line, and the block's name is
what the document shares with its translations. Blocks depend only on what is installed, never on
the languages asked for.
"""

import importlib.metadata
import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import Distribution, PackagePath
from pathlib import Path

from polylect.base import InputError, Ledger, digest_file, digest_of
from polylect.mixtures._gettext import read_defaults, read_mo
from polylect.mixtures.sources import locale_language
from polylect.rows import Document

BLOCK_MESSAGES = 16
# What each package says itself comes first; these are for metadata that does not say it in SPDX.
_WANTED = {"Django": "BSD-3-Clause", "gramps": "GPL-2.0-or-later",
           "plone.app.locales": "GPL-2.0-only"}  # fmt: skip
_PACKS, _PACKS_LICENSE = "jupyterlab-language-pack-", "BSD-3-Clause"
_CATALOG = re.compile(r"(?:^|/)([A-Za-z_@]+)/LC_MESSAGES/([^/]+)\.mo$")
_SYMBOL = re.compile(r"[a-z0-9.-]*_[a-z0-9_.-]*")
_CJK_MNEMONIC = re.compile(r"\s?[(（]_\w[)）]")
_NO_MNEMONIC = re.compile(r"%\(|[{/<.=]")
_LETTER = re.compile(r"[^\W\d_]")
_PLACEHOLDER = re.compile(r"%(?:\([^()]*\))?[a-zA-Z]|\$?\{[^{}]*\}|<[^<>]*>")

Key = tuple[str, str, str]
"""Domain, context and English message id: what a message is called within its package."""


@dataclass(frozen=True)
class Package:
    """An installed package with catalogs.

    Attributes:
        name: as it is installed.
        license: of its catalogs.
        catalogs: locale, domain and file, in order; only locales of the product's languages.
        templates: files that say what symbolic message ids mean in English.
    """

    name: str
    license: str
    catalogs: tuple[tuple[str, str, Path], ...]
    templates: tuple[Path, ...] = ()


@dataclass(frozen=True)
class CatalogSource:
    """Catalogs of gramps, plone.app.locales and Django, and of JupyterLab language packs.

    JupyterLab's packs are optional. gramps and plone.app.locales are under the GPL; every document
    says its license. GTK mnemonics (``_File``, ``檔案(_F)``) are taken out of gramps' messages,
    placeholders and markup stay. Every plural form is a message.
    """

    name: str = "catalogs"

    @cached_property
    def digest(self) -> str:
        """Digest of the content of all catalogs in the product's languages."""
        found = []
        for one in installed_packages():
            files = [[locale, domain, digest_file(path)] for locale, domain, path in one.catalogs]
            found.append([one.name, files, [digest_file(path) for path in one.templates]])
        return digest_of(found)

    def documents(self, languages: Collection[str], ledger: Ledger) -> Iterator[Document]:
        """Blocks of messages, package by package; a message comes once in a language.

        Raises:
            InputError: a package is not installed.
        """
        seen: dict[str, set[str]] = defaultdict(set)
        for package in installed_packages():
            yield from block_documents(package, self.name, frozenset(languages), seen, ledger)


def installed_packages() -> list[Package]:
    """The packages whose catalogs are read, in order of names.

    Raises:
        InputError: gramps, plone.app.locales or Django is not installed.
    """
    found = [_package(name, license) for name, license in _WANTED.items()]
    missing = [name for name, one in zip(_WANTED, found, strict=True) if not one.catalogs]
    if missing:
        raise InputError(
            f"the sample text needs packages that are not installed: {', '.join(missing)}",
            "pip install -c constraints.txt '.[sample]'",
        )
    packs = [
        one
        for one in importlib.metadata.distributions()
        if (one.metadata["Name"] or "").lower().replace("_", "-").startswith(_PACKS)
    ]
    catalogs = sorted({one: None for pack in packs for one in _catalogs(pack)})
    if catalogs:
        found.append(Package("jupyterlab", _PACKS_LICENSE, tuple(catalogs)))
    return found


def _package(name: str, license: str) -> Package:
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return Package(name, license, ())
    stated = distribution.metadata.get_all("License-Expression") or [license]
    files = sorted(distribution.files or [])
    templates = [_located(one) for one in files if one.suffix == ".pot"]
    return Package(name, stated[0], tuple(_catalogs(distribution)), tuple(templates))


def _catalogs(distribution: Distribution) -> list[tuple[str, str, Path]]:
    """Locale, domain and file, by the package's own list of files.

    An application's catalog may have the name of another's (Django's): they are one domain, and
    the first file counts where both have a message.
    """
    found = []
    for file in sorted(distribution.files or []):
        match = _CATALOG.search(file.as_posix())
        if match and locale_language(match[1]) not in {"", "en"}:
            found.append((match[1], match[2], _located(file)))
    return sorted(found, key=lambda one: one[:2])


def _located(file: PackagePath) -> Path:
    path = Path(str(file.locate()))
    if not path.is_file():
        raise InputError(f"{path}: a package lists this file, but it is gone", "install it again")
    return path


def block_documents(
    package: Package,
    source: str,
    languages: Collection[str],
    seen: dict[str, set[str]],
    ledger: Ledger,
) -> Iterator[Document]:
    """A package's blocks in every wanted language, English first.

    Args:
        package: what to read.
        source: what the documents carry as their source.
        languages: tags.
        seen: messages that a language had already; it grows.
        ledger: counts what is left out, message by message.
    """
    english, translated = _read(package)
    order = sorted(english, key=lambda key: (english[key] or (key[2],), key))
    locales = [("en", "en"), *sorted((locale_language(one), one) for one in translated)]
    locales = [one for one in locales if one[0] in languages]
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
    package: Package,
) -> tuple[dict[Key, tuple[str, ...]], dict[str, dict[Key, tuple[str, ...]]]]:
    """English forms of every message (none for a symbol without meaning), and those of locales."""
    defaults: dict[str, str] = {}
    for path in package.templates:
        defaults |= read_defaults(path)
    english: dict[Key, tuple[str, ...]] = {}
    translated: dict[str, dict[Key, tuple[str, ...]]] = defaultdict(dict)
    for locale, domain, path in package.catalogs:
        for context, forms, texts in read_mo(path):
            # Names of wiki pages, and lists of a word's inflected forms: not text that one reads.
            if context == "manual" or any("|" in one for one in texts):
                continue
            key = (domain, context, forms[0])
            translated[locale].setdefault(key, texts)
            if key not in english:
                meant = defaults.get(forms[0])
                symbolic = _SYMBOL.fullmatch(forms[0]) is not None
                english[key] = (meant,) if meant else () if symbolic else forms
    return english, translated


def clean(message: str, is_gtk: bool) -> str:
    """The message on one line, white space collapsed; without its GTK mnemonic where that is plain.

    Plain means: one underscore before a letter, and nothing in the message that could be a
    placeholder, a file name or markup.
    """
    line = " ".join(message.split())
    if is_gtk and line.count("_") == 1 and not _NO_MNEMONIC.search(line):
        line = _CJK_MNEMONIC.sub("", line)
        at = line.find("_")
        if 0 <= at < len(line) - 1 and line[at + 1].isalnum():
            line = line[:at] + line[at + 1 :]
    return line


def _refusal(line: str, is_original: bool, seen: set[str]) -> str:
    """Why a message is left out, or nothing."""
    if is_original:
        return "untranslated"
    if not _LETTER.search(_PLACEHOLDER.sub("", line)):
        return "no letter"
    return "exact duplicate" if line in seen else ""
