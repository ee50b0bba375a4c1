"""The union of tokenizers: the first one's ids stay, the others' new tokens are appended."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tokenizers as hf

from polylect.base import InputError, Ledger, read_json

TOKENIZER = "tokenizer.json"
_SAME = ("normalizer", "pre_tokenizer", "decoder")
_KINDS = ("BPE", "Unigram", "WordPiece", "WordLevel")
_NEVER_SCORE = -1e6
_HINT = "merge models whose tokenizers split text by the same rules"


@dataclass(frozen=True)
class Vocabulary:
    """One model's tokens.

    Attributes:
        label: label of the model.
        data: content of its ``tokenizer.json``.
        ids: ids by token, including added tokens.
        backend: the tokenizer.
    """

    label: str
    data: Mapping[str, Any] = field(repr=False)
    ids: Mapping[str, int] = field(repr=False)
    backend: Any = field(repr=False)

    @classmethod
    def read(cls, label: str, folder: Path) -> "Vocabulary":
        """Read the vocabulary of a checkpoint's folder.

        Raises:
            InputError: no ``tokenizer.json``, or one that cannot be read.
        """
        path = folder / TOKENIZER
        if not path.is_file():
            raise InputError(
                f"{folder}: no {TOKENIZER}, so its vocabulary cannot be joined with others",
                "save the tokenizer with transformers: AutoTokenizer.from_pretrained(DIR)"
                ".save_pretrained(DIR)",
            )
        data = read_json(path)
        try:
            backend = hf.Tokenizer.from_str(json.dumps(data))
        except Exception as error:  # the Rust side raises bare exceptions
            reason = str(error).splitlines()[0][:100]
            raise InputError(f"{path}: not a tokenizer ({reason})", "save it again") from None
        kind = data["model"].get("type", "BPE")
        if kind not in _KINDS:
            raise InputError(
                f"{path}: a tokenizer of kind {kind}", f"{', '.join(_KINDS)} are supported"
            )
        backend.encode_special_tokens = True
        return cls(label, data, backend.get_vocab(with_added_tokens=True), backend)

    @property
    def added(self) -> dict[str, dict[str, Any]]:
        """Its added tokens, including special ones, by content."""
        return {token["content"]: token for token in self.data.get("added_tokens") or []}

    def parts(self, token: str, *, added: bool) -> list[int]:
        """Ids of the tokens that this tokenizer splits an unknown token into; may be empty.

        Args:
            token: the token, with the vocabulary's marks for spaces and bytes.
            added: whether it is an added token elsewhere, i.e. plain text.
        """
        if added:
            ids = list(self.backend.encode(token, add_special_tokens=False).ids)
        else:
            ids = [part.id for part in self.backend.model.tokenize(token)]
        model = self.data["model"]
        unknown = model.get("unk_id", self.ids.get(model.get("unk_token") or ""))
        return [id_ for id_ in ids if id_ != unknown]


@dataclass(frozen=True)
class Union:
    """The joint vocabulary of several models.

    Attributes:
        data: content of its ``tokenizer.json``.
        ids: ids by token; the first model's are unchanged.
        origin: label of the first model that has a token, by token.
        ledger: harmless differences between the tokenizers.
    """

    data: Mapping[str, Any] = field(repr=False)
    ids: Mapping[str, int] = field(repr=False)
    origin: Mapping[str, str] = field(repr=False)
    ledger: Ledger = field(compare=False)

    @property
    def num_rows(self) -> int:
        """Rows of an embedding: one more than the largest id."""
        return max(self.ids.values()) + 1


def join_vocabularies(parts: Sequence[Vocabulary]) -> Union:
    """The union: the first tokenizer, with all tokens and merges of the others appended.

    The first one's ids stay. Tokens of the others follow in the order of the models, then of their
    ids. For BPE, the first one's merges come first, so that they take precedence; the others'
    follow in order. A token is an added token in the union if it is one in the first model that
    has it. The other rules (normalizer, pre-tokenizer, decoder, kind) must be the same in all.

    Raises:
        InputError: the tokenizers split text by different rules (names the first difference), or
            the joint tokenizer would not keep its ids.
    """
    first = parts[0]
    ledger = Ledger()
    for other in parts[1:]:
        _check_same_rules(first, other, ledger)
    ids, origin = dict(first.ids), dict.fromkeys(first.ids, first.label)
    added = dict(first.added)
    next_id = max(ids.values(), default=-1) + 1
    for other in parts[1:]:
        other_added = other.added
        for token in sorted(other.ids, key=other.ids.__getitem__):
            if token not in ids:
                ids[token], origin[token] = next_id, other.label
                next_id += 1
                if token in other_added:
                    added[token] = other_added[token] | {"id": ids[token]}
            elif (token in other_added) != (token in added):
                ledger.count(f"fell back: {origin[token]}'s kind of token", 1, other.label)
    added_tokens = sorted(added.values(), key=lambda token: token["id"])
    data = dict(first.data) | {"added_tokens": added_tokens, "model": _joint_model(parts, ids)}
    _check_ids(data, ids)
    return Union(data, ids, origin, ledger)


def _check_same_rules(first: Vocabulary, other: Vocabulary, ledger: Ledger) -> None:
    for key in _SAME:
        if first.data.get(key) != other.data.get(key):
            raise InputError(f"{other.label}: its {key} is not that of {first.label}", _HINT)
    expected, actual = first.data["model"], other.data["model"]
    for key in sorted({*expected, *actual} - {"vocab", "merges", "dropout"}):
        if expected.get(key) != actual.get(key):
            raise InputError(
                f"{other.label}: its tokenizer's {key} is {actual.get(key)!r}, in {first.label} "
                f"{expected.get(key)!r}",
                _HINT,
            )
    if first.data.get("post_processor") != other.data.get("post_processor"):
        ledger.count("fell back: first model's post_processor", 1, other.label)


def _joint_model(parts: Sequence[Vocabulary], ids: Mapping[str, int]) -> dict[str, Any]:
    """The model of the joint tokenizer, with every token in its vocabulary.

    That includes added tokens: the tokenizers library gives one that is missing the next free id.
    """
    model = dict(parts[0].data["model"])
    by_id = sorted(ids, key=ids.__getitem__)
    if model.get("type") == "Unigram":
        scores: dict[str, float] = {}
        for part in parts:
            for piece, score in part.data["model"]["vocab"]:
                scores.setdefault(piece, score)
        if [ids[token] for token in by_id] != list(range(len(by_id))):
            raise InputError(
                f"{parts[0].label}: ids of its vocabulary have gaps",
                "save the tokenizer without them",
            )
        # An added token must not match ordinary text that happens to spell it.
        return model | {"vocab": [[token, scores.get(token, _NEVER_SCORE)] for token in by_id]}
    model["vocab"] = {token: ids[token] for token in by_id}
    if "merges" in model:
        merges: dict[tuple[str, str], None] = {}
        for part in parts:
            merges |= {_pair(merge): None for merge in part.data["model"]["merges"]}
        model["merges"] = [list(pair) for pair in merges]
    return model


def _pair(merge: Any) -> tuple[str, str]:
    """The two sides of a merge; older files store them as one text."""
    left, right = merge.split(" ", 1) if isinstance(merge, str) else merge
    return left, right


def _check_ids(data: Mapping[str, Any], ids: Mapping[str, int]) -> None:
    """Check the ids against those that the tokenizers library gives for the file."""
    loaded = hf.Tokenizer.from_str(json.dumps(data)).get_vocab(with_added_tokens=True)
    wrong = sorted(token for token in {*ids, *loaded} if ids.get(token) != loaded.get(token))
    if wrong:
        token = wrong[0]
        raise InputError(
            f"the joint tokenizer gives {token!r} the id {loaded.get(token)}, not {ids.get(token)}",
            "give the model with most tokens first",
        )
