"""The union of tokenizers: the first one's ids stay, what the others have more is appended."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tokenizers as hf

from polylect.base import InputError, Ledger, read_json

TOKENIZER = "tokenizer.json"
_ALIKE = ("normalizer", "pre_tokenizer", "decoder")
_KINDS = ("BPE", "Unigram", "WordPiece", "WordLevel")
_NEVER = -1e6
_HINT = "merge models whose tokenizers cut text by the same rules"


@dataclass(frozen=True)
class Vocabulary:
    """One model's tokens.

    Attributes:
        label: of the model.
        data: its ``tokenizer.json``.
        ids: by the token's spelling, added ones among them.
        backend: the tokenizer itself.
    """

    label: str
    data: Mapping[str, Any] = field(repr=False)
    ids: Mapping[str, int] = field(repr=False)
    backend: Any = field(repr=False)

    @classmethod
    def read(cls, label: str, folder: Path) -> "Vocabulary":
        """The vocabulary in a checkpoint's folder.

        Raises:
            InputError: no ``tokenizer.json``, or not one that can be read.
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
            raise InputError(f"{path}: a tokenizer of kind {kind}", f"{', '.join(_KINDS)} are read")
        backend.encode_special_tokens = True
        return cls(label, data, backend.get_vocab(with_added_tokens=True), backend)

    @property
    def added(self) -> dict[str, dict[str, Any]]:
        """Its added tokens, special ones among them, by their spelling."""
        return {one["content"]: one for one in self.data.get("added_tokens") or []}

    def parts(self, token: str, *, added: bool) -> list[int]:
        """Ids of what this tokenizer makes of a token that it does not have; may be empty.

        Args:
            token: as the vocabulary spells it, with its marks for spaces and bytes.
            added: it is an added token elsewhere, spelled as plain text.
        """
        if added:
            found = list(self.backend.encode(token, add_special_tokens=False).ids)
        else:
            found = [one.id for one in self.backend.model.tokenize(token)]
        model = self.data["model"]
        unknown = model.get("unk_id", self.ids.get(model.get("unk_token") or ""))
        return [one for one in found if one != unknown]


@dataclass(frozen=True)
class Union:
    """The joint vocabulary of several models.

    Attributes:
        data: its ``tokenizer.json``.
        ids: by spelling; the first model's are unchanged.
        origin: label of the model that a token was first seen in.
        ledger: what differs between the tokenizers and is settled by a rule.
    """

    data: Mapping[str, Any] = field(repr=False)
    ids: Mapping[str, int] = field(repr=False)
    origin: Mapping[str, str] = field(repr=False)
    ledger: Ledger = field(compare=False)

    @property
    def num_rows(self) -> int:
        """Rows that an embedding needs: one more than the largest id."""
        return max(self.ids.values()) + 1


def join_vocabularies(parts: Sequence[Vocabulary]) -> Union:
    """The union: the first tokenizer, with all tokens and merges of the others appended.

    Ids of the first stay. Tokens of the others follow in the order of the models, then of their
    ids. Of BPE, the first one's merges come first, so that they win; the others' follow in their
    order. An added token is one in the union if it is one in the first model that has it. What
    encodes text besides (normalizer, pre-tokenizer, decoder, kind) must be the same in all.

    Raises:
        InputError: the tokenizers cut text by other rules (the first difference is named), or the
            joint tokenizer would not keep its ids.
    """
    first = parts[0]
    ledger = Ledger()
    for one in parts[1:]:
        _check_alike(first, one, ledger)
    ids, origin = dict(first.ids), dict.fromkeys(first.ids, first.label)
    added = dict(first.added)
    free = max(ids.values(), default=-1) + 1
    for one in parts[1:]:
        for token in sorted(one.ids, key=lambda name: one.ids[name]):
            if token not in ids:
                ids[token], origin[token] = free, one.label
                free += 1
                if token in one.added:
                    added[token] = one.added[token] | {"id": ids[token]}
            elif (token in one.added) != (token in added):
                ledger.count(f"fell back: {origin[token]}'s kind of token", 1, one.label)
    listed = sorted(added.values(), key=lambda token: token["id"])
    data = dict(first.data) | {"added_tokens": listed, "model": _joint_model(parts, ids)}
    _check_ids(data, ids)
    return Union(data, ids, origin, ledger)


def _check_alike(first: Vocabulary, other: Vocabulary, ledger: Ledger) -> None:
    for key in _ALIKE:
        if first.data.get(key) != other.data.get(key):
            raise InputError(f"{other.label}: its {key} is not that of {first.label}", _HINT)
    ours, theirs = first.data["model"], other.data["model"]
    for key in sorted({*ours, *theirs} - {"vocab", "merges", "dropout"}):
        if ours.get(key) != theirs.get(key):
            raise InputError(
                f"{other.label}: its tokenizer's {key} is {theirs.get(key)!r}, in {first.label} "
                f"{ours.get(key)!r}",
                _HINT,
            )
    if first.data.get("post_processor") != other.data.get("post_processor"):
        ledger.count("fell back: first model's post_processor", 1, other.label)


def _joint_model(parts: Sequence[Vocabulary], ids: Mapping[str, int]) -> dict[str, Any]:
    """The model of the joint tokenizer, every token in its vocabulary.

    Added tokens stand there too: the tokenizers library gives one that does not the next free id.
    """
    model = dict(parts[0].data["model"])
    by_id = sorted(ids, key=lambda token: ids[token])
    if model.get("type") == "Unigram":
        scores: dict[str, float] = {}
        for one in parts:
            for piece, score in one.data["model"]["vocab"]:
                scores.setdefault(piece, score)
        if [ids[token] for token in by_id] != list(range(len(by_id))):
            raise InputError(f"{parts[0].label}: ids of its vocabulary have gaps",
                             "save the tokenizer without them")  # fmt: skip
        # A token that was only added must not be read from text that happens to spell it.
        return model | {"vocab": [[token, scores.get(token, _NEVER)] for token in by_id]}
    model["vocab"] = {token: ids[token] for token in by_id}
    if "merges" in model:
        merges: dict[tuple[str, str], None] = {}
        for one in parts:
            merges |= {_pair(merge): None for merge in one.data["model"]["merges"]}
        model["merges"] = [list(one) for one in merges]
    return model


def _pair(merge: Any) -> tuple[str, str]:
    """The two sides of a merge; older files write them as one text."""
    left, right = merge.split(" ", 1) if isinstance(merge, str) else merge
    return left, right


def _check_ids(data: Mapping[str, Any], ids: Mapping[str, int]) -> None:
    """Hold the ids against what the tokenizers library makes of the file."""
    found = hf.Tokenizer.from_str(json.dumps(data)).get_vocab(with_added_tokens=True)
    wrong = sorted(token for token in {*ids, *found} if ids.get(token) != found.get(token))
    if wrong:
        token = wrong[0]
        raise InputError(
            f"the joint tokenizer gives {token!r} the id {found.get(token)}, not {ids.get(token)}",
            "give the model with most tokens first",
        )
