"""A sentence encoder's folder, in the layout of sentence-transformers or of model2vec.

The layout is read here and computed by ``text_vectors``: neither package is needed, no code of the
folder is run, and weights are read from safetensors alone. A name that is no folder is that of an
installed package which carries such a folder; nothing is downloaded.
"""

import importlib.metadata
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polylect.base import InputError, read_json, read_text

MODULES, STATIC = "modules.json", "model.safetensors"
_POOLING = {
    "pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max", "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_lasttoken": "lasttoken",
}  # fmt: skip
POOLINGS = tuple(_POOLING.values())
ACTIVATIONS = ("Tanh", "Identity", "ReLU", "GELU", "Sigmoid")
_MODEL2VEC_TOKENS = 512


@dataclass(frozen=True)
class Dense:
    """A linear layer behind the pooling.

    Attributes:
        file: its weights.
        activation: name of torch's class.
    """

    file: Path
    activation: str


@dataclass(frozen=True)
class SentenceLayout:
    """How a folder makes a vector of a text.

    Attributes:
        body: folder of the checkpoint, or of the table of a static encoder.
        is_static: a text is the mean of its tokens' rows in a table, which no context changes.
        drops_unknown: tokens that are unknown are left out (model2vec).
        pooling: of the last hidden states; several are concatenated.
        dense: layers behind it, in order.
        normalizes: the vector has unit length.
        max_tokens: longer texts are cut; None for the model's limit.
        is_lower: texts are lowercased first.
        prompt: stands before every text.
        languages: that the folder's README says it knows; empty where it says nothing.
    """

    body: Path
    is_static: bool = False
    drops_unknown: bool = False
    pooling: tuple[str, ...] = ("mean",)
    dense: tuple[Dense, ...] = ()
    normalizes: bool = False
    max_tokens: int | None = None
    is_lower: bool = False
    prompt: str = ""
    languages: tuple[str, ...] = ()


def find_folder(name: str, option: str = "--encoder") -> Path:
    """The folder of a sentence encoder: itself, or the one that an installed package carries.

    Raises:
        InputError: there is neither.
    """
    path = Path(name)
    if path.is_dir():
        return path
    if re.fullmatch(r"[\w.-]+", name):
        for file in sorted(_files_of(name), key=lambda file: (len(file.parts), file)):
            if file.name == MODULES or (file.name == "config.json" and _is_model2vec(file)):
                return file.parent
        if any(_files_of(name)):
            raise InputError(
                f"{option} sentence:{name}: the package carries no sentence encoder ({MODULES})",
                "give a folder in the layout of sentence-transformers",
            )
    raise InputError(
        f"{option} sentence:{name}: no such folder or installed package",
        "give a folder in the layout of sentence-transformers; nothing is downloaded",
    )


def _files_of(name: str) -> Iterator[Path]:
    """Files of an installed package, by the name that pip or that Python knows."""
    try:
        for file in importlib.metadata.files(name) or ():
            yield Path(str(file.locate()))
        return
    except importlib.metadata.PackageNotFoundError:
        pass
    try:
        spec = importlib.util.find_spec(name.replace("-", "_"))
    except (ImportError, ValueError):
        return
    for place in (spec.submodule_search_locations or ()) if spec else ():
        yield from Path(place).rglob("*.json")


def _is_model2vec(config: Path) -> bool:
    return config.is_file() and read_json(config).get("model_type") == "model2vec"


def read_layout(folder: Path) -> SentenceLayout:
    """How a folder makes a vector of a text.

    Raises:
        InputError: it has another layout, or a module that polylect does not know.
    """
    languages = _languages(folder / "README.md")
    if not (folder / MODULES).is_file():
        if _is_model2vec(folder / "config.json"):
            return SentenceLayout(
                folder, is_static=True, drops_unknown=True, max_tokens=_MODEL2VEC_TOKENS,
                normalizes=bool(read_json(folder / "config.json").get("normalize")),
                languages=languages,
            )  # fmt: skip
        raise InputError(
            f"{folder}: no {MODULES}: not a folder of sentence-transformers",
            f"for a checkpoint's hidden states: hidden:{folder}",
        )
    modules = read_json(folder / MODULES)
    if not isinstance(modules, list) or not all(isinstance(x, dict) for x in modules):
        raise InputError(f"{folder / MODULES}: not a list of modules", "save the encoder again")
    body, pooling, dense, normalizes = None, ("mean",), [], False
    is_static, max_tokens, is_lower = False, None, False
    for module in modules:
        kind = str(module.get("type", "")).rpartition(".")[2]
        place = folder / str(module.get("path", ""))
        if kind == "Transformer" and body is None:
            body = place
            settings = _json(place / "sentence_bert_config.json")
            max_tokens = settings.get("max_seq_length")
            is_lower = bool(settings.get("do_lower_case"))
        elif kind == "StaticEmbedding" and body is None:
            body, is_static = place, True
        elif kind == "Pooling" and body is not None and not is_static:
            pooling = _pooling(place / "config.json")
        elif kind == "Dense" and body is not None:
            dense.append(_dense(place))
        elif kind == "Normalize" and body is not None:
            normalizes = True
        else:
            raise InputError(
                f"{folder / MODULES}: the module {kind or '?'} is not known here",
                "known are Transformer, StaticEmbedding, Pooling, Dense and Normalize",
            )
    if body is None:
        raise InputError(f"{folder / MODULES}: no module in it", "save the encoder again")
    about = _json(folder / "config_sentence_transformers.json")
    prompts = about.get("prompts") or {}
    prompt = prompts.get(about.get("default_prompt_name") or "", "")
    return SentenceLayout(
        body, is_static, False, pooling, tuple(dense), normalizes, max_tokens, is_lower,
        str(prompt), languages,
    )  # fmt: skip


def _json(path: Path) -> dict[str, Any]:
    data = read_json(path) if path.is_file() else {}
    return data if isinstance(data, dict) else {}


def _pooling(config: Path) -> tuple[str, ...]:
    settings = _json(config)
    named = settings.get("pooling_mode")
    chosen = [named] if isinstance(named, str) else list(named or ())
    chosen = chosen or [mode for key, mode in _POOLING.items() if settings.get(key)]
    others = [key for key in settings if key.startswith("pooling_mode_") and key not in _POOLING]
    wanted = [key for key in others if settings[key] is True]
    unknown = [mode for mode in chosen if mode not in POOLINGS] + wanted
    if unknown or not chosen or settings.get("include_prompt") is False:
        raise InputError(
            f"{config}: pooling {', '.join(unknown) or 'without the prompt'} is not known here",
            f"known are {', '.join(POOLINGS)}",
        )
    return tuple(chosen)


def _dense(folder: Path) -> Dense:
    name = str(_json(folder / "config.json").get("activation_function", "Tanh"))
    activation = name.rpartition(".")[2]
    file = folder / "model.safetensors"
    if not file.is_file():
        raise InputError(f"{file}: no such file", "save the encoder in safetensors: no pickle here")
    if activation not in ACTIVATIONS:
        raise InputError(f"{folder}: the activation {name} is not known here",
                         f"known are {', '.join(ACTIVATIONS)}")  # fmt: skip
    return Dense(file, activation)


def _languages(readme: Path) -> tuple[str, ...]:
    """What a model card names under ``language:`` in its front matter."""
    if not readme.is_file():
        return ()
    front = re.match(r"---\r?\n(.*?)\r?\n---", read_text(readme), re.DOTALL)
    entry = re.search(r"^language:[ \t]*(.*(?:\r?\n[ \t]*-.*)*)", front[1] if front else "", re.M)
    words = re.findall(r"[A-Za-z][A-Za-z-]*", entry[1]) if entry else []
    return tuple(word for word in words if word.lower() not in ("multilingual", "code"))
