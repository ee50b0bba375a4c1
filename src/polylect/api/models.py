"""Options of the verbs that run a checkpoint or ask a server."""

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from polylect.api.without_effect import for_each
from polylect.base import Count, CountOrZero, Positive, Threads

if TYPE_CHECKING:
    from polylect.engine import EngineConfig, Server


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """How a local checkpoint is run."""

    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Type of a local model's weights and activations."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device of a local model; auto: CUDA if available, else the CPU."""
    threads: Threads | None = None
    """CPU threads. Default: OMP_NUM_THREADS, or all cores."""
    memory_mib: Count = 256
    """Memory limit of a local model besides its weights, in MiB."""
    over_long: Literal["refuse", "cut"] = "refuse"
    """An input that is, with its answer, too long for a local model: refuse it, or truncate it on
    the left and count it."""

    special_tokens: Literal["spell", "parse"] = "spell"
    """Texts of special tokens in prompts and tasks: spell them out as ordinary characters, or parse
    them as the tokens; either way they are counted."""

    def config(self, **settings: Any) -> "EngineConfig":
        """The engine's configuration, with further settings of it."""
        from polylect.engine import EngineConfig

        return EngineConfig(
            **vars(self) | {"threads": self.threads or default_threads()} | settings
        )


OF_NO_SERVER = for_each(
    (field.name for field in fields(EngineOptions)),
    "no local model is run",
    "leave it out: a server runs its model by settings of its own",
)
"""Why options of a local model have no effect where all are served."""


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """How a server is asked."""

    concurrency: Count | None = None
    """Maximum concurrent requests to a server. Default: 8."""
    retries: CountOrZero | None = None
    """Maximum retries of a failed request. Default: 8."""
    timeout_seconds: Positive | None = None
    """Timeout of a request, in seconds. Default: 600."""
    max_requests: Count | None = None
    """Maximum requests to each server, including failed ones. Default: no limit."""
    max_total_tokens: Count | None = None
    """Maximum tokens of prompts and answers per server. Default: no limit."""

    skip_failed: bool = False
    """Count a request that failed with all its retries as an empty answer."""

    def given(self) -> dict[str, Any]:
        """The options that were given, by name."""
        values = vars(self).items()
        return {name: value for name, value in values if value is not None and value is not False}

    def server(self, url: str, model: str | None, naming: str) -> "Server":
        """The server at an address; without a model's name, the one that it serves.

        Args:
            url: the address.
            model: the model's name on the server.
            naming: what to type to name one, for errors.
        """
        from polylect.engine import Server, served_model

        settings = self.given()
        if "max_total_tokens" in settings:
            settings["max_tokens"] = settings.pop("max_total_tokens")
        return Server(url, model or served_model(url, naming), **settings)


def default_threads() -> int:
    """Number of CPU threads if none was chosen: OMP_NUM_THREADS, or all cores."""
    number = os.environ.get("OMP_NUM_THREADS", "")
    return int(number) if number.isdigit() and int(number) else len(os.sched_getaffinity(0))


def datasets_folder(folder: Path | None) -> Path | None:
    """The folder with one folder per dataset: the one given, or POLYLECT_DATA."""
    default = os.environ.get("POLYLECT_DATA")
    return folder or (Path(default) if default else None)
