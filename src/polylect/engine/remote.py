"""Prompts to a server: concurrent requests, retries with backoff, no request answered twice.

The first request is sent alone: it shows whether the server responds, which parts of the protocol
it supports and whether the key is valid, before anything else is spent. A request that fails waits
for itself alone; only a server that says it is busy makes all of them wait. A request that keeps
failing does not stop the others; as many in a row as run at once do.
"""

import asyncio
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
from polylect.engine.journal import Journal, no_answer
from polylect.engine.protocol import (
    Dialect,
    Malformed,
    body_for,
    most_tokens,
    path_for,
    read_answer,
)
from polylect.engine.replies import AGAIN, BUSY, REFUSED, Failure, data_of, hint_for
from polylect.engine.server import KEY_VARIABLE, Server
from polylect.engine.spending import Spending
from polylect.rows import Prompt
from polylect.runs import VOLATILE, Reporter

_LONGEST_ASKED_SECONDS, _SHOWN_WAIT_SECONDS = 3600.0, 5.0
_FIRST_WAIT_SECONDS = 0.5
_LEAST_IN_A_ROW = 4
"""Requests that fail one after the other before a server is given up, at least."""
_REFUSALS = 3
"""Prompts that a server refuses one after the other before it has taken any."""
_SPENDING = "spending.jsonl"

Request = tuple[int, int]
"""Index of the prompt and of the sample."""


class _Refused(Exception):
    """The server rejected a request, or its filter did."""

    def __init__(self, why: str, *, is_filtered: bool = False) -> None:
        super().__init__(why)
        self.stopped = "filter" if is_filtered else "refused"


class _Failed(Exception):
    """A request failed as often as it may be sent."""


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
        InputError: the server refuses the first requests, the key, or the model.
        PolylectError: requests failed too often, or a limit is reached; finished answers are kept.
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
    failed: dict[Request, str] = field(default_factory=dict)
    failed_in_a_row: int = 0
    dialect: Dialect = field(default_factory=Dialect)
    not_before: float = 0.0
    in_flight: int = 0
    settled: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def answer(self, waiting: Sequence[Request]) -> None:
        """Answer all waiting requests.

        Raises:
            InputError: the server refuses the first requests, the key, or the model.
            PolylectError: requests failed too often, or a limit is reached.
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
                        await self._send(http, request)
                    except _Refused as error:
                        self._keep(request, no_answer(error.stopped, str(error)))
                    except _Failed as error:
                        self._note_failed(request, str(error))

            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self.server.concurrency, len(left))):
                        group.create_task(work())
            except ExceptionGroup as group:
                raise self._first_of(group) from None
        self._finish_failed()

    def _first_of(self, group: ExceptionGroup) -> Exception:
        """The error to raise for several concurrent ones."""
        for error in group.exceptions:
            if isinstance(error, PolylectError):
                return error
        if isinstance(group.exceptions[0], _Bound):
            return self._bound_reached()
        return group

    async def _probe(self, http: httpx.AsyncClient, waiting: Sequence[Request]) -> list[Request]:
        """Send the shortest prompts alone until the server takes one; the remaining requests."""
        dialect = next(
            (row["dialect"] for row in self.journal.rows.values() if row["dialect"]), None
        )
        if dialect is not None:
            self.dialect = Dialect(**dialect)
            return list(waiting)
        first_samples = {number: (number, sample) for number, sample in reversed(waiting)}
        refused: dict[Request, str] = {}
        for request in sorted(first_samples.values(), key=self._length):
            try:
                await self._send_in_a_dialect(http, request)
                break
            except _Bound:
                raise self._bound_reached() from None
            except _Failed as error:
                self._note_failed(request, str(error))
            except _Refused as error:
                if error.stopped == "filter":  # the server works, and says nothing of the protocol
                    self._keep(request, no_answer(error.stopped, str(error)))
                    continue
                refused[request] = str(error)
                if len(refused) in {_REFUSALS, len(first_samples)}:
                    words = next(iter(refused.values()))
                    raise InputError(
                        f"{self.server.base}: the shortest prompt is refused ({words})",
                        "--temperature 1, if the server takes no other"
                        if "temperature" in words.lower()
                        else "check the model's name and the options",
                    ) from None
        for request, why in refused.items():
            self._keep(request, no_answer("refused", why))
        return [
            request for request in waiting
            if request not in self.journal.rows and request not in self.failed
        ]  # fmt: skip

    def _length(self, request: Request) -> tuple[int, Request]:
        return len(self.prompts[request[0]].prompt), request

    async def _send_in_a_dialect(self, http: httpx.AsyncClient, request: Request) -> None:
        """Answer one request, in the first dialect that the server does not complain about."""
        while True:
            try:
                return await self._send(http, request)
            except _Refused as error:
                is_filtered = error.stopped == "filter"
                simpler = (
                    None
                    if is_filtered
                    else self.dialect.simpler(str(error), self.config.sampling.temperature)
                )
                if simpler is None:
                    raise
                self.dialect = simpler

    async def _send(self, http: httpx.AsyncClient, request: Request) -> None:
        """Answer one request, with retries.

        Raises:
            _Refused: the server does not take it.
            _Failed: it failed as often as it may be sent.
            _Bound: the limit does not allow it.
        """
        number, sample = request
        prompt = self.prompts[number]
        body = body_for(prompt, sample, self.server.model, self.config, self.dialect)
        most = most_tokens(prompt, self.config)
        why = ""
        for attempt in range(self.server.retries + 1):
            await self._pause()
            await self._afford(most)
            used, wait, is_busy = most, None, False
            self.in_flight += 1
            try:
                reply = await http.post(f"{self.server.base}{path_for(self.config)}", json=body)
                data = data_of(reply)
                if not isinstance(data, Failure):
                    answer = read_answer(data, self.config)
                    used = most if answer["used"] is None else answer["used"]
                    answer["dialect"] = vars(self.dialect)
                    answer["fallbacks"] += self.dialect.fallbacks(self.config)
                    self._keep(request, answer)
                    return
                used, why, wait = 0, data.why, data.wait
                if data.status in REFUSED:
                    raise _Refused(why, is_filtered=data.is_filtered)
                if data.status not in AGAIN:
                    raise InputError(
                        f"{self.server.base}: the server answers {why}", hint_for(data.status)
                    )
                is_busy = data.status in BUSY
                self.failures[str(data.status)] += 1
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
            except Malformed as error:
                why = f"malformed answer, {error}"
                self.failures["malformed"] += 1
            finally:
                self.in_flight -= 1
                self.spending.settle(most, used)
                async with self.settled:
                    self.settled.notify_all()
            if attempt < self.server.retries:
                await self._back_off(attempt, wait, is_busy, why)
        raise _Failed(why)

    def _note_failed(self, request: Request, why: str) -> None:
        """Note a request that failed; the server is given up when many do in a row.

        Raises:
            PolylectError: as many requests in a row failed as run at once.
        """
        self.failed[request] = why
        self.failed_in_a_row += 1
        if self.failed_in_a_row >= max(_LEAST_IN_A_ROW, self.server.concurrency):
            raise PolylectError(
                f"{self.server.base}: {self.failed_in_a_row} requests in a row failed"
                f" {self.server.retries + 1} times each (last: {why})",
                "finished answers are kept: run the same command again when the server works",
            )

    def _finish_failed(self) -> None:
        """Keep the failed requests as empty answers where that was asked for.

        Raises:
            PolylectError: there are some, and it was not.
        """
        if not self.failed:
            return
        if self.server.skip_failed:
            for request, why in sorted(self.failed.items()):
                self._keep(request, no_answer("failed", why))
            return
        (number, _), why = min(self.failed.items())
        prompt = self.prompts[number]
        total = len(self.prompts) * self.config.sampling.num_samples
        raise PolylectError(
            f"{self.server.base}: {len(self.failed):,} of {total:,} requests failed"
            f" {self.server.retries + 1} times, first prompt {prompt.id!r} ({prompt.language})"
            f" (last: {why})",
            "the other answers are kept: run the same command again, or with --skip-failed, which"
            " counts these as empty answers",
        )

    def _keep(self, request: Request, answer: dict[str, Any]) -> None:
        answer.pop("used", None)
        self.journal.add(*request, **answer)
        if answer["stopped"] != "failed":
            self.failed_in_a_row = 0
        self._show(f"{self.spending.tokens:,} tokens spent")

    def _show(self, text: str) -> None:
        total = len(self.prompts) * self.config.sampling.num_samples
        self.report.update(len(self.journal.rows), total, "answers", text)

    async def _pause(self) -> None:
        """Wait until the server is no longer busy, which holds for all requests."""
        while (left := self.not_before - time.monotonic()) > 0:
            await asyncio.sleep(left)

    async def _back_off(self, attempt: int, wait: float | None, is_busy: bool, why: str) -> None:
        """Wait as long as the server says, or else with exponential backoff and jitter.

        A busy server makes every request wait, another failure this one alone.

        Raises:
            PolylectError: the server asks to wait for longer than an hour, as at the end of a
                day's quota.
        """
        if wait is not None and wait > _LONGEST_ASKED_SECONDS:
            raise PolylectError(
                f"{self.server.base}: the server asks to wait {wait:,.0f} seconds ({why})",
                "finished answers are kept: run the same command again then",
            )
        if wait is None:
            wait = _FIRST_WAIT_SECONDS * 2 ** min(attempt, 20) * random.uniform(0.5, 1.0)
        wait = min(wait, self.server.longest_wait_seconds)
        if is_busy:
            self.not_before = max(self.not_before, time.monotonic() + wait)
            if wait >= _SHOWN_WAIT_SECONDS:
                self._show(f"the server is busy: waiting {wait:.0f} s")
        else:
            await asyncio.sleep(wait)

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
