"""Small random sequence-to-sequence checkpoints of four families, with tokenizers of their kind."""

import io
import json
import warnings

import torch
import transformers

SENTENCES = (
    "The house is small and old.", "Das Haus ist klein und alt.", "Ev küçük ve eski.",
    "La casa es pequeña y vieja.", "She reads a book every day.", "Sie liest jeden Tag ein Buch.",
    "The cat sleeps on the chair.", "Die Katze schläft auf dem Stuhl.", "今天天气很好。",
)  # fmt: skip
SIZES = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
         "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32,
         "max_position_embeddings": 64}  # fmt: skip
FAMILIES = ("m2m100", "nllb", "marian", "t5")


def pieces(path):
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 4), model_writer=model, vocab_size=90,
        hard_vocab_limit=False, unk_id=0, bos_id=1, eos_id=2, minloglevel=2,
    )  # fmt: skip
    path.write_bytes(model.getvalue())
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return [processor.id_to_piece(i) for i in range(processor.get_piece_size())]


def write_translator(folder, family, seed=0):
    """A random checkpoint; its tokenizer names the languages as its family's does."""
    folder.mkdir(parents=True)
    vocab = pieces(folder / "pieces.model")
    words = [piece for piece in vocab if piece not in ("<unk>", "<s>", "</s>")]
    if family == "m2m100":
        ids = {word: i for i, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", *words])}
        (folder / "vocab.json").write_text(json.dumps(ids), encoding="utf-8")
        tokenizer = transformers.M2M100Tokenizer(
            str(folder / "vocab.json"), str(folder / "pieces.model"), src_lang="en", tgt_lang="de"
        )
        config = transformers.M2M100Config(
            vocab_size=len(ids) + 128, **SIZES, pad_token_id=1, bos_token_id=0, eos_token_id=2,
            decoder_start_token_id=2,
        )  # fmt: skip
        model = transformers.M2M100ForConditionalGeneration
    elif family == "nllb":
        ids = {word: i for i, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", *words])}
        tokenizer = transformers.NllbTokenizer(
            vocab=ids, merges=[], src_lang="eng_Latn", tgt_lang="deu_Latn",
            extra_special_tokens=["eng_Latn", "deu_Latn", "tur_Latn", "zho_Hans", "srp_Cyrl"],
        )  # fmt: skip
        config = transformers.M2M100Config(
            vocab_size=len(ids) + 128, **SIZES, pad_token_id=1, bos_token_id=0, eos_token_id=2,
            decoder_start_token_id=2,
        )  # fmt: skip
        model = transformers.M2M100ForConditionalGeneration
    elif family == "marian":
        ids = {word: i for i, word in enumerate(["</s>", "<unk>", *words, "<pad>"])}
        (folder / "vocab.json").write_text(json.dumps(ids), encoding="utf-8")
        spm = str(folder / "pieces.model")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it recommends another package
            tokenizer = transformers.MarianTokenizer(
                spm, spm, str(folder / "vocab.json"), source_lang="en", target_lang="de"
            )
        pad = ids["<pad>"]
        config = transformers.MarianConfig(
            vocab_size=len(ids), **SIZES, pad_token_id=pad, eos_token_id=0, bos_token_id=0,
            decoder_start_token_id=pad,
        )  # fmt: skip
        model = transformers.MarianMTModel
    else:
        scores = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((w, -2.0) for w in words)]
        tokenizer = transformers.T5Tokenizer(vocab=scores, extra_ids=4)
        config = transformers.T5Config(
            vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2,
            decoder_start_token_id=0, eos_token_id=1, pad_token_id=0,
            task_specific_params={
                "translation_en_to_de": {"prefix": "translate English to German: "},
                "summarization": {"prefix": "summarize: "},
            },
        )  # fmt: skip
        model = transformers.T5ForConditionalGeneration
    torch.manual_seed(seed)
    built = model(config)
    with torch.no_grad():
        for parameter in built.parameters():
            if parameter.ndim == 2:
                parameter.mul_(8)
    built.generation_config.max_length = None
    built.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def plain_translation(folder, family, text, source, target, max_new_tokens):
    """The translation of one text by transformers alone, as each family's documentation shows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    options = {}
    if family in ("m2m100", "nllb"):
        tokenizer.src_lang = source
        options["forced_bos_token_id"] = (
            tokenizer.get_lang_id(target)
            if family == "m2m100"
            else tokenizer.convert_tokens_to_ids(target)
        )
    if family == "t5":
        text = f"translate English to German: {text}"
    encoded = tokenizer(text, return_tensors="pt")
    with torch.no_grad():
        tokens = model.generate(
            **encoded, max_new_tokens=max_new_tokens, do_sample=False, num_beams=1, **options
        )
    return tokenizer.decode(tokens[0], skip_special_tokens=True)
