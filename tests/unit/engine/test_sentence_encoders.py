"""Sentence encoders from a folder or a package: beside plain sums, without their own packages."""

import json
import sys

import numpy as np
import pytest
import tokenizers
import torch
import transformers
from safetensors.numpy import save_file

from polylect.base import InputError, Ledger
from polylect.engine import embed, find_encoder
from polylect.engine.sentence_folder import read_layout

TEXTS = ["good day to you", "Good Day", "", "วันนี้", "x", "ab " * 40, " good day "]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "day", "to", "you", "x", "ab"]


def tokenizer_of_words():
    backend = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]")
    )
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    backend.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return backend


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def write_folder(folder, pooling, body="", **about):
    """A folder of sentence-transformers: Transformer, Pooling, Dense, Normalize."""
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=32, hidden_dropout_prob=0.5,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(folder / body)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer_of_words(), unk_token="[UNK]", pad_token="[PAD]",
        cls_token="[CLS]", sep_token="[SEP]",
    ).save_pretrained(folder / body)  # fmt: skip
    kinds = ["Transformer", "Pooling", "Dense", "Normalize"]
    paths = [body, "1_Pooling", "2_Dense", "3_Normalize"]
    write_json(folder / "modules.json", [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(zip(paths, kinds, strict=True))
    ])  # fmt: skip
    write_json(folder / body / "sentence_bert_config.json",
               {"max_seq_length": 12, "do_lower_case": True})  # fmt: skip
    write_json(folder / "1_Pooling" / "config.json", pooling)
    write_json(folder / "2_Dense" / "config.json", {
        "activation_function": "torch.nn.modules.activation.Tanh", "in_features": 16,
    })  # fmt: skip
    width = 16 * sum(value is True for value in pooling.values()) or 16
    weight = np.random.default_rng(0).normal(size=(8, width)).astype(np.float32)
    save_file({"linear.weight": weight, "linear.bias": np.ones(8, np.float32)},
              folder / "2_Dense" / "model.safetensors")  # fmt: skip
    write_json(folder / "config_sentence_transformers.json", about)
    return folder


@torch.no_grad()
def plain(folder, texts, pool, body="", prompt=""):
    """One text at a time."""
    model = transformers.BertModel.from_pretrained(folder / body).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / body)
    from safetensors.torch import load_file

    dense = load_file(folder / "2_Dense" / "model.safetensors")
    rows = []
    for text in texts:
        about = tokenizer((prompt + text.strip()).lower(), truncation=True, max_length=12,
                          return_tensors="pt")  # fmt: skip
        states = model(input_ids=about["input_ids"]).last_hidden_state[0]
        vector = (dense["linear.weight"] @ pool(states) + dense["linear.bias"]).tanh()
        rows.append((vector / vector.norm()).numpy())
    return np.stack(rows)


POOLINGS = [
    ({"pooling_mode_mean_tokens": True}, lambda h: h.mean(0)),
    ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, lambda h: h[0]),
    ({"pooling_mode_lasttoken": True}, lambda h: h[-1]),
    ({"pooling_mode_max_tokens": True}, lambda h: h.max(0).values),
    ({"pooling_mode_mean_sqrt_len_tokens": True}, lambda h: h.sum(0) / len(h) ** 0.5),
    ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True},
     lambda h: torch.cat([h[0], h.mean(0)])),
    ({"pooling_mode": "mean"}, lambda h: h.mean(0)),
]  # fmt: skip


@pytest.mark.parametrize(("pooling", "pool"), POOLINGS)
def test_a_folder_is_read_as_its_own_package_would(tmp_path, pooling, pool):
    folder = write_folder(tmp_path / "e", pooling, body="0_Transformer")
    (folder / "README.md").write_text("---\nlanguage:\n- en\n- multilingual\ntags: [x]\n---\n# e")
    ledger = Ledger()
    tags = ["en", "en", "", "th", "en-GB", "en", ""]
    vectors = embed(TEXTS, f"sentence:{folder}", languages=tags, ledger=ledger)
    np.testing.assert_allclose(vectors, plain(folder, TEXTS, pool, "0_Transformer"), atol=1e-5)
    assert list(ledger.rows()) == [
        ("cut: text longer than the encoder", "en", 1),
        ("unknown to the encoder: half or more of a text's tokens", "th", 1),
        ("unknown to the encoder: its card does not name the language", "th", 1),
    ]


def test_a_prompt_of_the_encoder_stands_before_each_text(tmp_path):
    folder = write_folder(tmp_path / "e", {"pooling_mode_mean_tokens": True},
                          prompts={"query": "to you "}, default_prompt_name="query")  # fmt: skip
    expected = plain(folder, TEXTS, lambda h: h.mean(0), prompt="to you ")
    np.testing.assert_allclose(embed(TEXTS, f"sentence:{folder}"), expected, atol=1e-5)
    assert find_encoder(f"sentence:{folder}").digest != (
        find_encoder(f"sentence:{folder}#max_tokens=5").digest
    )


@pytest.mark.parametrize("is_model2vec", [False, True])
def test_static_tables(tmp_path, is_model2vec):
    table = np.random.default_rng(1).normal(size=(len(WORDS), 6)).astype(np.float32)
    tokenizer_of_words().save(str(tmp_path / "tokenizer.json"))
    if is_model2vec:
        write_json(tmp_path / "config.json", {"model_type": "model2vec", "normalize": True})
        mapping, weights = np.arange(len(WORDS))[::-1].copy(), np.linspace(1, 2, len(WORDS))
        save_file({"embeddings": table, "mapping": mapping, "weights": weights},
                  tmp_path / "model.safetensors")  # fmt: skip
        rows = table[mapping] * weights[:, None]
    else:
        kind = "sentence_transformers.models.StaticEmbedding"
        write_json(tmp_path / "modules.json", [{"type": kind, "path": ""}])
        save_file({"embedding.weight": table}, tmp_path / "model.safetensors")
        rows = table
    vectors = embed(["good day", "good ???", "", "???"], f"sentence:{tmp_path}")
    pairs = [rows[[4, 5]].mean(0), rows[[4]].mean(0) if is_model2vec else rows[[4, 1]].mean(0),
             np.zeros(6), np.zeros(6) if is_model2vec else rows[1]]  # fmt: skip
    if is_model2vec:
        pairs = [pair / max(np.linalg.norm(pair), 1e-9) for pair in pairs]
    np.testing.assert_allclose(vectors, np.stack(pairs), atol=1e-6)


def test_a_package_that_carries_an_encoder_is_found_without_importing_it(tmp_path, monkeypatch):
    package = tmp_path / "some_encoder"
    folder = write_folder(package / "model", {"pooling_mode_mean_tokens": True})
    (package / "__init__.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    encoder = find_encoder("sentence:some-encoder")
    np.testing.assert_array_equal(embed(TEXTS, encoder), embed(TEXTS, f"sentence:{folder}"))
    assert "some_encoder" not in sys.modules
    for name in ("numpy", "no-such-package", "../x"):
        with pytest.raises(InputError, match=r"package|nothing is downloaded"):
            find_encoder(f"sentence:{name}")


def test_what_cannot_be_read_is_refused_in_one_line(tmp_path):
    folder = write_folder(tmp_path / "e", {"pooling_mode_mean_tokens": True})
    (folder / "2_Dense" / "model.safetensors").rename(folder / "2_Dense" / "pytorch_model.bin")
    changes = {
        "no pickle here": lambda: None,
        "the activation": lambda: write_json(folder / "2_Dense/config.json",
                                             {"activation_function": "os.system"}),
        "pooling weightedmean is not known": lambda: write_json(
            folder / "1_Pooling/config.json", {"pooling_mode": "weightedmean"}),
        "the module CNN": lambda: write_json(folder / "modules.json", [{"type": "x.CNN"}]),
        "not a list of modules": lambda: write_json(folder / "modules.json", {"a": 1}),
        "not a folder of sentence-transformers": lambda: (folder / "modules.json").unlink(),
    }  # fmt: skip
    for message, change in changes.items():
        change()
        if message == "the activation":
            (folder / "2_Dense" / "pytorch_model.bin").rename(folder / "2_Dense/model.safetensors")
        with pytest.raises(InputError, match=message) as error:
            read_layout(folder)
        assert "\n" not in str(error.value)
