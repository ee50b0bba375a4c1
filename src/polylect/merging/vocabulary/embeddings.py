"""Checkpoints brought onto one vocabulary: rows moved to their new ids, missing ones made."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from polylect.base import InputError, Ledger, digest_of, read_json, write_json, write_text
from polylect.checkpoints import (
    CONFIG,
    FLOAT_DTYPES,
    TOKENIZER_FILES,
    Checkpoint,
    Floats,
    ShardWriter,
    TensorInfo,
    TensorSpec,
    item_size,
    read_floats,
    read_raw,
    to_bytes,
)
from polylect.merging.compatibility import GENERATION
from polylect.merging.vocabulary.prepared import prepared
from polylect.merging.vocabulary.union import TOKENIZER, Union, Vocabulary, join_vocabularies

REPORT = "vocabulary.json"

# The words by which a tensor that has a row for every token is told from one that happens to.
_NAMES = ("embed", "wte", "lm_head", "word_emb", "output_layer", "embed_out")
_NOT_NAMES = ("position", "wpe", "norm")
_CARRIED = ("tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Alignment:
    """What brings one model onto the joint vocabulary.

    Attributes:
        label: of the model.
        checkpoint: the model as it is.
        tensors: names of those that have a row for every token.
        sources: for every row of the joint vocabulary, the model's own rows that it is the mean
            of: one where it has the token, several where it is made, none where no token has the
            id.
        everything: all rows that belong to a token; the source of a token without parts.
        made: ids of tokens that the model does not have, with the parts that stand for each.
    """

    label: str
    checkpoint: Checkpoint
    tensors: tuple[str, ...]
    sources: Sequence[Sequence[int]]
    everything: Sequence[int]
    made: Mapping[int, Sequence[int]]


@dataclass(frozen=True)
class Aligned:
    """Several models on one vocabulary, planned.

    Attributes:
        union: the vocabulary.
        alignments: of all models, in their order.
        first: label of the model whose ids stay.
        ledger: what was made, left out and settled by a rule.
    """

    union: Union
    alignments: Sequence[Alignment]
    first: str
    ledger: Ledger

    def plans(self) -> dict[str, Checkpoint]:
        """The models as they will be, to plan a merge with; their tensors cannot be read."""
        return {one.label: _planned(one, self.union) for one in self.alignments}

    def write(self, folder: Path) -> dict[str, Checkpoint]:
        """The models on the joint vocabulary, as checkpoints below ``folder``, and a report.

        Raises:
            InputError: a folder holds something else.
            StorageError: the disk is full or the folder cannot be written.
        """
        source = next(one for one in self.alignments if one.label == self.first)
        digest = digest_of(dict(self.union.data))
        found = {}
        for one in self.alignments:
            settings = {"vocabulary": digest, "tokenizer": source.checkpoint.tokenizer_digest}
            parents = {one.label: (one.checkpoint.digest, one.checkpoint.license)}
            found[one.label] = prepared(
                folder / one.label.replace("/", "-"),
                "vocabulary",
                settings,
                parents,
                lambda out, one=one: _write(one, self.union, source.checkpoint, out),
            )
        write_json(folder / REPORT, self.report())
        return found

    def report(self) -> dict[str, Any]:
        """What was added: a row for every token that some model does not have."""
        spelled = {number: token for token, number in self.union.ids.items()}
        rows = []
        for number in sorted({n for one in self.alignments for n in one.made}):
            made = {
                one.label: list(one.made[number]) for one in self.alignments if number in one.made
            }
            rows.append({"id": number, "token": spelled[number],
                         "from": self.union.origin[spelled[number]], "made_in": made})  # fmt: skip
        return {
            "tokens": len(self.union.ids),
            "rows": self.union.num_rows,
            "ids_of": self.first,
            "models": {
                one.label: {"had": len(self.union.ids) - len(one.made), "made": len(one.made)}
                for one in self.alignments
            },
            "made": rows,
        }


def align(models: Mapping[str, Checkpoint], first: str) -> Aligned:
    """The plan that brings models onto the union of their vocabularies; reads no tensor.

    A row of the embedding, and of the head, of a token that a model does not have is the mean of
    the rows of what its own tokenizer makes of that token; the mean of all rows where it makes
    nothing of it (counted). Rows that belong to no token are left out (counted).

    Does not change what a model has learned of tokens that it has, and does not train the new ones.

    Args:
        models: checkpoints by label, in order.
        first: label of the model whose ids stay.

    Raises:
        InputError: see ``join_vocabularies``; a model without vocabulary tensors, or with a token
            beyond its last row.
    """
    order = [first, *[label for label in models if label != first]]
    parts = {label: Vocabulary.read(label, models[label].path) for label in order}
    union = join_vocabularies([parts[label] for label in order])
    ledger = Ledger() + union.ledger
    found = [
        _alignment(label, model, parts[label], union, ledger) for label, model in models.items()
    ]
    return Aligned(union, found, first, ledger)


def _alignment(
    label: str, model: Checkpoint, own: Vocabulary, union: Union, ledger: Ledger
) -> Alignment:
    num_rows = _vocab_size(label, model)
    tensors = _vocabulary_tensors(label, model, num_rows)
    last = max(own.ids, key=lambda token: own.ids[token])
    if own.ids[last] >= num_rows:
        raise InputError(
            f"{label}: token {last!r} has the id {own.ids[last]}, its embedding {num_rows} rows",
            "resize the model: model.resize_token_embeddings(len(tokenizer))",
        )
    added = {one["content"] for one in union.data["added_tokens"]}
    everything = sorted(set(own.ids.values()))
    sources: list[Sequence[int]] = [()] * union.num_rows
    made: dict[int, Sequence[int]] = {}
    for token, number in union.ids.items():
        if token in own.ids:
            sources[number] = (own.ids[token],)
            continue
        parts = own.parts(token, added=token in added)
        made[number] = parts
        if not parts:
            ledger.count("made: row of a token that has no parts, mean of all rows", 1, label)
        sources[number] = parts or everything
    ledger.count("made: row of a token that the model does not have", len(made), label)
    ledger.count("left out: row that belongs to no token", num_rows - len(everything), label)
    return Alignment(label, model, tensors, sources, everything, made)


def _vocab_size(label: str, model: Checkpoint) -> int:
    text = model.config.get("text_config")
    found = model.config.get("vocab_size", (text or {}).get("vocab_size"))
    if not isinstance(found, int):
        raise InputError(f"{label}: config.json has no vocab_size", "save the model again")
    return found


def _vocabulary_tensors(label: str, model: Checkpoint, num_rows: int) -> tuple[str, ...]:
    """The tensors with a row for every token; refuses one that only may be such a tensor."""
    rows = [one for one in model.tensors.values() if one.shape and one.shape[0] == num_rows]
    found = [one for one in rows if any(word in one.name.lower() for word in _NAMES)
             and not any(word in one.name.lower() for word in _NOT_NAMES)]  # fmt: skip
    unclear = [one.name for one in rows if one not in found]
    if not found or unclear:
        what = (
            f"tensor {unclear[0]!r} has vocab_size = {num_rows} rows, and its name does not say"
            " whether they are tokens"
            if unclear
            else f"no embedding with vocab_size = {num_rows} rows"
        )
        raise InputError(f"{label}: {what}", "merge models with the same tokenizer instead")
    for one in found:
        if one.dtype not in FLOAT_DTYPES:
            raise InputError(f"{label}: tensor {one.name!r} is {one.dtype}", "merge float models")
    return tuple(one.name for one in found)


def _specs(one: Alignment, union: Union) -> list[TensorSpec]:
    return [
        TensorSpec(
            info.name,
            info.dtype,
            (union.num_rows, *info.shape[1:]) if info.name in one.tensors else info.shape,
        )
        for info in one.checkpoint.tensors.values()
    ]


def _planned(one: Alignment, union: Union) -> Checkpoint:
    model = one.checkpoint
    tensors = {
        spec.name: replace(model.tensors[spec.name], shape=spec.shape)
        for spec in _specs(one, union)
    }
    digest = digest_of(dict(union.data))
    config = _renumbered(model.config, one, union)
    return replace(model, tensors=tensors, tokenizer_digest=digest, config=config)


def _write(one: Alignment, union: Union, source: Checkpoint, folder: Path) -> None:
    model = one.checkpoint
    config = _renumbered(model.config, one, union)
    write_text(folder / CONFIG, json.dumps(config, indent=2) + "\n")
    if (model.path / GENERATION).is_file():
        write_json(folder / GENERATION, _renumbered(read_json(model.path / GENERATION), one, union))
    for name in _CARRIED:
        if name in TOKENIZER_FILES and (source.path / name).is_file():
            shutil.copyfile(source.path / name, folder / name)
    text = json.dumps(union.data, indent=2, ensure_ascii=False)
    write_text(folder / TOKENIZER, text + "\n")
    writer = ShardWriter(folder, _specs(one, union))
    for info in model.tensors.values():
        if info.name in one.tensors:
            _write_rows(info, one, writer)
            continue
        step = max(1, _BLOCK_BYTES // item_size(info.dtype))
        for start in range(0, info.num_elements, step):
            stop = min(start + step, info.num_elements)
            writer.write(info.name, start, read_raw(info, start, stop))
    writer.finish()


def _write_rows(info: TensorInfo, one: Alignment, writer: ShardWriter) -> None:
    """The rows of the joint vocabulary in order: own ones copied, in runs; means rounded once."""
    width = info.num_elements // info.shape[0]
    most = max(1, _BLOCK_BYTES // (width * item_size(info.dtype)))
    sources = one.sources
    of_all: Floats | None = None
    number = 0
    while number < len(sources):
        rows = sources[number]
        last = number + 1
        if len(rows) == 1:
            while last < min(len(sources), number + most):
                if list(sources[last]) != [rows[0] + last - number]:
                    break
                last += 1
            raw = read_raw(info, rows[0] * width, (rows[0] + last - number) * width)
        elif rows is one.everything:
            of_all = _mean(info, rows, width) if of_all is None else of_all
            raw = to_bytes(of_all, info.dtype)
        else:
            raw = to_bytes(_mean(info, rows, width) if rows else np.zeros(width), info.dtype)
        writer.write(info.name, number * width, raw)
        number = last


def _mean(info: TensorInfo, rows: Sequence[int], width: int) -> Floats:
    """The mean of some rows, in float64."""
    total = np.zeros(width)
    for row in rows:
        read = np.empty(width, np.float64)
        total += read_floats(info, row * width, (row + 1) * width, out=read)
    return total / len(rows)


def _renumbered(config: Mapping[str, Any], one: Alignment, union: Union) -> dict[str, Any]:
    """A configuration with the joint vocabulary's size and ids of special tokens."""
    new = {rows[0]: number for number, rows in enumerate(one.sources) if len(rows) == 1
           and number not in one.made}  # fmt: skip

    def moved(value: Any) -> Any:
        if isinstance(value, list):
            return [moved(item) for item in value]
        return new.get(value, value) if type(value) is int else value

    found: dict[str, Any] = {}
    for key, value in config.items():
        if key == "vocab_size":
            found[key] = union.num_rows
        elif key.endswith("_token_id"):
            found[key] = moved(value)
        elif isinstance(value, dict) and key.endswith("_config"):
            found[key] = _renumbered(value, one, union)
        else:
            found[key] = value
    return found
