"""A server with OpenAI's protocol: address, concurrency, retries and limits.

Only address and model are part of the digest. Concurrency, retries and limits do not change the
answers: a run that stopped at its limit resumes with a larger one.
"""

import re
from dataclasses import dataclass
from pathlib import Path

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

_SCHEME = re.compile(r"(https?):(/*)", re.IGNORECASE)
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[\w-]+(\.[\w-]+)*\.?)(:\d{1,5})?")
_ENDPOINT = re.compile(r"/((chat/)?completions|responses|models|embeddings)/*$")
# Without a scheme: a port, this machine, a number, or a version at the end.
_BARE = re.compile(
    r"[\w.-]+:\d{2,5}(/\S*)?|localhost(/\S*)?|\d{1,3}(\.\d{1,3}){3}(/\S*)?"
    r"|[\w-]+(\.[\w-]+)+(/\S*)?/v\d+/?"
)
_EXAMPLE = "http://HOST:PORT/v1"


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
        _check_address(self.url)

    @property
    def base(self) -> str:
        """Base address of the protocol's paths."""
        bare = self.url.rstrip("/")
        return bare if re.search(r"/v\d+$", bare) else f"{bare}/v1"

    @property
    def digest(self) -> str:
        """Digest of address and model."""
        return digest_of({"server": self.base, "model": self.model})


def read_address(name: str, *, model_option: str = "") -> tuple[str, str] | None:
    """The address of a server that a user named, and the model after ``#``; None for a folder.

    Example:
        >>> read_address("http://localhost:8000/v1#m"), read_address("models/m")
        (('http://localhost:8000/v1', 'm'), None)

    Args:
        name: what was typed.
        model_option: the option that names the model, where it does not stand after ``#``.

    Raises:
        InputError: it is meant as an address, but is none; the hint is what to type.
    """
    bare = name.strip()
    url, mark, model = name.partition("#")
    is_meant = _SCHEME.match(bare) or (_BARE.fullmatch(url.strip()) and not Path(name).exists())
    if not is_meant:
        return None
    if mark and model_option:
        raise InputError(
            f"{name!r}: the model does not stand after #",
            f"{_corrected(url)} {model_option} {model.strip() or 'NAME'}",
        )
    if mark and not model.strip():
        raise InputError(f"{name!r}: no model stands after #", f"{_corrected(url)}#NAME")
    tail = f"#{model.strip()}" if mark else ""
    _check_address(url, tail)
    if model != model.strip():
        raise InputError(f"{name!r} has a space at its end", url + tail)
    return url, model


def _check_address(url: str, tail: str = "") -> None:
    """Refuse what is not the address of a server.

    Args:
        url: the address.
        tail: what stands behind it, for the hint.

    Raises:
        InputError: says what is wrong, and what to type.
    """
    if problem := _problem(url):
        raise InputError(
            f"{url!r} is not the address of a server: it {problem}", _corrected(url) + tail
        )


def _problem(url: str) -> str:
    """What keeps a text from being an address; empty for nothing."""
    if url != url.strip():
        return "has a space at its beginning or end"
    scheme = _SCHEME.match(url)
    if scheme is None:
        return "does not begin with http:// or https://"
    if scheme[1] != scheme[1].lower() or len(scheme[2]) != 2:
        return f"begins with {scheme[0]!r}, not {scheme[1].lower()}://"
    host = re.split(r"[/?#]", url[scheme.end() :], maxsplit=1)[0]
    if "@" in host:
        return f"has a name or a password in it (a key goes into {KEY_VARIABLE})"
    if not _HOST.fullmatch(host) or int(host.rpartition("]")[2].partition(":")[2] or 1) > 65535:
        return f"has {host!r} in place of a host and a port"
    if re.search(r"[\s?#]", url):
        return "has a space, a ? or a # in it"
    if endpoint := _ENDPOINT.search(url):
        return f"ends in {endpoint[0]}, which is added to it"
    return ""


def _corrected(url: str) -> str:
    """The address that a text was probably meant to be."""
    bare = url.strip()
    scheme = _SCHEME.match(bare)
    rest = bare[scheme.end() :] if scheme else bare
    rest = _ENDPOINT.sub("", re.split(r"[\s?#]", rest, maxsplit=1)[0]).strip("/")
    host, slash, path = rest.rpartition("@")[2].partition("/")
    if (
        re.fullmatch(r"v\d+", host)
        or not _HOST.fullmatch(host)
        or int(host.rpartition("]")[2].partition(":")[2] or 1) > 65535
    ):
        return _EXAMPLE
    return f"{scheme[1].lower() if scheme else 'http'}://{host}{slash}{path}" + (
        "" if path else "/v1"
    )
