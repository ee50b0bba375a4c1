"""Whether two models' tokenizers encode alike, and in what else their files differ.

What encodes is the vocabulary with its ids, the merges, and the rules that split text. It has to be
equal, or rows of the embeddings would be averaged that stand for other tokens. A chat template, the
sides of padding and truncation, the maximum length, roles of special tokens do not encode.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tokenizers as hf

from polylect.base import InputError
from polylect.checkpoints import TOKENIZER, TOKENIZER_CONFIG, Checkpoint
from polylect.models.joining import MERGING, Joining
from polylect.text import convert_tokenizer

_SETTINGS = ("special_tokens_map.json", TOKENIZER_CONFIG)
_ENCODING = ("normalizer", "pre_tokenizer")
_FLAGS = ("normalized", "lstrip", "rstrip", "single_word")

# Keys that say how and where a file was written.
_BOOKKEEPING = {
    "backend", "is_local", "local_files_only", "name_or_path", "special_tokens_map_file",
    "tokenizer_file", "_commit_hash",
}  # fmt: skip
# Keys of tokenizer_config.json that do not encode; without tokenizer.json every other key may.
_HARMLESS = {
    *_BOOKKEEPING, "additional_special_tokens", "auto_map", "bos_token", "chat_template",
    "clean_up_tokenization_spaces", "cls_token", "eos_token", "extra_special_tokens", "mask_token",
    "max_len", "max_length", "model_max_length", "pad_to_multiple_of", "pad_token",
    "pad_token_type_id", "padding", "padding_side", "processor_class", "response_schema",
    "sep_token", "spaces_between_special_tokens", "stride", "tokenizer_class", "truncation",
    "truncation_side", "unk_token", "use_default_system_prompt",
}  # fmt: skip


def check_encoding(
    label: str,
    model: Checkpoint,
    other_label: str,
    other: Checkpoint,
    joining: Joining = MERGING,
) -> None:
    """Check that two models encode text alike.

    ``tokenizer.json`` decides where both have it. Otherwise every vocabulary file of a model
    without it has to be in the other, byte for byte, and the settings that encode have to be equal;
    or what transformers makes of the files has to be the other's ``tokenizer.json``.

    Args:
        label: label of the first model.
        model: the first model.
        other_label: label of the other model.
        other: the other model.
        joining: what is done with them, for hints.

    Raises:
        InputError: names the first difference.
    """
    if model.tokenizer_digest == other.tokenizer_digest:
        return
    for lacking, lacks, having in ((label, model, other_label), (other_label, other, label)):
        if not lacks.tokenizer_digest:
            raise InputError(
                f"{lacking}: no tokenizer, so that nothing says whether its tokens are those of"
                f" {having}",
                f"copy its tokenizer's files into {lacks.path}",
            )
    fast = [TOKENIZER in each.beside.carried for each in (model, other)]
    difference = (
        _json_difference(label, model.path, other.path)
        if all(fast)
        else _file_difference(label, model, other)
    )
    if difference and any(fast) and not all(fast):
        data, its = _parsed(model.path), _parsed(other.path)
        data, its = data or _converted(model), its or _converted(other)
        if data and its and not _data_difference(label, data, its):
            return
    if difference:
        is_token = difference.startswith("token ")
        hint = (
            is_token and joining.other_tokens
        ) or f"{joining.verb} models with the same tokenizer"
        if not all(fast):
            hint += ", or write tokenizer.json: AutoTokenizer.from_pretrained(DIR).save_pretrained"
        raise InputError(f"{other_label}: its tokenizer is not that of {label}: {difference}", hint)


def check_readable(models: Mapping[str, Checkpoint]) -> None:
    """Check that each ``tokenizer.json`` can be read, equal ones once.

    Raises:
        InputError: names the file.
    """
    read: set[str] = set()
    for model in models.values():
        if TOKENIZER in model.beside.carried and model.tokenizer_digest not in read:
            if _parsed(model.path) is None:
                raise InputError(f"{model.path / TOKENIZER}: not a tokenizer that can be read",
                                 "fetch or save it again")  # fmt: skip
            read.add(model.tokenizer_digest)


def encode_alike(label: str, model: Checkpoint, other_label: str, other: Checkpoint) -> bool:
    """Whether two models encode text alike; see ``check_encoding``."""
    try:
        check_encoding(label, model, other_label, other)
    except InputError:
        return False
    return True


def differing_settings(model: Checkpoint, other: Checkpoint) -> Iterator[str]:
    """What the tokenizers' files say otherwise of two models that encode alike, in words.

    Parts of ``tokenizer.json``, and keys of ``tokenizer_config.json`` but the chat template.
    """
    if model.tokenizer_digest == other.tokenizer_digest:
        return
    if TOKENIZER in model.beside.carried and TOKENIZER in other.beside.carried:
        data, its = _parsed(model.path) or {}, _parsed(other.path) or {}
        for key in sorted({*data, *its} - {"model", "version", *_ENCODING}):
            if data.get(key) != its.get(key):
                yield f"{key} in {TOKENIZER}"
    settings, its_settings = _settings(model.path), _settings(other.path)
    for key in sorted({*settings, *its_settings} - {"chat_template", *_BOOKKEEPING}):
        if settings.get(key) != its_settings.get(key):
            yield f"{key} in {TOKENIZER_CONFIG}"


def _json_difference(label: str, folder: Path, other: Path) -> str:
    """The first part of two ``tokenizer.json`` that encodes and differs; empty if none does."""
    data, its = _parsed(folder), _parsed(other)
    if data is None or its is None:
        is_same = _same_file(folder / TOKENIZER, other / TOKENIZER)
        return "" if is_same else f"its {TOKENIZER}"
    return _data_difference(label, data, its)


def _data_difference(label: str, data: Mapping[str, Any], its: Mapping[str, Any]) -> str:
    """The first part of two tokenizers' contents that encodes and differs; empty if none does."""
    (added, flags), (its_added, its_flags) = _added(data), _added(its)
    model, its_model = _part(data, "model"), _part(its, "model")
    ids, its_ids = _ids(model) | added, _ids(its_model) | its_added
    for token in sorted({*ids, *its_ids}, key=lambda token: (ids.get(token, 1 << 40), token)):
        if ids.get(token) != its_ids.get(token):
            here, there = (_id_in_words(known, token) for known in (ids, its_ids))
            return f"token {token!r} {there}, in {label} it {here}"
    for token in sorted({*flags, *its_flags}):
        if flags.get(token) != its_flags.get(token):
            return f"added token {token!r} is matched in text by other rules"
    for key in sorted({*model, *its_model} - {"vocab", "dropout"}):
        if _off(model.get(key)) != _off(its_model.get(key)):
            return f"{key} of its model"
    if _scores(model) != _scores(its_model):
        return "the scores of its tokens"
    for key in _ENCODING:
        if data.get(key) != its.get(key):
            return f"its {key}"
    return ""


def _file_difference(label: str, model: Checkpoint, other: Checkpoint) -> str:
    """The first file that encodes and differs, where not both have ``tokenizer.json``."""
    names, its_names = (
        set(each.beside.tokenizer) - {TOKENIZER, *_SETTINGS} for each in (model, other)
    )
    is_fast, its_fast = (TOKENIZER in each.beside.carried for each in (model, other))
    for name in sorted(names | its_names):
        if name not in its_names and not is_fast:
            return f"no {name}, which {label} has"
        if name not in names and not its_fast:
            return f"it has {name}, {label} has not"
        if name in names & its_names and not _same_file(model.path / name, other.path / name):
            return f"its {name}"
    if (is_fast or its_fast) and not names & its_names:
        return "no file of a vocabulary is in both"
    settings, its_settings = _settings(model.path), _settings(other.path)
    for key in sorted({*settings, *its_settings} - _HARMLESS):
        if is_fast or its_fast:
            break  # tokenizer.json was made of both, and says it for one of them
        if _off(settings.get(key)) != _off(its_settings.get(key)):
            return f"{key} in its {TOKENIZER_CONFIG}"
    return ""


def _same_file(path: Path, other: Path) -> bool:
    data, its = path.read_bytes(), other.read_bytes()
    if data == its or path.suffix != ".json":
        return data == its
    return _json(data) == _json(its)


def _parsed(folder: Path) -> Mapping[str, Any] | None:
    """``tokenizer.json`` as the tokenizers library reads it, with defaults; None if it cannot."""
    try:
        return json.loads(hf.Tokenizer.from_file(str(folder / TOKENIZER)).to_str())
    except Exception:  # the Rust side raises bare exceptions; who loads it says what is broken
        return None


def _converted(model: Checkpoint) -> Mapping[str, Any] | None:
    """What transformers makes of a model's vocabulary files; None where it cannot."""
    try:
        backend, _ = convert_tokenizer(model.path, model.beside.vocabularies)
    except InputError:
        return None
    return json.loads(backend.to_str())


def _json(raw: bytes) -> Any:
    """The value in JSON; of anything else its bytes."""
    try:
        return json.loads(raw)
    except ValueError:
        return raw


def _settings(folder: Path) -> Mapping[str, Any]:
    """The content of ``tokenizer_config.json``; empty without it, and where it is broken."""
    path = folder / TOKENIZER_CONFIG
    settings = _json(path.read_bytes()) if path.is_file() else {}
    if not isinstance(settings, dict):
        return {}
    decoder = settings.get("added_tokens_decoder")
    if isinstance(decoder, dict):
        tokens = {
            str(id_): {key: value for key, value in token.items() if key != "special"}
            for id_, token in decoder.items()
            if isinstance(token, dict)
        }
        settings = settings | {"added_tokens_decoder": tokens}
    return settings


def _added(data: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, tuple[bool, ...]]]:
    """Ids of the added tokens, and how they are matched in text, by token."""
    tokens = data.get("added_tokens") or []
    return (
        {token["content"]: token["id"] for token in tokens},
        {token["content"]: tuple(bool(token.get(flag)) for flag in _FLAGS) for token in tokens},
    )


def _part(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    part = data.get(key)
    return part if isinstance(part, dict) else {}


def _ids(model: Mapping[str, Any]) -> dict[str, int]:
    """Ids by token; a Unigram vocabulary lists its tokens in their order."""
    vocab = model.get("vocab") or {}
    if isinstance(vocab, dict):
        return dict(vocab)
    return {str(entry[0]): number for number, entry in enumerate(vocab)}


def _scores(model: Mapping[str, Any]) -> list[Any]:
    vocab = model.get("vocab")
    return vocab if isinstance(vocab, list) else []


def _off(value: Any) -> Any:
    """A setting, with None for what switches nothing on."""
    return None if value is False or value == "" else value


def _id_in_words(ids: Mapping[str, int], token: str) -> str:
    return f"has the id {ids[token]}" if token in ids else "is no token"
