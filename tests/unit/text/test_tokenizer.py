import json
import subprocess
import sys

import numpy as np
import pytest
import tokenizers as hf

from polylect.base import InputError
from polylect.text import Tokenizer, train_bpe
from polylect.text.tokenizer import BOS, EOS, PAD

TEXTS = {
    "de": ["Der schnelle braune Fuchs springt über den faulen Hund.", "Noch ein Satz, 123 Wörter."],
    "hi": ["वह किताब पढ़ रहा है।", "किताब किताब किताब"],
    "zh-Hans": ["今天天气很好。", "我们去公园吧。"],
}


@pytest.fixture(scope="module")
def tokenizer():
    return train_bpe(TEXTS, vocab_size=400)


def test_specials_come_first_and_are_not_added(tokenizer):
    assert (tokenizer.bos_id, tokenizer.eos_id) == (1, 2)
    (ids,) = tokenizer.encode(["Hund"])
    assert ids.dtype == np.int32
    assert ids.min() > 2
    assert tokenizer.encode([""])[0].shape == (0,)
    assert tokenizer.encode([]) == []


def test_text_that_spells_a_special_token_stays_text(tokenizer):
    (ids,) = tokenizer.encode([f"{EOS}{BOS}{PAD}"])
    assert ids.min() > 2
    assert tokenizer.decode(ids) == f"{EOS}{BOS}{PAD}"


def test_digits_are_split_and_marks_stay_with_their_letters(tokenizer):
    (ids,) = tokenizer.encode(["2024"])
    assert len(ids) == 4
    (word,) = tokenizer.encode(["किताब"])
    assert len(word) == 1, "a frequent Hindi word is one token, vowel signs included"


def test_the_vocabulary_is_as_large_as_asked_or_as_the_text_allows(tokenizer):
    assert tokenizer.vocab_size <= 400
    assert train_bpe(TEXTS, vocab_size=280).vocab_size == 280


def test_equal_texts_give_equal_bytes_whatever_the_order(tokenizer, tmp_path):
    turned = {tag: list(reversed(texts)) for tag, texts in reversed(TEXTS.items())}
    other = train_bpe(turned, vocab_size=400)
    assert other.digest == tokenizer.digest
    tokenizer.save(tmp_path / "a")
    other.save(tmp_path / "b")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_thread_count_does_not_change_the_tokenizer(tokenizer):
    code = (
        "import json,sys; from polylect.text.tokenizer import train_bpe;"
        "print(train_bpe(json.loads(sys.argv[1]), vocab_size=400).digest)"
    )
    digests = set()
    for threads in ("1", "4"):
        done = subprocess.run(
            [sys.executable, "-c", code, json.dumps(TEXTS)],
            env={"RAYON_NUM_THREADS": threads, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        digests.add(done.stdout.strip())
    assert digests == {tokenizer.digest}


def test_temperature_gives_the_thin_language_more():
    texts = {
        "de": ["Der Hund schläft im Garten neben dem Haus. "] * 200,
        "ko": ["안녕하세요 여러분"],
    }
    by_size = train_bpe(texts, vocab_size=300, temperature=1.0)
    flat = train_bpe(texts, vocab_size=300, temperature=100.0)
    assert len(flat.encode(["안녕하세요"])[0]) < len(by_size.encode(["안녕하세요"])[0])


def test_saved_and_loaded_is_the_same(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    for place in (tmp_path, tmp_path / "tokenizer.json"):
        loaded = Tokenizer.load(place)
        assert loaded.digest == tokenizer.digest
        assert (loaded.bos_id, loaded.eos_id) == (tokenizer.bos_id, tokenizer.eos_id)
    Tokenizer.load(tmp_path).save(tmp_path / "again")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()


def test_plain_transformers_gives_equal_ids(tokenizer, tmp_path):
    transformers = pytest.importorskip("transformers")
    tokenizer.save(tmp_path)
    plain = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    texts = ["Der Hund , it 's", "किताब 12\n\n  x", "今天 \x00 🏳️‍🌈", " "]
    for text, ids in zip(texts, tokenizer.encode(texts), strict=True):
        assert plain(text, add_special_tokens=False)["input_ids"] == ids.tolist()
        assert plain(text)["input_ids"] == [tokenizer.bos_id, *ids.tolist()]
        assert plain.decode(ids) == text
    assert (plain.bos_token_id, plain.eos_token_id, plain.pad_token_id) == (1, 2, 0)


def test_a_tokenizer_without_begin_uses_its_end(tmp_path):
    backend = hf.Tokenizer(hf.models.BPE())
    backend.add_special_tokens(["<|endoftext|>"])
    backend.save(str(tmp_path / "tokenizer.json"))
    loaded = Tokenizer.load(tmp_path)
    assert loaded.bos_id == loaded.eos_id == 0


def test_a_folder_with_vocabulary_files_goes_through_transformers(tmp_path):
    pytest.importorskip("transformers")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hund", "##e"]
    (tmp_path / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    settings = {"tokenizer_class": "BertTokenizer", "bos_token": "[CLS]", "eos_token": "[SEP]"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    loaded = Tokenizer.load(tmp_path)
    assert loaded.encode(["hunde"])[0].tolist() == [5, 6]
    assert (loaded.bos_id, loaded.eos_id) == (2, 3)


def _write(folder, name, text):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: p / "nowhere", "no such file"),
        (lambda p: _write(p / "a", "notes.txt", ""), "no such file"),
        (lambda p: _write(p / "b", "tokenizer.json", "{"), "not a tokenizer"),
        (lambda p: _write(p / "c", "tokenizer.model", "x"), "transformers"),
    ],
)
def test_bad_folders_are_one_line(make, says, tmp_path):
    with pytest.raises(InputError, match=says) as error:
        Tokenizer.load(make(tmp_path))
    assert "\n" not in str(error.value)
    assert error.value.hint


def test_a_tokenizer_without_an_end_is_refused(tmp_path):
    hf.Tokenizer(hf.models.BPE()).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(InputError, match="no end-of-text token") as error:
        Tokenizer.load(tmp_path)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize(
    ("texts", "options", "says"),
    [
        ({}, {}, "no text"),
        ({"de": [""]}, {}, "no text"),
        ({"de": ["a"]}, {"vocab_size": 100}, "vocab_size is 100"),
        ({"de": ["a"]}, {"temperature": 0.5}, "temperature is 0.5"),
    ],
)
def test_bad_training_input_is_one_line(texts, options, says):
    with pytest.raises(InputError, match=says) as error:
        train_bpe(texts, **({"vocab_size": 300} | options))
    assert "\n" not in str(error.value)
