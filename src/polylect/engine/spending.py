"""What requests cost: counted on disk before they are sent, so that no kill forgets one."""

import json
from pathlib import Path

from polylect.engine.server import Server


class Spending:
    """Requests and tokens so far, under a server's bounds.

    Before a request is sent the most that it may cost is put down; its answer replaces this by
    what it did cost. Where nobody can know (a connection that broke, a process that was killed, an
    answer that does not say) the most stays.
    """

    def __init__(self, path: Path, server: Server) -> None:
        """Go on with what the file holds."""
        self.requests = self.tokens = 0
        self._server = server
        if path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    requests, tokens = json.loads(line)
                except ValueError:
                    continue  # the end of a line that a kill cut off; its request was not sent
                self.requests += requests
                self.tokens += tokens
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 - held until close
        self._file.write("\n")

    def allows(self, tokens: int) -> bool:
        """Whether a request that may cost this many tokens stays within the bounds."""
        most_requests, most_tokens = self._server.max_requests, self._server.max_tokens
        return (most_requests is None or self.requests + 1 <= most_requests) and (
            most_tokens is None or self.tokens + tokens <= most_tokens
        )

    def reserve(self, tokens: int) -> None:
        """Put down a request and the most that it may cost."""
        self._note(1, tokens)

    def settle(self, reserved: int, used: int) -> None:
        """Replace the most by what it was."""
        self._note(0, used - reserved)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _note(self, requests: int, tokens: int) -> None:
        self._file.write(json.dumps([requests, tokens]) + "\n")
        self._file.flush()
        self.requests += requests
        self.tokens += tokens
