"""Fan-out: one function on many items, over processes of this machine.

Results are in the order of the items, so that the number of workers never changes a result. Other
back ends implement ``Fanout``.
"""

import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from polylect.base import PolylectError
from polylect.runs.progress import Event, Receiver

T = TypeVar("T")
R = TypeVar("R")

_events: Any = None


class Fanout(Protocol):
    """Runs a function on every item and returns the results in the items' order."""

    def __call__(
        self, function: Callable[[T], R], items: Sequence[T], *, display: Receiver | None = None
    ) -> list[R]:
        """The results; the first exception of a worker is raised here."""
        ...


class Processes:
    """Fan-out over spawned processes.

    A worker that dies is an error, never a missing result. Workers end when the parent does, even
    by SIGKILL. One worker, or one item, runs in this process.

    In a ``with`` block the processes stay for the next call, so that they can keep what took long
    to load; a single item then goes to one of them too.
    """

    def __init__(self, num_workers: int) -> None:
        assert num_workers >= 1
        self.num_workers = num_workers
        self._kept: _Pool | None = None

    def __enter__(self) -> "Processes":
        if self.num_workers > 1:
            self._kept = _Pool(self.num_workers)
        return self

    def __exit__(self, *_: object) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def __call__(
        self, function: Callable[[T], R], items: Sequence[T], *, display: Receiver | None = None
    ) -> list[R]:
        """The results in the items' order.

        Raises:
            PolylectError: a worker died (killed, or out of memory), or what the function raised.
        """
        if self._kept is not None:
            return self._kept(function, items, display)
        if self.num_workers == 1 or len(items) <= 1:
            return [function(item) for item in items]
        pool = _Pool(min(self.num_workers, len(items)))
        try:
            return pool(function, items, display)
        finally:
            pool.close()


class _Pool:
    """Spawned processes and the thread that forwards their events."""

    def __init__(self, num_workers: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._events = context.Queue()
        self._pool = ProcessPoolExecutor(
            num_workers, context, _start_worker, (self._events, os.getpid())
        )

    def __call__(
        self, function: Callable[[T], R], items: Sequence[T], display: Receiver | None
    ) -> list[R]:
        drained = threading.Event()
        drain = threading.Thread(target=_drain, args=(self._events, display, drained), daemon=True)
        drain.start()
        try:
            with _no_interrupt():
                futures: list[Future[R]] = [self._pool.submit(function, item) for item in items]
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                if future.exception() is not None:
                    raise future.exception()  # pyrefly: ignore
            return [future.result() for future in futures]
        except BrokenProcessPool:
            raise PolylectError(
                "a worker process died (killed from outside, or out of memory)",
                "run the same command again, with --workers 1 where memory is short",
            ) from None
        finally:
            drained.set()
            drain.join()

    def close(self) -> None:
        """Terminate the processes."""
        for process in list((self._pool._processes or {}).values()):
            process.terminate()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._events.close()
        self._events.cancel_join_thread()


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Block Ctrl-C; processes started meanwhile inherit the block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def send_event(event: Event) -> None:
    """Send an event from a worker to the parent's display."""
    if _events is not None:
        _events.put(event)


def in_worker() -> bool:
    """Whether this process is a worker of ``Processes``."""
    return _events is not None


def _start_worker(events: Any, parent: int) -> None:
    global _events
    _events = events
    events.cancel_join_thread()
    # Ctrl-C reaches the whole process group; only the parent reacts, and ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: int) -> None:
    """Exit when the parent is gone: an orphan must not write into a resumed run."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


def _drain(events: Any, display: Receiver | None, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            event = events.get(timeout=0.2)
        except queue.Empty:
            continue
        if display is not None:
            display.handle(event)
