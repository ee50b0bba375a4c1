"""A server that speaks OpenAI's protocol: which one, how hard it may be pressed, what it may cost.

What is asked and of which model decides the answers; how many requests run side by side, how often
a failed one is sent again and what all may cost does not, and is no part of the digest: a run that
stopped at its bound goes on with a larger one.
"""

import re
from dataclasses import dataclass

from polylect.base import InputError, digest_of

KEY_VARIABLE = "POLYLECT_API_KEY"
"""The environment variable that holds the key; it is never written down."""

_URL = re.compile(r"https?://[^\s/?#]+(/[^\s?#]*)?")


@dataclass(frozen=True)
class Server:
    """A model behind an address.

    Attributes:
        url: with or without ``/v1`` at its end.
        model: the name under which the server knows it.
        concurrency: most requests at a time.
        retries: how often a request that failed is sent again.
        timeout_seconds: longest wait for an answer.
        max_requests: bound on requests, those that fail included; None for none.
        max_tokens: bound on tokens of prompts and answers; None for none.
        longest_wait_seconds: of a pause between two tries.
    """

    url: str
    model: str
    concurrency: int = 8
    retries: int = 8
    timeout_seconds: float = 600.0
    max_requests: int | None = None
    max_tokens: int | None = None
    longest_wait_seconds: float = 60.0

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            InputError: not an address, or a number out of its range.
        """
        if not _URL.fullmatch(self.url):
            raise InputError(f"{self.url!r} is not the address of a server", "http://HOST:PORT/v1")
        ranges = (
            ("concurrency", self.concurrency, 1),
            ("retries", self.retries, 0),
            ("max_requests", self.max_requests, 1),
            ("max_tokens", self.max_tokens, 1),
        )
        for name, value, least in ranges:
            if value is not None and value < least:
                raise InputError(f"--{name.replace('_', '-')} is {value}", f"give {least} or more")
        if not self.timeout_seconds > 0:
            raise InputError(f"--timeout-seconds is {self.timeout_seconds}", "give more than 0")

    @property
    def base(self) -> str:
        """The address below which the protocol's paths lie."""
        bare = self.url.rstrip("/")
        return bare if re.search(r"/v\d+$", bare) else f"{bare}/v1"

    @property
    def digest(self) -> str:
        """Digest of address and model."""
        return digest_of({"server": self.base, "model": self.model})


def is_address(model: str) -> bool:
    """Whether a model is named by the address of a server."""
    return model.startswith(("http://", "https://"))
