"""Every kind of translator behind the one protocol."""

import json
from pathlib import Path
from shutil import which

import polars as pl
import pytest
from translator_models import FAMILIES, SENTENCES, plain_translation, write_translator

from polylect.base import InputError, Ledger, PolylectError
from polylect.feedback import check_pairs, find_translator
from polylect.feedback.translation import apertium, seq2seq
from polylect.feedback.translation.protocol import nearest_pair
from polylect.runs import Silent

needs_apertium = pytest.mark.skipif(
    which("apertium") is None or not Path("/usr/share/apertium/modes/eng-spa.mode").is_file(),
    reason="skipped: no Apertium with eng-spa",
)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    root = tmp_path_factory.mktemp("translators")
    return {family: write_translator(root / family, family) for family in FAMILIES}


def opened(source, tmp_path, ledger=None):
    return source.open(tmp_path, Silent(), ledger if ledger is not None else Ledger())


CODES = {"m2m100": ("en", "de"), "nllb": ("eng_Latn", "deu_Latn"), "marian": "", "t5": ""}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_is_what_transformers_gives_text_by_text(
    checkpoints, family, tmp_path, monkeypatch
):
    monkeypatch.setattr(seq2seq, "_BATCH", 4)
    source = find_translator(f"m={checkpoints[family]}", max_new_tokens=8)
    assert ("en", "de") in source.pairs()
    translator = opened(source, tmp_path)
    texts = [SENTENCES[0], SENTENCES[4], SENTENCES[6], "A cat.", "The old book is on the chair."]
    rows = translator._translate(texts[:4], ("en", "de"))
    codes = CODES[family] or ("", "")
    for text, (translation, _) in zip(texts[:4], rows, strict=True):
        assert translation == plain_translation(checkpoints[family], family, text, *codes, 8)
    again = opened(source, tmp_path / ".")(texts, "en", "de")
    assert len(again) == 5


def test_the_tokenizers_table_says_the_languages(checkpoints):
    pairs = {family: find_translator(f"m={checkpoints[family]}").pairs() for family in FAMILIES}
    assert pairs["nllb"] >= {("en", "zh-Hans"), ("sr", "tr")}
    assert len(pairs["m2m100"]) > 90 * 89
    assert ("cy", "zh-Hans") in pairs["m2m100"]
    assert pairs["marian"] == {("en", "de")} == pairs["t5"]
    stated = find_translator(f"m={checkpoints['t5']}#cs:pl")
    assert stated.pairs() == {("cs", "pl")}
    with pytest.raises(InputError, match="does not translate en to tr") as error:
        check_pairs(find_translator(f"m={checkpoints['marian']}"), [("en", "tr")])
    assert "en to de" in error.value.hint


def test_a_languages_token_begins_the_translation(checkpoints, tmp_path):
    source = find_translator(f"m={checkpoints['nllb']}", max_new_tokens=6)
    translator = opened(source, tmp_path)
    results = {tag: translator._translate([SENTENCES[0]], ("en", tag)) for tag in ("de", "tr")}
    assert results["de"] != results["tr"]


def test_a_killed_translation_goes_on_where_it_was(checkpoints, tmp_path, monkeypatch):
    monkeypatch.setattr(seq2seq, "_BATCH", 2)
    source = find_translator(f"m={checkpoints['m2m100']}", max_new_tokens=6)
    whole = opened(source, tmp_path / "a", Ledger())
    (tmp_path / "a").mkdir()
    expected = whole(SENTENCES, "en", "de")
    for num in range(1, 5):
        work = tmp_path / str(num)
        work.mkdir()
        calls, done = [], seq2seq.Seq2Seq._translate

        def fails(self, texts, pair, calls=calls, num=num, done=done):
            calls.append(texts)
            if len(calls) == num:
                raise KeyboardInterrupt
            return done(self, texts, pair)

        monkeypatch.setattr(seq2seq.Seq2Seq, "_translate", fails)
        with pytest.raises(KeyboardInterrupt):
            opened(source, work)(SENTENCES, "en", "de")
        monkeypatch.setattr(seq2seq.Seq2Seq, "_translate", done)
        assert opened(source, work)(SENTENCES, "en", "de") == expected


def test_a_text_longer_than_the_model_is_counted(checkpoints, tmp_path):
    ledger = Ledger()
    source = find_translator(f"m={checkpoints['m2m100']}", max_new_tokens=4)
    results = opened(source, tmp_path, ledger)(["The cat. " * 40, "The cat."], "en", "de")
    assert results[0] is None
    assert ledger.by_event()[seq2seq.TOO_LONG] == 1


def table(path, rows):
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".parquet":
        pl.DataFrame(rows).write_parquet(path)
    else:
        lines = ["\t".join(rows[0]), *("\t".join(row.values()) for row in rows)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


ROWS = [
    {"source_text": "A house", "source_language": "eng", "language": "de", "translation": "Haus"},
    {"source_text": "A cat", "source_language": "en", "language": "de", "translation": "Katze"},
    {"source_text": "A cat", "source_language": "en", "language": "tr", "translation": "Kedi"},
]


@pytest.mark.parametrize("ending", [".jsonl", ".tsv", ".parquet"])
def test_a_table_of_translations(tmp_path, ending):
    source = find_translator(f"t={table(tmp_path / f'rows{ending}', ROWS)}")
    assert source.pairs() == {("en", "de"), ("en", "tr")}
    ledger = Ledger()
    translator = opened(source, tmp_path, ledger)
    texts = ["A cat", "- A cat\n\n- A house", "A dog"]
    assert translator(texts, "en", "de") == ["Katze", "- Katze\n\n- Haus", None]
    assert ledger.total("not in the file") == 1
    assert ledger.total("put together") == 1
    with pytest.raises(InputError, match="does not translate de to en"):
        check_pairs(source, [("de", "en")])


def test_a_table_that_contradicts_itself_is_refused(tmp_path):
    rows = [*ROWS, ROWS[0] | {"translation": "Gebäude"}]
    with pytest.raises(InputError, match="another translation"):
        find_translator(f"t={table(tmp_path / 'rows.jsonl', rows)}").pairs()
    (tmp_path / "bad.tsv").write_text("a\tb\tc\nx\ty\n")
    with pytest.raises(InputError, match="2 cells"):
        find_translator(f"t={tmp_path / 'bad.tsv'}").pairs()


def test_parallel_text_in_every_direction(tmp_path):
    (tmp_path / "news-src.eng.txt").write_text("A house.\nA cat.\n", encoding="utf-8")
    (tmp_path / "news-ref.por-BR.txt").write_text("Casa.\nGato.\n", encoding="utf-8")
    (tmp_path / "news-ref.zho-CN.txt").write_text("房子。\n猫。\n", encoding="utf-8")
    source = find_translator(f"n=parallel:{tmp_path}")
    assert len(source.pairs()) == 6
    assert opened(source, tmp_path)(["猫。", "A house."], "zh-Hans", "pt-BR") == ["Gato.", None]


def test_parallel_text_of_unequal_length_is_refused(tmp_path):
    (tmp_path / "a.eng.txt").write_text("A\nB\n")
    (tmp_path / "a.deu.txt").write_text("A\n")
    source = find_translator(f"n=parallel:{tmp_path}")
    with pytest.raises(InputError, match="2 lines"):
        opened(source, tmp_path)(["A"], "en", "de")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("apertium", "is not NAME=FORM"), ("x=", "is not NAME=FORM"),
        ("x=no/such", "no checkpoint"),
        ("x=no.tsv", "no such file"), ("x=parallel:no", "no such folder"),
        ("x=http:/host/v1", "not http://"),
    ],
)  # fmt: skip
def test_other_forms_are_refused(text, match):
    with pytest.raises(InputError, match=match):
        find_translator(text)


def test_an_instruction_needs_its_places():
    with pytest.raises(InputError, match=r"no \{text\}"):
        find_translator("x=http://127.0.0.1:1/v1#m", instruction="to {target}")


def test_a_more_general_pair_serves_in_the_same_script_alone():
    pairs = {("en", "pt"), ("en", "sr"), ("zh-Hans", "en")}
    assert nearest_pair(pairs, "en-GB", "pt-BR") == ("en", "pt")
    assert nearest_pair(pairs, "en", "sr-Latn") is None
    assert nearest_pair(pairs, "zh-Hant", "en") is None


@needs_apertium
def test_apertium_keeps_marks_and_counts_unknown_words(tmp_path):
    source = find_translator("ap=apertium")
    assert {("en", "es"), ("es", "en")} <= source.pairs()
    assert ("en", "fr") not in source.pairs()
    ledger = Ledger()
    translator = opened(source, tmp_path, ledger)
    texts = ["The [[1]] frobnicates.", "*bold* #x @y {a} $1 ^ \\ / <b>", "I saw the house."]
    first, second, third = translator(texts, "en", "es")
    assert "[[1]]" in first
    assert "*frobnicates" not in first
    assert "frobnicates" in first
    assert second.count("*") == 2
    assert "{" in second
    assert "^" in second
    assert "\\" in second
    assert "casa" in third
    assert "  " not in third
    assert ledger.total(apertium.UNKNOWN) >= 1
    assert source.limited([("en", "es")]).digest == source.limited([("en", "es")]).digest


@needs_apertium
def test_apertium_that_does_not_end_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(apertium, "_LEAST_SECONDS", 0.0)
    monkeypatch.setattr(apertium, "_SECONDS_PER_TEXT", 0.0)
    with pytest.raises(PolylectError, match="did not end"):
        opened(find_translator("ap=apertium"), tmp_path)(["A house."], "en", "es")


def test_without_apertium_it_is_named(monkeypatch):
    monkeypatch.setattr(apertium, "which", lambda _: None)
    with pytest.raises(InputError, match="not installed"):
        find_translator("ap=apertium").pairs()
