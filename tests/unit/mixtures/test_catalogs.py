import importlib.metadata
import pickle
import struct
from collections import defaultdict

import pytest

from polylect.base import LANGUAGES, InputError, Ledger
from polylect.mixtures import CatalogSource
from polylect.mixtures._gettext import read_defaults, read_mo
from polylect.mixtures.catalogs import Package, block_documents, clean, installed_packages
from polylect.mixtures.sources import locale_language


def _mo(path, messages, order="<"):
    """A compiled catalog, as msgfmt writes it."""
    pairs = sorted((key.encode(), text.encode()) for key, text in messages.items())
    start = 28 + 16 * len(pairs)
    tables, blob = [b"", b""], b""
    for side in (0, 1):
        for pair in pairs:
            tables[side] += struct.pack(f"{order}2I", len(pair[side]), start + len(blob))
            blob += pair[side] + b"\0"
    head = struct.pack(f"{order}7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    path.write_bytes(head + tables[0] + tables[1] + blob)
    return path


def _package(tmp_path, **locales):
    catalogs = tuple(
        (locale, "app", _mo(tmp_path / f"{locale}.mo", {"": "header"} | messages))
        for locale, messages in sorted(locales.items())
    )
    return Package("app", "MIT", catalogs)


def _blocks(package, languages=tuple(LANGUAGES), seen=None):
    ledger = Ledger()
    seen = defaultdict(set) if seen is None else seen
    return list(block_documents(package, "catalogs", languages, seen, ledger)), ledger


@pytest.mark.parametrize("order", ["<", ">"])
def test_contexts_and_plurals_are_read(order, tmp_path):
    messages = {"": "header", "menu\x04Open": "Öffnen", "%d dog\x00%d dogs": "%d Hund\x00%d Hunde"}
    found = list(read_mo(_mo(tmp_path / "a.mo", messages, order)))
    assert found == [
        ("", ("%d dog", "%d dogs"), ("%d Hund", "%d Hunde")),
        ("menu", ("Open",), ("Öffnen",)),
    ]


@pytest.mark.parametrize("data", [b"", b"not a catalog at all, but long enough", b"\xde\x12\x04"])
def test_a_broken_catalog_is_one_line(data, tmp_path):
    path = tmp_path / "a.mo"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.mo: not a message catalog") as error:
        list(read_mo(path))
    assert "\n" not in str(error.value)


def test_a_catalog_cut_short_is_refused(tmp_path):
    path = _mo(tmp_path / "a.mo", {"Open": "Öffnen"})
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="cut short"):
        list(read_mo(path))


def test_defaults_give_symbols_their_meaning(tmp_path):
    path = tmp_path / "a.pot"
    path.write_text(
        '#. Default: "Owner of \\"it\\""\n#: a.py:1\nmsgid "label_owner"\nmsgstr ""\n\n'
        '#. Default: "Long "\n#. "text"\nmsgid ""\n"label_"\n"long"\nmsgstr ""\n\n'
        'msgid "Plain"\nmsgstr ""\n',
        encoding="utf-8",
    )
    assert read_defaults(path) == {"label_owner": 'Owner of "it"', "label_long": "Long text"}


def test_translations_share_a_block_and_english_is_the_id(tmp_path):
    numbered = {f"Message {number:02d}": number for number in range(20)}
    package = _package(
        tmp_path,
        de={key: f"Nachricht {number:02d}" for key, number in numbered.items()},
        fr={"Message 17": "Avis 17"},
    )
    documents, ledger = _blocks(package)
    by_id = {one.id: one for one in documents}
    assert set(by_id) == {"app/0000/en", "app/0000/de", "app/0001/en", "app/0001/de", "app/0001/fr"}
    assert by_id["app/0001/fr"].text == "Avis 17"
    assert by_id["app/0001/fr"].parallel == by_id["app/0001/en"].parallel == "app/0001"
    assert by_id["app/0000/de"].text.splitlines()[3] == "Nachricht 03"
    assert by_id["app/0000/en"].text.splitlines()[3] == "Message 03"
    assert by_id["app/0000/de"].license == "MIT"
    assert ledger.by_event() == {
        "missing message: no translation": 19,
        "read: messages": 41,
    }


def test_the_languages_asked_for_do_not_move_blocks(tmp_path):
    package = _package(tmp_path, de={"One": "Eins", "Two": "Zwei"}, fr={"Three": "Trois"})
    everything, _ = _blocks(package)
    german, _ = _blocks(package, ("de",))
    assert german == [one for one in everything if one.language == "de"]


def test_what_is_left_out_is_counted(tmp_path):
    package = _package(
        tmp_path,
        de={
            "Same": "Same",
            "One": "Eins",
            "The one": "Eins",
            "%d": "%d!",
            "manual\x04Page": "Seite",
        },
    )
    documents, ledger = _blocks(package, ("de",))
    assert [one.text for one in documents] == ["Eins"]
    assert ledger.by_event() == {
        "dropped message: exact duplicate": 1,
        "dropped message: no letter": 1,
        "dropped message: untranslated": 1,
        "read: messages": 4,
    }


def test_both_portugueses_and_both_scripts_count(tmp_path):
    package = _package(
        tmp_path, pt_BR={"File": "Arquivo"}, pt_PT={"File": "Ficheiro"}, zh_TW={"File": "檔案"}
    )
    documents, _ = _blocks(package, ("pt", "zh-Hant"))
    assert [(one.id, one.language) for one in documents] == [
        ("app/0000/pt_BR", "pt"),
        ("app/0000/pt_PT", "pt"),
        ("app/0000/zh_TW", "zh-Hant"),
    ]
    assert len({one.parallel for one in documents}) == 1


@pytest.mark.parametrize(
    ("locale", "tag"),
    [("de", "de"), ("de_DE", "de"), ("de_CH", ""), ("pt_BR", "pt"), ("zh_Hant", "zh-Hant"),
     ("zh-CN", "zh-Hans"), ("he_IL", "he"), ("es_AR", ""), ("sv", ""), ("sr@latin", "")],
)  # fmt: skip
def test_locales(locale, tag):
    assert locale_language(locale) == tag


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("_File", "File"),
        ("Save _As…", "Save As…"),
        ("檔案(_F)", "檔案"),
        ("a_b and _c", "a_b and _c"),
        ("%(some_name)s", "%(some_name)s"),
        ("see my_file.txt", "see my_file.txt"),
        ("two\n lines\there", "two lines here"),
        ("trailing_", "trailing_"),
    ],
)
def test_mnemonics_go_and_placeholders_stay(message, line):
    assert clean(message, is_gtk=True) == line


def test_mnemonics_stay_outside_gtk():
    assert clean("_File  name", is_gtk=False) == "_File name"


def test_missing_packages_name_the_command(monkeypatch):
    def none(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", none)
    with pytest.raises(InputError, match="gramps") as error:
        CatalogSource().digest  # noqa: B018
    assert "\n" not in str(error.value)
    assert error.value.hint == "pip install -c constraints.txt '.[sample]'"


def _install(folder, name, catalogs, metadata=""):
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n{metadata}")
    for file, messages in catalogs.items():
        (folder / file).parent.mkdir(parents=True)
        _mo(folder / file, messages)
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in catalogs))


@pytest.fixture
def installed(tmp_path, monkeypatch):
    for name, file in (
        ("Django", "django/conf/locale/de/LC_MESSAGES/django.mo"),
        ("gramps", "share/locale/de/LC_MESSAGES/gramps.mo"),
        ("plone.app.locales", "plone/locales/de/LC_MESSAGES/plone.mo"),
    ):
        _install(tmp_path, name, {file: {"Dog": "Hund"}}, "License-Expression: MIT\n")
    pack = "jupyterlab_language_pack_ko_KR/locale/ko_KR/LC_MESSAGES/jupyterlab.mo"
    _install(tmp_path, "jupyterlab-language-pack-ko-KR", {pack: {"Cat": "고양이"}})
    path = [str(tmp_path)]
    found = {one.metadata["Name"]: one for one in importlib.metadata.distributions(path=path)}
    monkeypatch.setattr(importlib.metadata, "distribution", found.__getitem__)
    monkeypatch.setattr(importlib.metadata, "distributions", found.values)
    return tmp_path


def test_language_packs_join_when_they_are_there(installed):
    documents = list(CatalogSource().documents(tuple(LANGUAGES), Ledger()))
    assert [(one.id, one.text, one.license) for one in documents] == [
        ("Django/0000/en", "Dog", "MIT"),
        ("Django/0000/de", "Hund", "MIT"),
        ("jupyterlab/0000/en", "Cat", "BSD-3-Clause"),
        ("jupyterlab/0000/ko_KR", "고양이", "BSD-3-Clause"),
    ]


def test_a_file_that_is_gone_is_one_line(installed):
    (installed / "share/locale/de/LC_MESSAGES/gramps.mo").unlink()
    with pytest.raises(
        InputError, match=r"gramps\.mo: missing, although an installed package lists it"
    ):
        CatalogSource().digest  # noqa: B018


@pytest.fixture(scope="module")
def sample():
    pytest.importorskip("gramps")
    ledger = Ledger()
    return list(CatalogSource().documents(tuple(LANGUAGES), ledger)), ledger


def test_the_sample_has_text_in_every_language(sample):
    documents, ledger = sample
    characters = defaultdict(int)
    for one in documents:
        characters[one.language] += len(one.text)
    assert set(characters) == set(LANGUAGES)
    assert min(characters.values()) > 35_000
    lines = sum(one.text.count("\n") + 1 for one in documents)
    assert ledger.total("read: messages") == lines + ledger.total("dropped message:")
    assert len({one.id for one in documents}) == len(documents)
    assert {one.license for one in documents} >= {"GPL-2.0-or-later", "BSD-3-Clause"}


def test_the_digest_is_of_content_and_the_source_travels():
    pytest.importorskip("gramps")
    source = CatalogSource()
    assert pickle.loads(pickle.dumps(source)) == source
    assert pickle.loads(pickle.dumps(source)).digest == source.digest
    assert [one.name for one in installed_packages()][:3] == [
        "Django",
        "gramps",
        "plone.app.locales",
    ]
