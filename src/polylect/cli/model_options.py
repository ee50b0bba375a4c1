"""Options of the commands that run a checkpoint or ask a server."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import tyro

if TYPE_CHECKING:
    from polylect.engine import EngineConfig, Server

T = TypeVar("T")

Unnamed = Annotated[T, tyro.conf.arg(name="")]
"""A group of options that are typed without the name of the group."""


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """How a local checkpoint is run."""

    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Data type of a local model's weights and activations."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where a local model runs; auto takes CUDA where there is one."""
    threads: int | None = None
    """Number of CPU threads. Default: OMP_NUM_THREADS, or all cores."""
    memory_mib: int = 256
    """Most memory that a local model uses besides its weights, in MiB."""
    over_long: Literal["refuse", "cut"] = "refuse"
    """What to do with an input that does not fit a local model, answer included: refuse it, or cut
    its left end and count it."""

    def config(self, **settings: Any) -> "EngineConfig":
        """The engine's configuration, with further settings of it."""
        from polylect.engine import EngineConfig

        return EngineConfig(
            **vars(self) | {"threads": self.threads or default_threads()} | settings
        )


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """How a server is asked."""

    concurrency: int | None = None
    """Most requests that are sent to a server at a time. Default: 8."""
    retries: int | None = None
    """How often a failed request is sent again. Default: 8."""
    timeout_seconds: float | None = None
    """Longest wait for an answer of a server, in seconds. Default: 600."""
    max_requests: int | None = None
    """Most requests to a server, failed ones included. Default: no limit."""
    max_total_tokens: int | None = None
    """Most tokens of prompts and answers at a server. Default: no limit."""

    def given(self) -> dict[str, Any]:
        """The options that were given, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def server(self, url: str, model: str | None) -> "Server":
        """The server at an address; without a model's name, the one that it serves."""
        from polylect.engine import Server, served_model

        settings = self.given()
        if "max_total_tokens" in settings:
            settings["max_tokens"] = settings.pop("max_total_tokens")
        return Server(url, model or served_model(url), **settings)


def default_threads() -> int:
    """Number of CPU threads if none was chosen: OMP_NUM_THREADS, or all cores."""
    number = os.environ.get("OMP_NUM_THREADS", "")
    return int(number) if number.isdigit() and int(number) else len(os.sched_getaffinity(0))
