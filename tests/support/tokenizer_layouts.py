"""Tiny models whose tokenizers lie in the folder in each of the ways that people publish them."""

import base64
import json
import shutil
from pathlib import Path

import tokenizers
import torch
import transformers
from safetensors.torch import save_file

from polylect.text import train_bpe

TEXT = [
    "the red house is large and a small tree stands here",
    "we walk to the sea and look at the red sun",
    "das rote Haus ist groß und ein kleiner Baum steht hier",
    "wir gehen ans Meer und sehen die rote Sonne an",
] * 8
OTHER_TEXT = ["zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich"] * 8
ROWS = 400
"""Rows of every model's embedding: the vocabularies are padded to it."""

ROLES = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def write_weights(folder, seed=0):
    """A random Llama; one scale of weights, so that models can be merged."""
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        vocab_size=ROWS, hidden_size=32, intermediate_size=64, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=128,
        bos_token_id=1, eos_token_id=2, tie_word_embeddings=True,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(folder)


def _json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def fast(folder, text, specials=()):
    tokenizer = train_bpe({"en": text}, vocab_size=320)
    tokenizer._backend.add_special_tokens(
        [tokenizers.AddedToken(s, special=True) for s in specials]
    )
    tokenizer.save(folder)
    return tokenizer


def fast_alone(folder, text):
    fast(folder, text)
    (folder / "tokenizer_config.json").unlink()


def byte_level(folder, text):
    """GPT-2's: vocab.json and merges.txt."""
    backend = tokenizers.ByteLevelBPETokenizer()
    backend.train_from_iterator(text, vocab_size=320, special_tokens=["<|endoftext|>"])
    backend.save_model(str(folder))
    config = {"tokenizer_class": "GPT2Tokenizer"}
    _json(folder / "tokenizer_config.json", config | dict.fromkeys(ROLES, "<|endoftext|>"))


def _sentencepiece(folder, text, name, kind, model_type="unigram"):
    import sentencepiece

    source = folder / "text.tmp"
    source.write_text("\n".join(text), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(source), model_prefix=str(folder / "piece"), vocab_size=90, minloglevel=2,
        model_type=model_type, byte_fallback=False, hard_vocab_limit=False, num_threads=1,
    )  # fmt: skip
    source.unlink()
    (folder / "piece.vocab").unlink()
    (folder / "piece.model").rename(folder / name)
    _json(folder / "tokenizer_config.json", {"tokenizer_class": kind, **ROLES})


def llama(folder, text):
    _sentencepiece(folder, text, "tokenizer.model", "LlamaTokenizer", "bpe")


def t5(folder, text):
    _sentencepiece(folder, text, "spiece.model", "T5Tokenizer")


def xlm_r(folder, text):
    _sentencepiece(folder, text, "sentencepiece.bpe.model", "XLMRobertaTokenizer")


def word_piece(folder, text):
    backend = tokenizers.BertWordPieceTokenizer()
    backend.train_from_iterator(text, vocab_size=120)
    backend.save_model(str(folder))
    _json(folder / "tokenizer_config.json", {
        "tokenizer_class": "BertTokenizer", "eos_token": "[SEP]", "bos_token": "[CLS]",
    })  # fmt: skip


def _ranks(text):
    tokens = [bytes([i]) for i in range(256)] + sorted({w.encode() for w in " ".join(text).split()})
    return [(token, rank) for rank, token in enumerate(dict.fromkeys(tokens))]


def tiktoken(folder, text):
    """Qwen's first form: ranks, and a class of the model's own."""
    lines = [f"{base64.b64encode(token).decode()} {rank}" for token, rank in _ranks(text)]
    (folder / "qwen.tiktoken").write_text("\n".join(lines) + "\n")
    (folder / "tokenization_qwen.py").write_text("class QWenTokenizer: pass\n")
    _json(folder / "tokenizer_config.json", {
        "tokenizer_class": "QWenTokenizer",
        "auto_map": {"AutoTokenizer": ["tokenization_qwen.QWenTokenizer", None]},
    })  # fmt: skip


def tekken(folder, text):
    vocab = [{"rank": rank, "token_bytes": base64.b64encode(token).decode(), "token_str": None}
             for token, rank in _ranks(text)]  # fmt: skip
    _json(folder / "tekken.json", {"config": {"pattern": ".", "version": "v3"}, "vocab": vocab})


def mistral_v3(folder, text):
    _sentencepiece(folder, text, "tokenizer.model.v3", "LlamaTokenizer", "bpe")
    (folder / "tokenizer_config.json").unlink()


def bpe_codes(folder, text):
    """PhoBERT's."""
    words = sorted(set(" ".join(text).split()))
    (folder / "vocab.txt").write_text("".join(f"{word} 1\n" for word in words), encoding="utf-8")
    (folder / "bpe.codes").write_text("t h 10\nth e</w> 5\n")
    _json(folder / "tokenizer_config.json", {"tokenizer_class": "PhobertTokenizer"})


def added_tokens(folder, text):
    tokenizer = fast(folder, text, ["<|im_start|>", "<|im_end|>"])
    ids = {t: tokenizer._backend.token_to_id(t) for t in ("<|im_start|>", "<|im_end|>")}
    _json(folder / "added_tokens.json", ids)
    _json(folder / "special_tokens_map.json", {"eos_token": "<EOS>", "bos_token": "<BOS>"})


def padded(folder, text):
    """As many tokens as there are rows but 100: the rest belongs to no token."""
    train_bpe({"en": text}, vocab_size=ROWS - 100).save(folder)


def both(folder, text):
    """Llama's: tokenizer.json made of a SentencePiece model that lies beside it."""
    fast(folder, text)
    (folder / "tokenizer.model").write_bytes(" ".join(text).encode())


def with_processor(folder, text):
    fast(folder, text)
    _json(folder / "preprocessor_config.json", {"image_processor_type": "CLIPImageProcessor"})
    _json(folder / "processor_config.json", {"processor_class": "LlavaProcessor"})
    _json(folder / "chat_template.json", {"chat_template": "{{ messages }}"})
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "tool_use.jinja").write_text("{{ tools }}")


def with_modules(folder, text):
    fast(folder, text)
    paths = {"Transformer": "", "Pooling": "1_Pooling", "Dense": "2_Dense"}
    _json(folder / "modules.json", [
        {"idx": number, "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (kind, path) in enumerate(paths.items())
    ])  # fmt: skip
    (folder / "1_Pooling").mkdir()
    _json(folder / "1_Pooling" / "config.json", {"pooling_mode_mean_tokens": True})
    (folder / "2_Dense").mkdir()
    save_file({"linear.weight": torch.ones(2, 2)}, folder / "2_Dense" / "model.safetensors")
    _json(folder / "config_sentence_transformers.json", {"similarity_fn_name": "cosine"})


LAYOUTS = {
    "`tokenizer.json` and its configuration": fast,
    "`tokenizer.json` alone": fast_alone,
    "`tokenizer.json` beside the `tokenizer.model` it was made of": both,
    "`tokenizer.json` with `added_tokens.json` and `special_tokens_map.json`": added_tokens,
    "`tokenizer.json` with fewer tokens than rows (padded)": padded,
    "byte-level `vocab.json` and `merges.txt` (GPT-2)": byte_level,
    "SentencePiece `tokenizer.model` (Llama 2)": llama,
    "SentencePiece `spiece.model` (T5)": t5,
    "SentencePiece `sentencepiece.bpe.model` (XLM-R)": xlm_r,
    "WordPiece `vocab.txt` (BERT)": word_piece,
    "`bpe.codes` and `vocab.txt` (PhoBERT)": bpe_codes,
    "`*.tiktoken` with a class of its own (Qwen)": tiktoken,
    "`tekken.json` (Mistral)": tekken,
    "`tokenizer.model.v3` (Mistral)": mistral_v3,
    "`tokenizer.json` with a processor and several chat templates": with_processor,
    "`tokenizer.json` with `modules.json` and its folders (sentence-transformers)": with_modules,
}
"""How to write each layout into a folder, by its name in the guide's table."""

LEFT = {
    ".gitattributes": "hidden or temporary",
    ".cache/": "hidden or temporary",
    "pytorch_model.bin": "weights in another format",
    "model-q4.gguf": "weights in another format",
    "onnx/": "weights in another format",
    "original/": "weights in another format",
    "optimizer.pt": "state or log of a training",
    "checkpoint-500/": "state or log of a training",
    "adapter/": "an adapter, which is not applied",
    "older/": "weights of another model",
}
"""What is left of a folder, with the reason."""


def write_beside(folder):
    """Documents that are carried, and what is left, with a file in every folder."""
    (folder / "LICENSE").write_text("Apache-2.0")
    (folder / "README.md").write_text("# A model")
    (folder / "modeling_own.py").write_text("raise SystemExit\n")
    for name in LEFT:
        if name.endswith("/"):
            (folder / name).mkdir()
            file = {"adapter/": "adapter_config.json", ".cache/": "x"}.get(
                name, "model.safetensors"
            )
            (folder / name / file).write_bytes(b"{}")
        else:
            (folder / name).write_bytes(b"x")


def write_layout(folder, name, *, text=None, seed=0):
    """A model with a tokenizer in one layout."""
    folder = Path(folder)
    folder.mkdir(parents=True)
    write_weights(folder, seed)
    LAYOUTS[name](folder, text or TEXT)
    return folder


def copy_with_weights(source, folder, seed):
    """A copy of a model with other weights."""
    shutil.copytree(source, folder)
    write_weights(folder, seed)
    return folder
