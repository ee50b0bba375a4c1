"""A crowd and what an encoder sees of it in a folder, so that many trials read it once."""

from pathlib import Path

import numpy as np

from polylect.base import read_json, write_json
from polylect.people.crowd import Crowd, Seen, Text
from polylect.rows import Message

_WORDS, _ARRAYS = "crowd.json", "crowd.safetensors"


def save_crowd(folder: Path, crowd: Crowd, seen: Seen) -> None:
    """Write a crowd and its texts' vectors; equal ones give equal bytes."""
    from safetensors.numpy import save_file

    texts = [[[[m.role, m.content] for m in text.messages], text.response, text.language]
             for text in crowd.texts]  # fmt: skip
    write_json(folder / _WORDS, {"users": crowd.users, "texts": texts, "places": crowd.places})
    arrays = {"prompts": crowd.prompts, "user": crowd.user, "chosen": crowd.chosen,
              "rejected": crowd.rejected, "vectors": seen.vectors}  # fmt: skip
    save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, folder / _ARRAYS)


def load_crowd(folder: Path) -> tuple[Crowd, Seen]:
    """What ``save_crowd`` wrote."""
    from safetensors.numpy import load_file

    words, arrays = read_json(folder / _WORDS), load_file(folder / _ARRAYS)
    texts = tuple(Text(tuple(Message(*message) for message in messages), response, language)
                  for messages, response, language in words["texts"])  # fmt: skip
    vectors = arrays.pop("vectors")
    return (
        Crowd(tuple(words["users"]), texts, **arrays, places=tuple(words["places"])),
        Seen(texts, vectors),
    )
