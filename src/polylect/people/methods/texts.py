"""Texts as arrays, so that a model that reads texts is saved like any other: without pickle."""

import json
from collections.abc import Sequence

import numpy as np

from polylect.people.crowd import Text
from polylect.rows import Message


def texts_as_bytes(texts: Sequence[Text]) -> np.ndarray:
    """UTF-8 of their JSON, uint8 [bytes]."""
    content = [[[(m.role, m.content) for m in text.messages], text.response, text.language]
               for text in texts]  # fmt: skip
    return np.frombuffer(json.dumps(content).encode("ascii"), np.uint8).copy()


def texts_of_bytes(data: np.ndarray) -> tuple[Text, ...]:
    """The texts of ``texts_as_bytes``."""
    return tuple(
        Text(tuple(Message(role, content) for role, content in messages), response, language)
        for messages, response, language in json.loads(data.tobytes())
    )
