"""The engine: log-likelihoods and answers of a local checkpoint, shared prefixes computed once.

Importing this package imports no torch: ``Engine`` is loaded when first named.
"""

from typing import TYPE_CHECKING, Any

from polylect.base import import_heavy
from polylect.engine.config import EngineConfig, GenerateConfig, OverLong
from polylect.engine.encode import CUT, TokenRequest, encode_requests
from polylect.engine.plan import Prepared
from polylect.engine.requests import Likelihood, Scores
from polylect.engine.sampling import Sampling
from polylect.engine.server import Server

if TYPE_CHECKING:
    from polylect.engine.generate import Answer, Generator, TokenPrompt
    from polylect.engine.local import Engine, Work

_HEAVY = {
    "Answer": "generate",
    "Generator": "generate",
    "TokenPrompt": "generate",
    "Engine": "local",
    "Work": "local",
}

__all__ = [
    "CUT",
    "Answer",
    "Engine",
    "EngineConfig",
    "GenerateConfig",
    "Generator",
    "Likelihood",
    "OverLong",
    "Prepared",
    "Sampling",
    "Scores",
    "Server",
    "TokenPrompt",
    "TokenRequest",
    "Work",
    "encode_requests",
]


def __getattr__(name: str) -> Any:
    if name in _HEAVY:
        return getattr(import_heavy(f"{__name__}.{_HEAVY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
