from pathlib import Path

import pytest

from polylect.mixtures.asked import EveryLanguage
from polylect.mixtures.named import Namer, says

SAYS = {
    "de": "de", "cy": "cy", "gl": "gl", "ne": "ne", "yo": "yo", "sr-Latn": "sr-Latn",
    "zh": "zh-Hans", "pt_BR": "pt-BR", "x-mine": "x-mine", "ar": "ar", "zh_TW": "zh-Hant",
    "Welsh": "cy", "Cymraeg": "cy", "gsw_CH": "gsw-CH", "sw": "sw", "code": "code",
    # words
    "my": "", "no": "", "to-do": "", "my-data": "", "data": "", "raw": "", "new": "", "run": "",
    "cat": "", "cym": "cy", "deu": "de", "tok": "",
    "test": "", "notes": "", "a": "", "2024": "", "v1": "", "": "", "tmp": "",
    "my_MM": "my-MM",
}  # fmt: skip


@pytest.mark.parametrize(("part", "tag"), SAYS.items())
def test_what_a_name_says(part, tag):
    assert says(part) == tag


def _languages(names, asked=None):
    paths = [Path(name) for name in names]
    namer = Namer(paths, EveryLanguage() if asked is None else asked)
    return [namer.language(path) for path in paths]


def test_a_code_that_is_a_word_is_believed_where_asked_for_or_among_codes():
    assert _languages(["my/a.txt", "data/b.txt"]) == ["", ""]
    assert _languages(["my/a.txt", "data/b.txt"], ("my", "de")) == ["my", ""]
    assert _languages(["my/a.txt", "th/b.txt", "de/c.txt"]) == ["my", "th", "de"]
    assert _languages(["nds.txt", "de.txt", "fr.txt"]) == ["nds", "de", "fr"]
    assert _languages(["nds.txt", "de.txt", "notes.txt"]) == ["", "de", ""]
    assert _languages(["new/old.txt"]) == [""]
    assert _languages(["no/a.txt", "en/b.txt", "cym/c.txt"]) == ["nb", "en", "cy"]
    assert _languages(["tok/a.txt", "cy/b.txt", "SR_latn/c.txt"]) == ["tok", "cy", "sr-Latn"]
    assert _languages(["tok/a.txt", "data/b.txt"]) == ["", ""]
    assert _languages(["tok/a.txt", "data/b.txt"], ("tok",)) == ["tok", ""]
    assert _languages(["qqx-Latn/a.txt", "data/b.txt"], ("qqx-Latn",)) == ["qqx-Latn", ""]


def test_the_nearest_name_stands():
    assert _languages(["cy/news.gl.txt", "cy/news.txt", "notes.x-mine.txt"]) == [
        "gl", "cy", "x-mine",
    ]  # fmt: skip
