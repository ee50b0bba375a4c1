"""Prompts to a server: concurrent requests, retries with backoff, no request answered twice.

The first request is sent alone: it shows whether the server responds, which parts of the protocol
it supports and whether the key is valid, before anything else is spent.
"""

import asyncio
import email.utils
import json
import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from polylect.base import InputError, PolylectError, write_json
from polylect.engine.config import GenerateConfig
from polylect.engine.journal import Journal
from polylect.engine.protocol import (
    Dialect,
    Malformed,
    body_for,
    most_tokens,
    path_for,
    read_answer,
)
from polylect.engine.server import KEY_VARIABLE, Server
from polylect.engine.spending import Spending
from polylect.rows import Prompt
from polylect.runs import VOLATILE, Reporter

_AGAIN = {408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529}
_REFUSED = {400, 413, 422}
_FIRST_WAIT_SECONDS = 0.5
_SPENDING = "spending.jsonl"

Request = tuple[int, int]
"""Index of the prompt and of the sample."""


class _Refused(Exception):
    """The server rejected a request."""


class _Bound(Exception):
    """The limit does not allow another request."""


def ask_server(
    prompts: Sequence[Prompt],
    server: Server,
    config: GenerateConfig,
    journal: Journal,
    work: Path,
    report: Reporter,
) -> None:
    """Answer every missing request of the prompts, into the journal.

    Raises:
        InputError: the server refuses the first request, the key, or the model.
        PolylectError: a request failed too often, or a limit is reached; finished answers are
            kept.
    """
    samples = config.sampling.num_samples
    waiting = [
        (number, sample)
        for number in range(len(prompts))
        for sample in range(samples)
        if (number, sample) not in journal.rows
    ]
    if not waiting:
        return
    spending = Spending(work / _SPENDING, server)
    client = _Client(prompts, server, config, journal, spending, report)
    try:
        asyncio.run(client.answer(waiting))
    finally:
        spending.close()
        write_json(
            work / VOLATILE,
            {
                "server": server.base,
                "served_model": server.model,
                "requests": spending.requests,
                "tokens_spent": spending.tokens,
                "sent_again": dict(sorted(client.failures.items())),
            },
        )


@dataclass
class _Client:
    prompts: Sequence[Prompt]
    server: Server
    config: GenerateConfig
    journal: Journal
    spending: Spending
    report: Reporter
    failures: Counter[str] = field(default_factory=Counter)
    dialect: Dialect = field(default_factory=Dialect)
    not_before: float = 0.0
    in_flight: int = 0
    settled: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def answer(self, waiting: Sequence[Request]) -> None:
        """Answer all waiting requests.

        Raises:
            InputError: the server refuses the first request, the key, or the model.
            PolylectError: a request failed too often, or a limit is reached.
        """
        key = os.environ.get(KEY_VARIABLE, "")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        limits = httpx.Limits(max_connections=self.server.concurrency)
        timeout = httpx.Timeout(self.server.timeout_seconds, connect=30.0)
        async with httpx.AsyncClient(headers=headers, timeout=timeout, limits=limits) as http:
            left = await self._probe(http, waiting)
            order = iter(left)

            async def work() -> None:
                for request in order:  # one iterator: each request has one worker
                    try:
                        await self._one(http, request)
                    except _Refused as error:
                        self._keep(request, _refusal(str(error)))

            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self.server.concurrency, len(left))):
                        group.create_task(work())
            except ExceptionGroup as group:
                raise self._first_of(group) from None

    def _first_of(self, group: ExceptionGroup) -> Exception:
        """The error to raise for several concurrent ones."""
        for error in group.exceptions:
            if isinstance(error, PolylectError):
                return error
        if isinstance(group.exceptions[0], _Bound):
            return self._bound_reached()
        return group

    async def _probe(self, http: httpx.AsyncClient, waiting: Sequence[Request]) -> list[Request]:
        """Send the shortest request alone until the server accepts it; the remaining requests."""
        dialect = next(
            (row["dialect"] for row in self.journal.rows.values() if row["dialect"]), None
        )
        if dialect is not None:
            self.dialect = Dialect(**dialect)
            return list(waiting)
        first = min(waiting, key=lambda request: (len(self.prompts[request[0]].prompt), request))
        while True:
            try:
                await self._one(http, first)
            except _Bound:
                raise self._bound_reached() from None
            except _Refused as error:
                simpler = self.dialect.simpler(str(error))
                if simpler is None:
                    raise InputError(
                        f"{self.server.base}: the shortest prompt is refused ({error})",
                        "check the model's name and the options",
                    ) from None
                self.dialect = simpler
            else:
                return [request for request in waiting if request != first]

    async def _one(self, http: httpx.AsyncClient, request: Request) -> None:
        """Answer one request, with retries."""
        number, sample = request
        prompt = self.prompts[number]
        body = body_for(prompt, sample, self.server.model, self.config, self.dialect)
        most = most_tokens(prompt, self.config)
        for attempt in range(self.server.retries + 1):
            await self._pause()
            await self._afford(most)
            used = most
            self.in_flight += 1
            try:
                reply = await http.post(f"{self.server.base}{path_for(self.config)}", json=body)
                if reply.status_code == 200:
                    answer = read_answer(_json_of(reply), self.config)
                    used = most if answer["used"] is None else answer["used"]
                    answer["dialect"] = vars(self.dialect)
                    self._keep(request, answer)
                    return
                used = 0
                why = f"{reply.status_code}: {_complaint(reply)}"
                if reply.status_code in _REFUSED:
                    raise _Refused(why)
                if reply.status_code not in _AGAIN:
                    raise InputError(
                        f"{self.server.base}: the server answers {why}", _hint(reply.status_code)
                    )
                self.failures[str(reply.status_code)] += 1
                self._slow_down(attempt, reply)
            except httpx.RequestError as error:
                why = type(error).__name__
                # A connection that was never established cost nothing.
                never = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
                used = 0 if never else most
                if never and not self.journal.rows:
                    raise InputError(
                        f"{self.server.base}: no server answers there ({why})",
                        "start it, or check the address",
                    ) from None
                self.failures[why] += 1
                self._slow_down(attempt, None)
            except Malformed as error:
                why = f"malformed answer, {error}"
                self.failures["malformed"] += 1
                self._slow_down(attempt, None)
            finally:
                self.in_flight -= 1
                self.spending.settle(most, used)
                async with self.settled:
                    self.settled.notify_all()
        raise PolylectError(
            f"{self.server.base}: prompt {prompt.id!r} ({prompt.language}) failed"
            f" {self.server.retries + 1} times (last: {why})",
            "finished answers are kept: run the same command again when the server works",
        )

    def _keep(self, request: Request, answer: dict[str, Any]) -> None:
        answer.pop("used", None)
        self.journal.add(*request, **answer)
        total = len(self.prompts) * self.config.sampling.num_samples
        self.report.update(
            len(self.journal.rows), total, "answers", f"{self.spending.tokens:,} tokens spent"
        )

    async def _pause(self) -> None:
        """Wait for the end of a backoff, which applies to all requests."""
        while (left := self.not_before - time.monotonic()) > 0:
            await asyncio.sleep(left)

    def _slow_down(self, attempt: int, reply: httpx.Response | None) -> None:
        """Exponential backoff with jitter, or the server's ``Retry-After``."""
        wait = _FIRST_WAIT_SECONDS * 2**attempt * random.uniform(0.5, 1.0)
        retry_after = _retry_after(reply.headers.get("retry-after")) if reply is not None else 0.0
        wait = min(max(wait, retry_after), self.server.longest_wait_seconds)
        self.not_before = max(self.not_before, time.monotonic() + wait)

    async def _afford(self, most: int) -> None:
        """Reserve tokens for a request; wait while requests in flight may release some.

        Raises:
            _Bound: no request is in flight, and the limit does not allow this one.
        """
        async with self.settled:
            while not self.spending.allows(most):
                if not self.in_flight:
                    raise _Bound
                await self.settled.wait()
            self.spending.reserve(most)

    def _bound_reached(self) -> PolylectError:
        total = len(self.prompts) * self.config.sampling.num_samples
        server = self.server
        bounds = [
            f"--{name} {bound:,}"
            for name, bound in (
                ("max-requests", server.max_requests),
                ("max-total-tokens", server.max_tokens),
            )
            if bound is not None
        ]
        return PolylectError(
            f"the limit {' and '.join(bounds)} is reached: {self.spending.requests:,} requests,"
            f" {self.spending.tokens:,} tokens, {len(self.journal.rows):,} of {total:,} answers",
            "finished answers are kept: run again with a larger limit",
        )


def _refusal(why: str) -> dict[str, Any]:
    return {
        "text": "",
        "num_tokens": 0,
        "stopped": "refused",
        "log_likelihood": None,
        "dialect": None,
        "why": why,
    }


def _json_of(reply: httpx.Response) -> Any:
    try:
        return json.loads(reply.content)
    except ValueError:
        raise Malformed("not JSON") from None


def _complaint(reply: httpx.Response) -> str:
    """The server's error message on one line."""
    try:
        data = json.loads(reply.content)
        error = data.get("error", data.get("message", data.get("detail", data)))
        text = error.get("message", error) if isinstance(error, dict) else error
    except (ValueError, AttributeError):
        text = reply.text
    return " ".join(str(text).split())[:200] or reply.reason_phrase


def _hint(status: int) -> str:
    if status in {401, 403}:
        return f"put the key into the environment variable {KEY_VARIABLE}"
    if status == 404:
        return "check the address and --served-model"
    return "check the address"


def _retry_after(text: str | None) -> float:
    """Seconds of a ``Retry-After`` header, a number or a date; 0 if it is neither."""
    if text is None:
        return 0.0
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return 0.0


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
