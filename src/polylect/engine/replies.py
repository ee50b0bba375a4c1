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


@dataclass(frozen=True)
class Failure:
    """A reply that is not an answer.

    Attributes:
        status: of HTTP, or the one that the body of a status 200 names; 500 if it names none.
        why: the status and the server's own words, on one line.
        wait: seconds that the server asks to wait; None if it does not say.
    """

    status: int
    why: str
    wait: float | None


def data_of(reply: httpx.Response) -> "Any | Failure":
    """The JSON of a reply, or what it says went wrong.

    Raises:
        Malformed: status 200, but not JSON.
    """
    status = reply.status_code
    data = _json_of(reply)
    if status == 200:
        if data is None:
            raise Malformed("not JSON")
        if not isinstance(data, Mapping) or not data.get("error") or data.get("choices"):
            return data
        status = _status_in(data["error"])
    return Failure(status, f"{status}: {_complaint(reply, data)}", wait_of(reply.headers))


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
    values = [error.get(key) for key in ("code", "status")] if isinstance(error, Mapping) else []
    numbers = [int(str(value)) for value in values if str(value).isdecimal()]
    return next((number for number in numbers if 400 <= number < 600), 500)


def _complaint(reply: httpx.Response, data: Any) -> str:
    """The server's error message on one line."""
    text: Any = reply.text
    if isinstance(data, Mapping):
        error = data.get("error") or data.get("message") or data.get("detail") or data
        text = error.get("message", error) if isinstance(error, Mapping) else error
    return " ".join(str(text).split())[:200] or reply.reason_phrase


def served_model(url: str) -> str:
    """The name of the one model that a server serves.

    Raises:
        InputError: it does not respond, does not list its models, or serves several.
    """
    base = Server(url, "").base
    key = os.environ.get(KEY_VARIABLE, "")
    try:
        reply = httpx.get(
            f"{base}/models", headers={"Authorization": f"Bearer {key}"} if key else {}, timeout=30
        )
        names = [model["id"] for model in reply.json()["data"]]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{base}: the server does not list its models ({type(error).__name__})",
            "start it, check the address, or name one: --served-model NAME",
        ) from None
    if len(names) != 1:
        listed = ", ".join(map(str, names[:10])) or "none"
        raise InputError(
            f"{base}: the server serves {len(names)} models ({listed})", "--served-model NAME"
        )
    return str(names[0])
