"""Checkpoints moved to one vocabulary: rows get their new ids, missing ones are filled."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from polylect.base import InputError, Ledger, digest_of, read_json, write_json, write_text
from polylect.checkpoints import (
    CONFIG,
    FLOAT_DTYPES,
    GENERATION_CONFIG,
    TOKENIZER_CONFIG,
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
from polylect.merging.prepared import prepared
from polylect.merging.vocabulary.union import TOKENIZER, Union, Vocabulary, join_vocabularies

REPORT = "vocabulary.json"

# Parts of the names of tensors that have a row for every token, and of those that happen to.
_NAMES = ("embed", "wte", "lm_head", "word_emb", "output_layer", "embed_out")
_OTHER_NAMES = ("position", "wpe", "norm")
# What of a tokenizer's other files holds for the joint vocabulary too.
_KEPT = (TOKENIZER_CONFIG, "special_tokens_map.json")
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Alignment:
    """How one model is moved to the joint vocabulary.

    Attributes:
        label: label of the model.
        checkpoint: the model as it is.
        tensors: names of the tensors that have a row for every token.
        sources: for every row of the joint vocabulary, the rows of the model that it is the mean
            of: one if the model has the token, several if filled, none if no token has the id.
        token_rows: all rows that belong to a token; the sources of a token without parts.
        new_tokens: ids of the tokens that the model does not have, with the parts of each.
    """

    label: str
    checkpoint: Checkpoint
    tensors: tuple[str, ...]
    sources: Sequence[Sequence[int]]
    token_rows: Sequence[int]
    new_tokens: Mapping[int, Sequence[int]]


@dataclass(frozen=True)
class Aligned:
    """The plan of several models on one vocabulary.

    Attributes:
        union: the vocabulary.
        alignments: of all models, in order.
        first: label of the model whose token ids are kept.
        ledger: rows that are filled or left out, and harmless differences.
    """

    union: Union
    alignments: Sequence[Alignment]
    first: str
    ledger: Ledger

    def plans(self) -> dict[str, Checkpoint]:
        """The models as they will be, to plan a merge with; their tensors cannot be read."""
        return {alignment.label: _planned(alignment, self.union) for alignment in self.alignments}

    def write(self, folder: Path) -> dict[str, Checkpoint]:
        """Write the models on the joint vocabulary below ``folder``, and a report.

        Raises:
            InputError: a folder holds something else.
            StorageError: the disk is full or the folder cannot be written.
        """
        source = next(a.checkpoint for a in self.alignments if a.label == self.first)
        settings = {
            "vocabulary": digest_of(dict(self.union.data)),
            "tokenizer": source.tokenizer_digest,
            "files": "own",
        }
        models = {}
        for alignment in self.alignments:
            label, model = alignment.label, alignment.checkpoint
            models[label] = prepared(
                folder / label.replace("/", "-"),
                "vocabulary",
                settings,
                {label: (model.digest, model.license)},
                lambda out, alignment=alignment: _write(alignment, self.union, out),
            )
        write_json(folder / REPORT, self.report())
        return models

    def report(self) -> dict[str, Any]:
        """Numbers by model, and every token that some model does not have."""
        tokens = {id_: token for token, id_ in self.union.ids.items()}
        new_ids = sorted({id_ for alignment in self.alignments for id_ in alignment.new_tokens})
        num = len(self.union.ids)
        return {
            "tokens": num,
            "rows": self.union.num_rows,
            "ids_of": self.first,
            "models": {
                alignment.label: {
                    "had": num - len(alignment.new_tokens),
                    "made": len(alignment.new_tokens),
                }
                for alignment in self.alignments
            },
            "made": [
                {
                    "id": id_,
                    "token": tokens[id_],
                    "from": self.union.origin[tokens[id_]],
                    "made_in": {
                        alignment.label: list(alignment.new_tokens[id_])
                        for alignment in self.alignments
                        if id_ in alignment.new_tokens
                    },
                }
                for id_ in new_ids
            ],
        }


def align(models: Mapping[str, Checkpoint], first: str) -> Aligned:
    """Plan how models are moved to the union of their vocabularies; reads no tensor.

    The row of a token that a model does not have, in the embedding and in the head, is the mean of
    the rows of the tokens that the model's own tokenizer splits it into; the mean of all rows if
    there are none (counted). Rows that belong to no token are left out (counted).

    Does not change the rows of tokens that a model has, and does not train the new ones.

    Args:
        models: checkpoints by label, in order.
        first: label of the model whose token ids are kept.

    Raises:
        InputError: see ``join_vocabularies``; a model without vocabulary tensors, or with a token
            beyond its last row.
    """
    order = [first, *[label for label in models if label != first]]
    vocabularies = {label: Vocabulary.read(label, models[label].path) for label in order}
    union = join_vocabularies([vocabularies[label] for label in order])
    ledger = Ledger() + union.ledger
    alignments = [
        _align_model(label, model, vocabularies[label], union, ledger)
        for label, model in models.items()
    ]
    return Aligned(union, alignments, first, ledger)


def _align_model(
    label: str, model: Checkpoint, vocabulary: Vocabulary, union: Union, ledger: Ledger
) -> Alignment:
    ids = vocabulary.ids
    size = _vocab_size(label, model)
    tensors = _vocabulary_tensors(label, model, size)
    last = max(ids, key=ids.__getitem__)
    if ids[last] >= size:
        raise InputError(
            f"{label}: token {last!r} has the id {ids[last]}, its embedding {size} rows",
            "resize the model: model.resize_token_embeddings(len(tokenizer))",
        )
    added = {token["content"] for token in union.data["added_tokens"]}
    token_rows = sorted(set(ids.values()))
    sources: list[Sequence[int]] = [()] * union.num_rows
    new_tokens: dict[int, Sequence[int]] = {}
    for token, id_ in union.ids.items():
        if token in ids:
            sources[id_] = (ids[token],)
            continue
        parts = vocabulary.parts(token, added=token in added)
        new_tokens[id_] = parts
        if not parts:
            ledger.count("made: row of a token that has no parts, mean of all rows", 1, label)
        sources[id_] = parts or token_rows
    ledger.count("made: row of a token that the model does not have", len(new_tokens), label)
    ledger.count("left out: row that belongs to no token", size - len(token_rows), label)
    for name in _of_old_vocabulary(model):
        if name != TOKENIZER:
            ledger.count("left: of the vocabulary before the union", 1, f"{label}: {name}")
    return Alignment(label, model, tensors, sources, token_rows, new_tokens)


def stated_rows(model: Checkpoint) -> object:
    """The number of rows of a model's embedding, as its config.json says it."""
    text_config = model.config.get("text_config") or {}
    return model.config.get("vocab_size", text_config.get("vocab_size"))


def _of_old_vocabulary(model: Checkpoint) -> list[str]:
    """The files of a tokenizer that the joint ``tokenizer.json`` takes the place of."""
    return [name for name in model.beside.tokenizer if name not in _KEPT]


def _without_old_ids(path: Path) -> None:
    """Take the ids of added tokens out of a tokenizer's configuration: they have others now."""
    settings = read_json(path) if path.is_file() else {}
    if isinstance(settings, dict) and settings.pop("added_tokens_decoder", None) is not None:
        write_json(path, settings)


def _vocab_size(label: str, model: Checkpoint) -> int:
    size = stated_rows(model)
    if not isinstance(size, int):
        raise InputError(f"{label}: config.json has no vocab_size", "save the model again")
    return size


def _vocabulary_tensors(label: str, model: Checkpoint, num_rows: int) -> tuple[str, ...]:
    """The tensors with a row for every token; refuses ambiguous ones."""
    candidates = [info for info in model.tensors.values() if info.shape[:1] == (num_rows,)]
    tensors = [info for info in candidates if _is_vocabulary_name(info.name.lower())]
    unclear = [info.name for info in candidates if info not in tensors]
    if not tensors or unclear:
        problem = (
            f"tensor {unclear[0]!r} has vocab_size = {num_rows} rows, and its name does not say"
            " whether they are tokens"
            if unclear
            else f"no embedding with vocab_size = {num_rows} rows"
        )
        raise InputError(f"{label}: {problem}", "merge models with the same tokenizer instead")
    for info in tensors:
        if info.dtype not in FLOAT_DTYPES:
            raise InputError(f"{label}: tensor {info.name!r} is {info.dtype}", "merge float models")
    return tuple(info.name for info in tensors)


def _is_vocabulary_name(name: str) -> bool:
    return any(part in name for part in _NAMES) and not any(part in name for part in _OTHER_NAMES)


def _specs(alignment: Alignment, union: Union) -> list[TensorSpec]:
    return [
        TensorSpec(
            info.name,
            info.dtype,
            (union.num_rows, *info.shape[1:]) if info.name in alignment.tensors else info.shape,
        )
        for info in alignment.checkpoint.tensors.values()
    ]


def _planned(alignment: Alignment, union: Union) -> Checkpoint:
    model = alignment.checkpoint
    tensors = {
        spec.name: replace(model.tensors[spec.name], shape=spec.shape)
        for spec in _specs(alignment, union)
    }
    digest = digest_of(dict(union.data))
    config = _with_new_ids(model.config, alignment, union)
    return replace(model, tensors=tensors, tokenizer_digest=digest, config=config)


def _write(alignment: Alignment, union: Union, folder: Path) -> None:
    """Write one model on the joint vocabulary, with all its files that hold for that too."""
    model = alignment.checkpoint
    model.carry_beside(folder, without=_of_old_vocabulary(model))
    _without_old_ids(folder / TOKENIZER_CONFIG)
    config = _with_new_ids(model.config, alignment, union)
    write_text(folder / CONFIG, json.dumps(config, indent=2) + "\n")
    if (model.path / GENERATION_CONFIG).is_file():
        generation = read_json(model.path / GENERATION_CONFIG)
        write_json(folder / GENERATION_CONFIG, _with_new_ids(generation, alignment, union))
    text = json.dumps(union.data, indent=2, ensure_ascii=False)
    write_text(folder / TOKENIZER, text + "\n")
    writer = ShardWriter(folder, _specs(alignment, union))
    for info in model.tensors.values():
        if info.name in alignment.tensors:
            _write_rows(info, alignment, writer)
        else:
            writer.copy(info)
    writer.finish()


def _write_rows(info: TensorInfo, alignment: Alignment, writer: ShardWriter) -> None:
    """Write the rows of the joint vocabulary in order: runs are copied, means rounded once."""
    width = info.num_elements // info.shape[0]
    max_rows = max(1, _BLOCK_BYTES // (width * item_size(info.dtype)))
    sources = alignment.sources
    mean_of_all: Floats | None = None
    row = 0
    while row < len(sources):
        rows = sources[row]
        end = row + 1
        if len(rows) == 1:
            (first,) = rows
            while end < min(len(sources), row + max_rows):
                if list(sources[end]) != [first + end - row]:
                    break
                end += 1
            raw = read_raw(info, first * width, (first + end - row) * width)
        elif rows is alignment.token_rows:
            mean_of_all = _mean(info, rows, width) if mean_of_all is None else mean_of_all
            raw = to_bytes(mean_of_all, info.dtype)
        else:
            raw = to_bytes(_mean(info, rows, width) if rows else np.zeros(width), info.dtype)
        writer.write(info.name, row * width, raw)
        row = end


def _mean(info: TensorInfo, rows: Sequence[int], width: int) -> Floats:
    """The mean of some rows, in float64."""
    total = np.zeros(width)
    for row in rows:
        values = np.empty(width, np.float64)
        total += read_floats(info, row * width, (row + 1) * width, out=values)
    return total / len(rows)


def _with_new_ids(config: Mapping[str, Any], alignment: Alignment, union: Union) -> dict[str, Any]:
    """A configuration with the joint vocabulary's size and ids of special tokens."""
    new_ids = {
        rows[0]: id_
        for id_, rows in enumerate(alignment.sources)
        if len(rows) == 1 and id_ not in alignment.new_tokens
    }

    def translate(value: Any) -> Any:
        if isinstance(value, list):
            return [translate(item) for item in value]
        return new_ids.get(value, value) if type(value) is int else value

    changed: dict[str, Any] = {}
    for key, value in config.items():
        if key == "vocab_size":
            changed[key] = union.num_rows
        elif key.endswith("_token_id"):
            changed[key] = translate(value)
        elif isinstance(value, dict) and key.endswith("_config"):
            changed[key] = _with_new_ids(value, alignment, union)
        else:
            changed[key] = value
    return changed
