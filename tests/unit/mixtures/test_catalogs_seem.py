"""Real text with a right label is not flagged, and with a wrong one it is."""

import importlib.metadata
from pathlib import Path

import pytest

from polylect.base import Ledger
from polylect.mixtures import CollectConfig, FolderSource
from polylect.mixtures._gettext import read_mo
from polylect.mixtures.collect import FLAGGED, collect
from polylect.text import DEFAULT_IDENTIFIER, is_same, open_identifier

TAGS = ("cy", "gl", "ne", "sk", "sw", "sr_Latn", "de", "ar", "ga", "ca", "bg", "ur")


@pytest.fixture(scope="module")
def documents():
    """Five messages of Django each, by tag; it has none in Yoruba."""
    try:
        files = importlib.metadata.distribution("Django").files or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("Django is not installed")
    result = {}
    for tag in TAGS:
        lines = [
            text
            for file in files
            if f"/locale/{tag}/LC_MESSAGES/" in file.as_posix() and file.suffix == ".mo"
            for _, forms, texts in read_mo(Path(str(file.locate())))
            for text in texts
            if len(text) >= 40 and text not in forms and "\n" not in text
        ]
        pieces = ["\n".join(lines[i : i + 5]) for i in range(0, len(lines) - 4, 5)]
        result[tag.replace("_", "-")] = pieces[:25]
    return result


def test_no_document_is_relabeled_and_none_dropped(documents, tmp_path):
    for tag, texts in documents.items():
        (tmp_path / tag).mkdir()
        for number, text in enumerate(texts):
            (tmp_path / tag / f"{number}.txt").write_text(text, encoding="utf-8")
    ledger = Ledger()
    kept = collect([FolderSource(tmp_path)], CollectConfig(min_test_documents=1), ledger)
    held = [document for rows in kept.values() for document in rows]
    assert all(document.id.startswith(f"{document.language}/") for document in held)
    unique = sum(len(set(texts)) for texts in documents.values())
    assert len(held) >= 0.98 * unique
    assert ledger.total("dropped: seems") == ledger.total("dropped: language") == 0
    assert ledger.total(FLAGGED) <= 0.02 * unique


def test_documents_in_a_wrong_language_are_flagged(documents):
    identifier = open_identifier(DEFAULT_IDENTIFIER)
    guesses = {tag: identifier.guess(texts) for tag, texts in documents.items()}
    for planted in documents:
        if identifier.cannot_tell(planted):
            continue
        for said in documents:
            if is_same(planted, said) or identifier.mistakes(said, planted) >= 0.1:
                continue
            flags = [identifier.seems_other(said, guess, 0.5) for guess in guesses[planted]]
            assert sum(flags) >= 0.9 * len(flags), (said, planted)


def test_an_unlabeled_folder_of_eight_languages_is_reported_by_what_it_holds(documents, tmp_path):
    tags = ("cy", "de", "ar", "ca", "bg", "ne", "ga", "ur")
    for place, tag in enumerate(tags):
        text = "\n\n".join(documents[tag])
        (tmp_path / f"part{place}.txt").write_text(text, encoding="utf-8")
    ledger = Ledger()
    found = list(FolderSource(tmp_path).documents(("de", "cy"), ledger))
    assert {(document.id[:5], document.language) for document in found} == {
        ("part0", "cy"), ("part1", "de"),
    }  # fmt: skip
    left = {where: num for event, where, num in ledger.rows() if "not asked for" in event}
    assert {"ar", "ca", "bg", "ur"} <= set(left)
    assert not set(left) - {"ar", "ca", "bg", "ne", "ga", "ur"}
