"""A crowd and what an encoder sees of it in a folder, so that many trials read it once."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from polylect.base import read_json, write_json
from polylect.people.crowd import Crowd, Seen, Text
from polylect.rows import Message

_NAME, _WORDS = "crowd", "crowd.json"


def save_crowd(folder: Path, crowd: Crowd, seen: Seen) -> None:
    """Write a crowd and its texts' vectors; equal ones give equal bytes."""
    texts = [[[[m.role, m.content] for m in text.messages], text.response, text.language]
             for text in crowd.texts]  # fmt: skip
    write_json(folder / _WORDS, {"users": crowd.users, "texts": texts, "places": crowd.places})
    arrays = {"prompts": crowd.prompts, "user": crowd.user, "chosen": crowd.chosen,
              "rejected": crowd.rejected, "vectors": seen.vectors}  # fmt: skip
    save_arrays(folder, _NAME, arrays)


def load_crowd(folder: Path) -> tuple[Crowd, Seen]:
    """What ``save_crowd`` wrote."""
    words, arrays = read_json(folder / _WORDS), load_arrays(folder, _NAME)
    texts = tuple(Text(tuple(Message(*message) for message in messages), response, language)
                  for messages, response, language in words["texts"])  # fmt: skip
    vectors = arrays.pop("vectors")
    return (
        Crowd(tuple(words["users"]), texts, **arrays, places=tuple(words["places"])),
        Seen(texts, vectors),
    )


def save_arrays(folder: Path, name: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name into ``NAME.safetensors``."""
    from safetensors.numpy import save_file

    tidy = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
    save_file(tidy, folder / f"{name}.safetensors")


def load_arrays(folder: Path, name: str) -> dict[str, np.ndarray]:
    """What ``save_arrays`` wrote."""
    from safetensors.numpy import load_file

    return load_file(folder / f"{name}.safetensors")
