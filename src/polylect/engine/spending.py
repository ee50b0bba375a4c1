"""Spent requests and tokens, written to disk before a request is sent: a kill forgets none."""

import json
from pathlib import Path

from polylect.engine.server import Server


class Spending:
    """Requests and tokens so far, under a server's limits.

    The maximum cost of a request is recorded before it is sent, and replaced by the actual cost
    when it is answered. If the actual cost is unknown (a broken connection, a killed process, an
    answer without usage), the maximum stays.
    """

    def __init__(self, path: Path, server: Server) -> None:
        """Continue the file."""
        self.requests = self.tokens = 0
        self._server = server
        if path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    requests, tokens = json.loads(line)
                except ValueError:
                    continue  # a line cut off by a kill; its request was not sent
                self.requests += requests
                self.tokens += tokens
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 - open until close
        self._file.write("\n")

    def allows(self, tokens: int) -> bool:
        """Whether a request of at most this many tokens stays within the limits."""
        most_requests, most_tokens = self._server.max_requests, self._server.max_tokens
        return (most_requests is None or self.requests + 1 <= most_requests) and (
            most_tokens is None or self.tokens + tokens <= most_tokens
        )

    def reserve(self, tokens: int) -> None:
        """Record a request and its maximum cost."""
        self._note(1, tokens)

    def settle(self, reserved: int, used: int) -> None:
        """Replace the maximum cost by the actual one."""
        self._note(0, used - reserved)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _note(self, requests: int, tokens: int) -> None:
        self._file.write(json.dumps([requests, tokens]) + "\n")
        self._file.flush()
        self.requests += requests
        self.tokens += tokens
