"""Vectors of texts: beside transformers' own pass of one text at a time in float32."""

import json

import numpy as np
import pytest
import tokenizers
import torch
import transformers
from small_models import FAMILIES, TEXT

import polylect as pl
from polylect.base import InputError, Ledger
from polylect.engine import embed, find_encoder
from polylect.engine import text_vectors as text_vectors_module
from polylect.text import train_bpe

TEXTS = [
    "A question may have several answers.", "a", "", "今天天气很好。", "วันนี้อากาศดีมาก",
    "今日はいい天気です", "اليوم الطقس جميل", "היום מזג האוויר נעים", "a",
    "one of them is right " * 40, "<EOS> and more", " ", "🦊", "A question may",
    "Die Frage hat mehrere Antworten, und eine davon ist richtig.",
]  # fmt: skip
SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
         "num_attention_heads": 4}  # fmt: skip
DROPPING = {"hidden_dropout_prob": 0.5, "attention_probs_dropout_prob": 0.5}
KINDS = {
    "llama": FAMILIES["llama"],
    "gemma3": FAMILIES["gemma3"],
    "mamba": FAMILIES["mamba"],
    "gpt2": lambda v: transformers.GPT2Config(
        vocab_size=v, n_embd=32, n_layer=2, n_head=4, n_positions=64, resid_pdrop=0.5,
        embd_pdrop=0.5, attn_pdrop=0.5,
    ),
    "bert": lambda v: transformers.BertConfig(
        **SIZES, **DROPPING, vocab_size=v, max_position_embeddings=64
    ),
    "roberta": lambda v: transformers.RobertaConfig(
        **SIZES, **DROPPING, vocab_size=v, max_position_embeddings=66, pad_token_id=1
    ),
    "t5": lambda v: transformers.T5Config(
        vocab_size=v, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, dropout_rate=0.5
    ),
}  # fmt: skip
LIMITS = {"llama": 512, "gemma3": 512, "mamba": 10**9, "gpt2": 64, "bert": 64, "roberta": 64,
          "t5": 10**9}  # fmt: skip


def word_pieces():
    """A tokenizer like BERT's: it adds two special tokens and knows few characters."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz",
             *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz"), ".", ",", "今", "天"]  # fmt: skip
    backend = tokenizers.Tokenizer(
        tokenizers.models.WordPiece({w: i for i, w in enumerate(words)}, unk_token="[UNK]")
    )
    backend.normalizer = tokenizers.normalizers.BertNormalizer()
    backend.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    backend.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        pad_token="[PAD]",
    )  # fmt: skip


def write(folder, kind, tokenizer, dtype=torch.float32, head=True):
    torch.manual_seed(0)
    words = kind in ("bert", "roberta")
    config = KINDS[kind](100 if words else tokenizer.vocab_size)
    if kind == "t5":
        model = transformers.T5ForConditionalGeneration(config)
    elif words:
        model = transformers.AutoModelForMaskedLM.from_config(config)
    else:
        model = transformers.AutoModelForCausalLM.from_config(config)
    if not head:
        model = model.base_model
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(3)
    model.to(dtype).save_pretrained(folder)
    if words:
        word_pieces().save_pretrained(folder)
    else:
        tokenizer.save(folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("bodies")
    tokenizer = train_bpe({"en": [TEXT]}, vocab_size=420)
    return {kind: write(root / kind, kind, tokenizer) for kind in KINDS}


@torch.no_grad()
def plain(folder, texts, layer=-1, limit=10**9):
    """One text at a time: the mean over its tokens, without those that the tokenizer adds."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    if model.config.is_encoder_decoder:
        model = model.get_encoder()
    vectors = []
    for text in texts:
        about = tokenizer(text, return_special_tokens_mask=True, split_special_tokens=True,
                          truncation=True, max_length=min(limit, 10**6))  # fmt: skip
        ids = about["input_ids"]
        if not ids:
            vectors.append(None)
            continue
        out = model(input_ids=torch.tensor([ids]), output_hidden_states=True)
        mask = torch.tensor(about["special_tokens_mask"]) == 0
        vectors.append(out.hidden_states[layer][0][mask if mask.any() else slice(None)].mean(0))
    width = next(len(v) for v in vectors if v is not None)
    return np.stack([np.zeros(width) if v is None else v.numpy() for v in vectors])


@pytest.mark.parametrize("kind", KINDS)
def test_hidden_states_equal_one_plain_pass_per_text(folders, kind):
    ledger = Ledger()
    vectors = embed(TEXTS, f"hidden:{folders[kind]}", ledger=ledger)
    assert vectors.dtype == np.float32
    expected = plain(folders[kind], TEXTS, limit=LIMITS[kind])
    np.testing.assert_allclose(vectors, expected, atol=1e-5 * max(1, np.abs(expected).max()))
    assert np.array_equal(vectors[1], vectors[8])
    assert ledger.total("cut: text") == int(LIMITS[kind] < 500)
    assert ledger.total("empty") == sum(not v.any() for v in vectors)


@pytest.mark.parametrize("kind", ["llama", "bert", "t5"])
def test_a_layer_is_a_setting(folders, kind):
    for layer in (0, 1, -2):
        vectors = embed(TEXTS[:6], f"hidden:{folders[kind]}#layer={layer}")
        expected = plain(folders[kind], TEXTS[:6], layer)
        np.testing.assert_allclose(vectors, expected, atol=1e-5 * np.abs(expected).max())
    with pytest.raises(InputError, match="there is no layer 9"):
        embed(TEXTS[:2], f"hidden:{folders[kind]}#layer=9")


def test_neither_company_nor_order_nor_padding_changes_a_vector(folders, tmp_path):
    whole = embed(TEXTS, f"hidden:{folders['bert']}")
    for side in ("left", "right"):
        folder = tmp_path / side
        folder.mkdir()
        for file in folders["bert"].iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        config = json.loads((folder / "tokenizer_config.json").read_text())
        config |= {"padding_side": side, "pad_token": None}
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        np.testing.assert_array_equal(embed(TEXTS, f"hidden:{folder}"), whole)
    np.testing.assert_allclose(embed(TEXTS[::-1], f"hidden:{folders['bert']}")[::-1], whole,
                               atol=1e-6)  # fmt: skip
    for number in (0, 3, 9):
        alone = embed([TEXTS[number]], f"hidden:{folders['bert']}")
        np.testing.assert_allclose(alone[0], whole[number], atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_half_precision_are_computed_in_float32(tmp_path, folders, dtype):
    tokenizer = train_bpe({"en": [TEXT]}, vocab_size=420)
    folder = write(tmp_path / "half", "llama", tokenizer, dtype, head=False)
    np.testing.assert_allclose(
        embed(TEXTS[:8], f"hidden:{folder}"), plain(folder, TEXTS[:8]), atol=1e-5
    )
    rough = embed(TEXTS[:8], f"hidden:{folder}#dtype=bfloat16")
    np.testing.assert_allclose(rough, plain(folder, TEXTS[:8]), atol=0.1)
    assert (
        find_encoder(f"hidden:{folder}").digest != find_encoder(f"hidden:{folder}#layer=0").digest
    )


def test_a_context_conditions_and_is_cut_first(folders):
    folder = folders["gpt2"]
    ledger = Ledger()
    texts, prompts = ["a question", "a question", "a question"], ["", "Why?", "Why? " * 60]
    name = f"hidden:{folder}"
    vectors = embed(texts, name, contexts=prompts, languages=["en"] * 3, ledger=ledger)
    np.testing.assert_allclose(vectors[0], plain(folder, texts[:1])[0], atol=1e-5)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    whole, own = (tokenizer(x)["input_ids"] for x in ("Why?\n\na question", "a question"))
    assert whole[1 - len(own) :] == own[1:]  # BOS is not the text's
    model = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        states = model(input_ids=torch.tensor([whole])).last_hidden_state[0]
    np.testing.assert_allclose(vectors[1], states[1 - len(own) :].mean(0).numpy(), atol=1e-5)
    assert list(ledger.rows()) == [("cut: prompt before a text longer than the encoder", "en", 1)]


def test_nothing_half_a_character_and_quantized_weights(folders, tmp_path):
    name = f"hidden:{folders['llama']}"
    assert embed([], name).shape == (0, 32)
    halves = embed(["a\ud800b", "a\ufffdb"], name)
    assert np.array_equal(halves[0], halves[1])
    quantized = pl.quantize(folders["llama"], scheme="w8", out=tmp_path / "q")
    rough = embed(TEXTS[:3], f"hidden:{quantized.path}")
    whole = embed(TEXTS[:3], name)
    assert 0 < np.abs(rough - whole).max() < 0.1 * np.abs(whole).max()


def test_what_the_encoder_does_not_know_is_counted(folders):
    ledger = Ledger()
    embed(["good day", "วันนี้อากาศดีมาก", "今天"], f"hidden:{folders['bert']}",
          languages=["en", "th", "zh"], ledger=ledger)  # fmt: skip
    assert list(ledger.rows()) == [
        ("unknown to the encoder: half or more of a text's tokens", "th", 1)
    ]


def test_the_cache_gives_the_same_bytes_and_is_read(folders, tmp_path, monkeypatch):
    name, folder = f"hidden:{folders['bert']}", tmp_path / "cache"
    fresh = embed(TEXTS, name)
    monkeypatch.setattr(text_vectors_module, "_BLOCK_TEXTS", 3)
    assert np.array_equal(embed(TEXTS, name, cache=folder), fresh)
    blocks = sorted(folder.rglob("*.safetensors"))
    assert len(blocks) > 2
    before = {path.name: path.read_bytes() for path in blocks}
    blocks[0].unlink()  # killed before it was written
    blocks[1].write_bytes(before[blocks[1].name][:50])  # damaged
    ledgers = Ledger(), Ledger()
    assert np.array_equal(embed(TEXTS, name, cache=folder, ledger=ledgers[0]), fresh)
    assert {path.name for path in folder.rglob("*.safetensors")} >= before.keys() - {blocks[1].name}

    def no_body(*_):
        raise AssertionError("computed again")

    monkeypatch.setattr(text_vectors_module, "_Pool", no_body)
    assert np.array_equal(embed(TEXTS, name, cache=folder, ledger=ledgers[1]), fresh)
    assert ledgers[0] == ledgers[1]
    with pytest.raises(AssertionError, match="again"):
        embed(TEXTS, f"{name}#layer=1", cache=folder)


def test_a_checkpoint_that_cannot_see_gets_one_line(folders, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in folders["llama"].iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    from safetensors.torch import load_file, save_file

    tensors = load_file(broken / "model.safetensors")
    name = next(name for name in tensors if "norm" in name)
    save_file({**tensors, name: tensors[name] * float("nan")}, broken / "model.safetensors",
              metadata={"format": "pt"})  # fmt: skip
    with pytest.raises(InputError, match="hidden states that are not finite, of "):
        embed(TEXTS, f"hidden:{broken}")
    save_file({n: t for n, t in tensors.items() if n != name}, broken / "model.safetensors",
              metadata={"format": "pt"})  # fmt: skip
    with pytest.raises(InputError, match="1 tensors are missing"):
        embed(TEXTS, f"hidden:{broken}")
    (broken / "tokenizer.json").unlink()
    with pytest.raises(InputError, match="tokenizer"):
        embed(TEXTS, f"hidden:{broken}")
    for wrong in ("ngram", "hidden", "hidden:", "vectors:none.npy", "ngrams#size=3", "ngrams:x",
                  "ngrams#width=x", "hidden:none", "sentence:none"):  # fmt: skip
        with pytest.raises(InputError) as error:
            find_encoder(wrong)
        assert "\n" not in str(error.value)
