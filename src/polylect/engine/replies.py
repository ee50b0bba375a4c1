"""What a server's reply says when it is not an answer: an error, whose it is, and how long to wait.

Some servers report an error with status 200; its own status is then taken from the body.
"""

import email.utils
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from polylect.base import InputError
from polylect.engine.protocol import Malformed
from polylect.engine.server import KEY_VARIABLE, Server

BUSY = {429, 503}
"""The server has too much to do: every request waits."""
AGAIN = {408, 409, 425, 500, 502, 504, 520, 522, 524, 529, *BUSY}
"""This request is sent again."""
REFUSED = {400, 413, 422}
"""This request is not taken, however often it is sent."""
_FILTERS = {"content_filter", "content_policy_violation"}
"""Codes of errors by which a filter withholds a prompt."""
_MOST_WORDS = 200


@dataclass(frozen=True)
class Failure:
    """A reply that is not an answer.

    Attributes:
        status: of HTTP, or the one that the body of a status 200 names; 500 if it names none.
        why: the status and the server's own words, on one line.
        wait: seconds that the server asks to wait; None if it does not say.
        is_filtered: the server's filter withheld the prompt.
    """

    status: int
    why: str
    wait: float | None
    is_filtered: bool = False


def data_of(reply: httpx.Response) -> "Any | Failure":
    """The JSON of a reply, or what it says went wrong.

    Raises:
        Malformed: status 200, but not JSON.
    """
    status = reply.status_code
    data = _json_of(reply)
    error = _error_in(data)
    if status == 200:
        if data is None:
            raise Malformed(f"not JSON ({_first_line(reply.text)})")
        if error is None:
            return data
        status = _status_in(error)
    words = _first_line(_words_of(error)) or _first_line(reply.text) or reply.reason_phrase
    is_filtered = isinstance(error, Mapping) and not _FILTERS.isdisjoint(
        str(error.get(key)) for key in ("code", "type")
    )
    return Failure(status, f"{status}: {words}", wait_of(reply.headers), is_filtered)


def wait_of(headers: Mapping[str, str]) -> float | None:
    """Seconds of a ``Retry-After`` header, a number or a date; None if there is none."""
    text = headers.get("retry-after")
    if text is None:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def hint_for(status: int) -> str:
    """What to do about a status that will not go away."""
    if status in {401, 403}:
        return f"put the key into the environment variable {KEY_VARIABLE}"
    if status == 404:
        return "check the address and --served-model"
    return "check the address"


def _json_of(reply: httpx.Response) -> Any:
    try:
        return json.loads(reply.content)
    except ValueError:
        return None


def _status_in(error: Any) -> int:
    """The status that the body of an error names; 500 if it names none."""
    values = (
        [error.get(key) for key in ("code", "status", "status_code")]
        if isinstance(error, Mapping)
        else []
    )
    numbers = [int(str(value)) for value in values if str(value).isdecimal()]
    return next((number for number in numbers if 400 <= number < 600), 500)


def _error_in(data: Any) -> Any:
    """What the JSON of a reply says went wrong; None if it has an answer, or says nothing."""
    if not isinstance(data, Mapping):
        return None
    choices = data.get("choices")
    if choices:
        # Some servers that pass requests on put another's error where the answer would be.
        first = choices[0] if isinstance(choices, list) else None
        return (first.get("error") or None) if isinstance(first, Mapping) else None
    if data.get("error"):
        return data["error"]
    return data if data.get("message") or data.get("detail") else None


def _words_of(error: Any) -> str:
    """The words of an error, whatever holds them; FastAPI gives a list of what is wrong."""
    if isinstance(error, Mapping):
        named = next((error[key] for key in ("message", "detail", "msg") if error.get(key)), None)
        if named is None:
            return str(error)
        place = error.get("loc")
        place = ".".join(map(str, place)) + ": " if isinstance(place, list) else ""
        return place + _words_of(named)
    if isinstance(error, list) and error:
        return _words_of(error[0])
    return "" if error is None else str(error)


def _first_line(text: str) -> str:
    """A text on one line, shortened."""
    return " ".join(text.split())[:_MOST_WORDS]


def served_model(url: str, naming: str) -> str:
    """The name of the one model that a server serves.

    Args:
        url: its address.
        naming: what to type to name one, for errors.

    Raises:
        InputError: it does not respond, does not list its models, or serves several.
    """
    base = Server(url, "").base
    key = os.environ.get(KEY_VARIABLE, "")
    try:
        reply = httpx.get(
            f"{base}/models", headers={"Authorization": f"Bearer {key}"} if key else {}, timeout=30
        )
    except httpx.HTTPError as error:
        raise InputError(
            f"{base}: no server answers there ({type(error).__name__})",
            "start it, or check the address",
        ) from None
    if reply.status_code in {401, 403}:
        raise InputError(
            f"{base}: the server answers {reply.status_code}: {_first_line(reply.text)}",
            hint_for(reply.status_code),
        )
    data = _json_of(reply)
    try:
        names = [str(model["id"]) for model in data["data"]]
    except (KeyError, TypeError):
        raise InputError(
            f"{base}: the server does not list its models"
            f" ({reply.status_code}: {_first_line(_words_of(_error_in(data)) or reply.text)})",
            f"check the address, or name the model: {naming}",
        ) from None
    if len(names) != 1:
        listed = ", ".join(names[:10]) or "none"
        more = f" and {len(names) - 10} more" if len(names) > 10 else ""
        raise InputError(f"{base}: the server serves {len(names)} models ({listed}{more})", naming)
    return names[0]
