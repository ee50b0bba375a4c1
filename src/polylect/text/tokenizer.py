"""Tokenizers: any Hugging Face tokenizer behind a small class, and training one.

A trained tokenizer is a byte-level BPE: no byte is unknown, so that decoding inverts encoding. Its
pre-tokenization keeps combining marks with their letters (GPT-2's pattern splits off every Hindi
vowel sign) and splits digits one by one.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers as hf

from polylect.base import InputError, digest_of, read_json, refuse_pointer, write_json, write_text
from polylect.checkpoints import files_beside
from polylect.text.special_tokens import MARK, encode_marked, pattern_of, with_marks
from polylect.text.tokenizer_conversion import convert_tokenizer

PAD, BOS, EOS = "<PAD>", "<BOS>", "<EOS>"
_FILE, _CONFIG = "tokenizer.json", "tokenizer_config.json"
_BOS_NAMES = (BOS, "<s>", "<bos>", "<BOS_TOKEN>", "<|begin_of_text|>", "<|startoftext|>")
_EOS_NAMES = (EOS, "</s>", "<eos>", "<|END_OF_TURN_TOKEN|>", "<|end_of_text|>", "<|endoftext|>")

# A letter run with at most one leading sign or space; one digit; signs; line ends; other spaces.
_WORDS = (
    r"[^\r\n\p{L}\p{M}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_BYTES = 256


class Tokenizer:
    """A tokenizer that neither adds special tokens nor reads them from text.

    Text that spells a special token (``<EOS>``) is encoded as ordinary characters; transformers
    would encode it as the special token.
    """

    def __init__(
        self,
        backend: hf.Tokenizer,
        config: Mapping[str, Any] | None = None,
        changes: Mapping[str, Any] | None = None,
    ) -> None:
        """Wrap a tokenizer.

        Args:
            backend: the tokenizer.
            config: the content of ``tokenizer_config.json``, which names the special tokens.
            changes: keys of it that are not as they were loaded; None for one that was removed.

        Raises:
            InputError: there is no end-of-text token.
        """
        self._backend = backend
        self._backend.no_truncation()
        self._backend.no_padding()
        self._backend.encode_special_tokens = True
        self.config = dict(config or {})
        self._changes = dict(changes or {})
        self.eos_id = self._find("eos_token", _EOS_NAMES)
        if self.eos_id < 0:
            raise InputError(
                "the tokenizer has no end-of-text token",
                f'name it in {_CONFIG}: {{"eos_token": "..."}}',
            )
        self._num_rows: int | None = None
        bos_id = self._find("bos_token", _BOS_NAMES)
        self.bos_id = bos_id if bos_id >= 0 else self.eos_id
        """The token that begins a text; end-of-text if there is no other (GPT-2, Qwen)."""

    @classmethod
    def load(cls, path: Path) -> "Tokenizer":
        """The tokenizer in a folder, or in a ``tokenizer.json``.

        A folder with other files of a tokenizer (SentencePiece, a vocabulary) is converted by
        transformers, which must be installed then. Code in the folder is never run, nothing is
        downloaded.

        Raises:
            InputError: there is no tokenizer, or it cannot be read.
        """
        file = path / _FILE if path.is_dir() else path
        if not file.is_file():
            others = files_beside(path).vocabularies if path.is_dir() else ()
            if others:
                return cls._at(path / _FILE, *convert_tokenizer(path, others))
            raise InputError(f"{file}: no such file", f"name a folder that holds {_FILE}")
        refuse_pointer(file)
        try:
            backend = hf.Tokenizer.from_file(str(file))
        except Exception as error:  # the Rust side raises bare exceptions
            reason = str(error).splitlines()[0][:100]
            raise InputError(f"{file}: not a tokenizer ({reason})", "save it again") from None
        config = file.with_name(_CONFIG)
        return cls._at(file, backend, read_json(config) if config.is_file() else {})

    @classmethod
    def _at(cls, place: Path, backend: hf.Tokenizer, config: Any) -> "Tokenizer":
        if not isinstance(config, dict):
            raise InputError(
                f"{place.with_name(_CONFIG)}: not an object", "save the tokenizer again"
            )
        try:
            return cls(backend, config)
        except InputError as error:
            raise InputError(f"{place}: {error.message}", error.hint) from None

    def _find(self, name: str, candidates: Sequence[str]) -> int:
        """Id of a special token by the configuration, else by its usual names; -1 if none."""
        named = self.config.get(name)
        if isinstance(named, dict):
            named = named.get("content")
        for token in [named] if named else candidates:
            token_id = self._backend.token_to_id(str(token))
            if token_id is not None:
                return token_id
        return -1

    @cached_property
    def pad_id(self) -> int:
        """Id of the padding token, EOS if there is none; polylect never pads, other tools do."""
        pad_id = self._find("pad_token", (PAD, "<pad>"))
        return pad_id if pad_id >= 0 else self.eos_id

    def with_pad(self) -> "Tokenizer":
        """This tokenizer, its padding token named in the configuration, for tools that pad."""
        return self._with("pad_token", self.text_of(self.pad_id))

    def without_template(self) -> "Tokenizer":
        """This tokenizer, without a chat template in its configuration."""
        return self._with("chat_template", None)

    def _with(self, key: str, value: str | None) -> "Tokenizer":
        """This tokenizer with a key of its configuration set; None removes it."""
        if self.config.get(key) == value:
            return self
        config = {name: kept for name, kept in self.config.items() if name != key}
        config |= {} if value is None else {key: value}
        changed = Tokenizer(self._backend, config, {**self._changes, key: value})
        changed._num_rows = self._num_rows
        return changed

    def within(self, num_rows: int | None) -> "Tokenizer":
        """This tokenizer, refusing text with tokens that a model has no row for.

        Args:
            num_rows: of the model's embedding; None if unknown, which refuses nothing.

        Raises:
            InputError: the end-of-text token has none.
        """
        if num_rows is None or num_rows >= self.vocab_size:
            return self
        if self.eos_id >= num_rows:
            raise no_row(self.eos_id, num_rows, self.text_of(self.eos_id))
        limited = Tokenizer(self._backend, self.config, self._changes)
        limited._num_rows = num_rows
        return limited

    @cached_property
    def unknown_id(self) -> int:
        """Id of the token for unknown characters; -1 if there is none."""
        return self._find("unk_token", ("<unk>", "[UNK]", "<UNK>"))

    @cached_property
    def special_texts(self) -> tuple[str, ...]:
        """The texts of its special tokens."""
        added = self._backend.get_added_tokens_decoder().values()
        return tuple(token.content for token in added if token.special)

    def has_special(self, *texts: str) -> bool:
        """Whether a text spells a special token."""
        pattern = pattern_of(self.special_texts)
        return pattern is not None and any(map(pattern.search, texts))

    def with_marks(self, text: str) -> str:
        """A text to be put into a chat, its special tokens' texts marked (``special_tokens``)."""
        return str(with_marks(text, self.special_texts))

    def text_of(self, token_id: int) -> str:
        """The text of a token; empty for an unknown id."""
        return self._backend.id_to_token(token_id) or ""

    @cached_property
    def ids(self) -> np.ndarray:
        """The ids of all its tokens, ascending, int64."""
        return np.unique([*self._backend.get_vocab(with_added_tokens=True).values()])

    @cached_property
    def vocab_size(self) -> int:
        """One more than the largest id."""
        return max(self._backend.get_vocab(with_added_tokens=True).values()) + 1

    @cached_property
    def digest(self) -> str:
        """Digest of vocabulary, merges, rules and special tokens; not of the path."""
        return digest_of({"tokenizer": self._backend.to_str(), "ids": [self.bos_id, self.eos_id]})

    def encode(self, texts: Sequence[str], *, special: bool = False) -> list[np.ndarray]:
        """Ids of every text, int32 [tokens], in order; no BOS and no EOS.

        Args:
            texts: any.
            special: encode texts of special tokens as these tokens, but for those with a mark
                (``special_tokens``): for rendered chats, never for untrusted text.

        Raises:
            InputError: a token has no row in the model's embedding; see ``within``.
        """
        self._backend.encode_special_tokens = not special
        try:
            encodings = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        finally:
            self._backend.encode_special_tokens = True
        encoded = [np.array(encoding.ids, dtype=np.int32) for encoding in encodings]
        for number, text in enumerate(texts if special else ()):
            if MARK in text:
                encoded[number] = self._encode_marked(text)
        num_rows = self._num_rows
        for ids in encoded:
            if num_rows is not None and len(ids) and ids.max() >= num_rows:
                raise no_row(int(ids.max()), num_rows, self.text_of(int(ids.max())))
        return encoded

    def _encode_marked(self, text: str) -> np.ndarray:
        marked, special = pattern_of(self.special_texts, MARK), pattern_of(self.special_texts)
        if marked is None or special is None:
            return self._encode_special(text)
        return encode_marked(text, marked, special, self._encode_special, self.decode)

    def _encode_special(self, text: str) -> np.ndarray:
        """Ids of a text whose special tokens are read, int32."""
        self._backend.encode_special_tokens = False
        try:
            ids = self._backend.encode(text, add_special_tokens=False).ids
        finally:
            self._backend.encode_special_tokens = True
        return np.array(ids, np.int32)

    @cached_property
    def adds_bos(self) -> bool:
        """Whether its post-processor, and so transformers, begins a text with BOS."""
        return self._backend.encode("a", add_special_tokens=True).ids[:1] == [self.bos_id]

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """The text of ids, special tokens included; bytes that are not UTF-8 become U+FFFD."""
        return self._backend.decode([int(token_id) for token_id in ids], skip_special_tokens=False)

    def save(self, folder: Path) -> None:
        """Write ``tokenizer.json`` and ``tokenizer_config.json``, which transformers loads.

        Equal tokenizers give equal bytes. Transformers adds BOS if the tokenizer's post-processor
        does; without special tokens it gives the same ids as ``encode``.
        """
        write_text(folder / _FILE, self._backend.to_str(pretty=True))
        self._write_config(folder)

    def save_beside(self, folder: Path) -> None:
        """Complete the files of this tokenizer that were carried into a folder from its own.

        They stay as they are; only keys of ``tokenizer_config.json`` that were changed since it was
        loaded are changed there. Without a tokenizer in the folder it is saved.
        """
        path = folder / _CONFIG
        if not files_beside(folder).vocabularies:
            self.save(folder)
        elif not path.is_file():
            self._write_config(folder)
        elif self._changes:
            config = {**read_json(path), **self._changes}
            write_json(path, {key: value for key, value in config.items()
                              if value is not None or key not in self._changes})  # fmt: skip

    def _write_config(self, folder: Path) -> None:
        special = {"bos_token": self.bos_id, "eos_token": self.eos_id}
        neutral = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "clean_up_tokenization_spaces": False,
            "model_max_length": 1 << 30,
        } | {name: self._backend.id_to_token(number) for name, number in special.items()}
        write_json(folder / _CONFIG, neutral | self.config)


def no_row(token_id: int, num_rows: int, text: str = "") -> InputError:
    """The error for a token that a model has no row for: some tokenizers have more tokens."""
    shown = f" ({text})" if text else ""
    return InputError(
        f"token {token_id}{shown} has no row in the model's embedding, which has {num_rows:,}",
        "use the model's own tokenizer, or enlarge the embedding first (transformers:"
        " resize_token_embeddings)",
    )


def train_bpe(
    texts: Mapping[str, Sequence[str]],
    *,
    vocab_size: int,
    temperature: float = 3.0,
    max_characters: int = 4_000_000,
) -> Tokenizer:
    """A byte-level BPE tokenizer with ``<PAD>``, ``<BOS>``, ``<EOS>`` as ids 0, 1, 2.

    A language's share of the training text is proportional to characters^(1/temperature): 1
    follows the sizes, higher is flatter; small languages repeat. Equal texts give equal bytes,
    whatever the order of languages and texts or the number of threads.

    Args:
        texts: texts by language.
        vocab_size: entries, special tokens and the 256 bytes included; fewer if the text has no
            more pairs to merge.
        temperature: 1 or more.
        max_characters: characters of training text, over all languages.

    Raises:
        InputError: no text, or a value out of range.
    """
    least = _BYTES + len((PAD, BOS, EOS))
    if vocab_size < least:
        raise InputError(f"vocab_size is {vocab_size}", f"{least} is the least: bytes and specials")
    if temperature < 1:
        raise InputError(f"temperature is {temperature}", "give 1 or more; 1 follows the sizes")
    sizes = {tag: sum(map(len, of_language)) for tag, of_language in texts.items()}
    if not any(sizes.values()):
        raise InputError("no text to train a tokenizer on", "collect some text first")
    budget = min(max_characters, sum(sizes.values()))
    weights = {tag: math.pow(sizes[tag], 1 / temperature) for tag in sorted(sizes) if sizes[tag]}
    scale = budget / math.fsum(weights.values())
    backend = _untrained()
    trainer = hf.trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, BOS, EOS],
        initial_alphabet=hf.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(
        (
            text
            for tag, weight in weights.items()
            for text in _quota(texts[tag], round(weight * scale))
        ),
        trainer=trainer,
    )
    bos_id = backend.token_to_id(BOS)
    backend.post_processor = hf.processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B:1", special_tokens=[(BOS, bos_id)]
    )
    return Tokenizer(backend, {"pad_token": PAD, "bos_token": BOS, "eos_token": EOS})


def _untrained() -> hf.Tokenizer:
    backend = hf.Tokenizer(hf.models.BPE())
    backend.pre_tokenizer = hf.pre_tokenizers.Sequence(
        [
            hf.pre_tokenizers.Split(hf.Regex(_WORDS), behavior="isolated"),
            hf.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = hf.decoders.ByteLevel()
    return backend


def _quota(texts: Sequence[str], characters: int) -> Iterator[str]:
    """Texts up to a number of characters in hash order, repeated if too few."""
    order = sorted(texts, key=lambda text: hashlib.sha256(text.encode()).digest())
    remaining = characters
    while remaining > 0:
        for text in order:
            yield text[:remaining]
            remaining -= len(text)
            if remaining <= 0:
                break
