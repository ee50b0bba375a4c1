import pickle

import pytest

from polylect.base import InputError, Ledger
from polylect.mixtures import DebianDocs
from polylect.mixtures.debian import page_paragraphs


@pytest.fixture
def docs(tmp_path):
    pages = {
        "doc/debian-handbook/html/en-US/apt.html": "<h2>A heading that is long enough</h2>"
        "<p id='sect.a'>An English <em>paragraph</em> that is<br/> long enough.</p>",
        "doc/debian-handbook/html/de-DE/apt.html": "<h2>A heading that is long enough</h2>"
        "<p id='sect.a'>Ein deutscher Absatz, der lang genug ist.</p>",
        "doc/debian-handbook/html/sv-SE/apt.html": "<p>Ett stycke som är långt nog, tror jag.</p>",
        "help/C/gnome-help/a.page": "<page><info><desc>not shown at all, never</desc></info>"
        "<p>Press <key>Enter</key> to go on with it.</p></page>",
        "help/de/gnome-help/a.page": "<page><p>Drücken Sie <key>Enter</key>, um fortzufahren.</p>"
        "</page>",
    }
    for name, text in pages.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    return DebianDocs(tmp_path)


def test_paragraphs_leave_program_text_out():
    markup = (
        "<html><head><title>not read</title></head><p>One &amp; two, long enough to be read."
        "<pre>$ apt-get install something-long</pre></p><p>short</p></html>"
    )
    assert page_paragraphs(markup) == [("", "One & two, long enough to be read.")]


def test_translations_share_their_section_and_english_remains_go(docs):
    ledger = Ledger()
    documents = list(docs.documents(("de", "en"), ledger))
    assert [(one.id, one.parallel) for one in documents] == [
        ("debian-handbook/apt/en-US#000", "debian-handbook/apt"),
        ("debian-handbook/apt#sect.a/en-US#000", "debian-handbook/apt#sect.a"),
        ("debian-handbook/apt#sect.a/de-DE#000", "debian-handbook/apt#sect.a"),
        ("gnome-user-docs/gnome-help/a/C#000", "gnome-user-docs/gnome-help/a"),
        ("gnome-user-docs/gnome-help/a/de#000", "gnome-user-docs/gnome-help/a"),
    ]
    assert documents[1].text == "An English paragraph that is long enough."
    assert documents[2].text == "Ein deutscher Absatz, der lang genug ist."
    assert list(ledger.rows()) == [("dropped message: untranslated", "de", 1)]
    german = list(docs.documents(("de",), Ledger()))
    assert german == [one for one in documents if one.language == "de"]


def test_the_source_travels_and_says_when_nothing_is_there(docs, tmp_path):
    assert docs.available()
    assert pickle.loads(pickle.dumps(docs)).digest == docs.digest
    nothing = DebianDocs(tmp_path / "nowhere")
    assert not nothing.available()
    with pytest.raises(InputError, match="none of Debian's documentation packages") as error:
        list(nothing.documents(("de",), Ledger()))
    assert "\n" not in str(error.value)
