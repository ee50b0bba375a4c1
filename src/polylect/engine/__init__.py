"""The engine: log-likelihoods of a local checkpoint, with every shared prefix computed once.

Importing this package imports no torch: ``Engine`` is loaded when first named.
"""

from typing import TYPE_CHECKING, Any

from polylect.base import import_heavy
from polylect.engine.config import EngineConfig, OverLong
from polylect.engine.encode import CUT, TokenRequest, encode_requests
from polylect.engine.plan import Prepared
from polylect.engine.requests import Likelihood, Scores

if TYPE_CHECKING:
    from polylect.engine.local import Engine, Work

_HEAVY = {"Engine": "local", "Work": "local"}

__all__ = [
    "CUT",
    "Engine",
    "EngineConfig",
    "Likelihood",
    "OverLong",
    "Prepared",
    "Scores",
    "TokenRequest",
    "Work",
    "encode_requests",
]


def __getattr__(name: str) -> Any:
    if name in _HEAVY:
        return getattr(import_heavy(f"{__name__}.{_HEAVY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
