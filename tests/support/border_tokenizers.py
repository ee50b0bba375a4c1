"""Small trained tokenizers of the kinds in use, on text in scripts with and without spaces."""

import tokenizers as hf
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from polylect.text import Tokenizer, train_bpe

TEXT = {
    "zh": ["今天天气很好，我们去公园散步。", "公园里的花开得很漂亮，所以人很多。"],
    "ja": [
        "今日は天気がいいので公園へ行きました。",
        "公園の花がきれいでした。",
        "東京都に住んでいます。",
    ],
    "th": ["วันนี้อากาศดีมากเราจึงไปเดินเล่นที่สวน", "ดอกไม้ในสวนสวยมากคนจึงเยอะ"],
    "hi": ["आज मौसम बहुत अच्छा है इसलिए हम पार्क गए।", "पार्क में फूल बहुत सुंदर थे।"],
    "en": ["hello world, the international law of nations", "the weather is fine, café au lait"],
}
CASES = [
    ("hello wor", "ld"),
    ("The inter", "national law"),
    ("今天天", "气很好"),
    ("公园里", "的花开得"),
    ("今日は天", "気がいい"),
    ("東京", "都に住んで"),
    ("公園", "の花"),
    ("วันนี้อากาศ", "ดีมาก"),
    ("ดอกไม้ในส", "วน"),
    ("आज मौस", "म बहुत"),
    ("आज मौसम", " बहुत"),
    ("पार्क में फ", "ूल"),
    ("hello", " world"),
    ("hello ", "world"),
    ("hello\n", "world"),
    ("hello  ", "  world"),
    ("答：", "今天"),
    ("cafe", "\u0301 au lait"),
    ("hello", ", the"),
    ("☃", "☂ x"),
    ("👩", "\u200d🚀 x"),
    ("e", "e"),
    ("3", "4"),
]
"""Contexts and choices, joined without a delimiter."""


def byte_level(**more):
    return train_bpe({tag: texts * 4 for tag, texts in TEXT.items()}, vocab_size=900, **more)


def _trained(backend, trainer, bos=False):
    backend.train_from_iterator([text for texts in TEXT.values() for text in texts * 4], trainer)
    if bos:
        backend.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", backend.token_to_id("<s>"))]
        )
    return Tokenizer(backend, {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"})


SPECIALS = ["<unk>", "<s>", "</s>"]


def byte_level_with_gpt2s_words():
    backend = hf.Tokenizer(models.BPE())
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=900, special_tokens=SPECIALS,
                                  initial_alphabet=alphabet, show_progress=False)  # fmt: skip
    return _trained(backend, trainer)


def unigram(scheme="always"):
    backend = hf.Tokenizer(models.Unigram())
    backend.normalizer = normalizers.NFKC()
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    backend.decoder = decoders.Metaspace(prepend_scheme=scheme)
    trainer = trainers.UnigramTrainer(vocab_size=300, special_tokens=SPECIALS, unk_token="<unk>",
                                      show_progress=False)  # fmt: skip
    return _trained(backend, trainer, bos=True)


def llama2():
    """BPE over characters and bytes, with the mark of a word's beginning before the text."""
    backend = hf.Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    backend.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
         decoders.Strip(" ", 1, 0)]
    )  # fmt: skip
    trainer = trainers.BpeTrainer(
        vocab_size=900, special_tokens=[*SPECIALS, *(f"<0x{i:02X}>" for i in range(256))],
        show_progress=False,
    )  # fmt: skip
    return _trained(backend, trainer, bos=True)


def word_piece():
    backend = hf.Tokenizer(models.WordPiece(unk_token="<unk>"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=SPECIALS,
                                        show_progress=False)  # fmt: skip
    return _trained(backend, trainer)


def word_level():
    backend = hf.Tokenizer(models.WordLevel(unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(special_tokens=SPECIALS, show_progress=False)
    return _trained(backend, trainer)


TOKENIZERS = {
    "byte-level BPE": byte_level,
    "byte-level BPE, GPT-2's words, NFC": byte_level_with_gpt2s_words,
    "Unigram, mark always": unigram,
    "Unigram, mark first": lambda: unigram("first"),
    "Llama 2": llama2,
    "WordPiece": word_piece,
    "whole words": word_level,
}
LOSSLESS = ("byte-level BPE", "Llama 2")
