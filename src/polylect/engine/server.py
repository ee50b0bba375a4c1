"""A server with OpenAI's protocol: address, concurrency, retries and limits.

Only address and model are part of the digest. Concurrency, retries and limits do not change the
answers: a run that stopped at its limit resumes with a larger one.
"""

import re
from dataclasses import dataclass

from polylect.base import (
    Count,
    CountOrZero,
    InputError,
    NonNegative,
    Positive,
    check_settings,
    digest_of,
)

KEY_VARIABLE = "POLYLECT_API_KEY"
"""The environment variable of the key, which is never stored."""

_URL = re.compile(r"https?://[^\s/?#]+(/[^\s?#]*)?")


@dataclass(frozen=True)
class Server:
    """A model on a server.

    Attributes:
        url: with or without a final ``/v1``.
        model: its name on the server.
        concurrency: maximum concurrent requests.
        retries: retries of a failed request.
        timeout_seconds: timeout of a request.
        max_requests: limit of requests, including failed ones; None for no limit.
        max_tokens: limit of tokens of prompts and answers; None for no limit.
        longest_wait_seconds: maximum pause between two tries.
        skip_failed: count a request that failed as often as it may be sent as an empty answer;
            otherwise the others are answered, and the command fails.
    """

    url: str
    model: str
    concurrency: Count = 8
    retries: CountOrZero = 8
    timeout_seconds: Positive = 600.0
    max_requests: Count | None = None
    max_tokens: Count | None = None
    longest_wait_seconds: NonNegative = 60.0
    skip_failed: bool = False

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            InputError: not an address, or a number out of range.
        """
        check_settings(self)
        if not _URL.fullmatch(self.url):
            raise InputError(f"{self.url!r} is not the address of a server", "http://HOST:PORT/v1")

    @property
    def base(self) -> str:
        """Base address of the protocol's paths."""
        bare = self.url.rstrip("/")
        return bare if re.search(r"/v\d+$", bare) else f"{bare}/v1"

    @property
    def digest(self) -> str:
        """Digest of address and model."""
        return digest_of({"server": self.base, "model": self.model})


def is_address(model: str) -> bool:
    """Whether the name of a model is the address of a server."""
    return model.startswith(("http://", "https://"))
