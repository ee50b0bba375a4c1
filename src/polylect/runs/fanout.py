"""Fan-out: the same function on many items, here over processes of this machine.

Results come back in the order of the items, so that the number of workers never changes a result.
``Fanout`` is the whole interface; another back end implements it.
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
from polylect.runs.progress import Display, Event

T = TypeVar("T")
R = TypeVar("R")

_events: Any = None


class Fanout(Protocol):
    """Runs ``function`` on every item and gives the results in the items' order."""

    def __call__(
        self, function: Callable[[T], R], items: Sequence[T], *, display: Display | None = None
    ) -> list[R]:
        """The results; the first exception of a worker is raised here."""
        ...


class Processes:
    """Fan-out over spawned processes.

    A worker that dies is an error, never a missing result. Workers end when the parent does, even
    by SIGKILL. One worker, or one item, runs in this process.
    """

    def __init__(self, num_workers: int) -> None:
        assert num_workers >= 1
        self.num_workers = num_workers

    def __call__(
        self, function: Callable[[T], R], items: Sequence[T], *, display: Display | None = None
    ) -> list[R]:
        """The results in the items' order.

        Raises:
            PolylectError: a worker died (killed, or out of memory), or what the function raised.
        """
        if self.num_workers == 1 or len(items) <= 1:
            return [function(item) for item in items]
        context = multiprocessing.get_context("spawn")
        events = context.Queue()
        drained = threading.Event()
        drain = threading.Thread(target=_drain, args=(events, display, drained), daemon=True)
        drain.start()
        pool = ProcessPoolExecutor(
            min(self.num_workers, len(items)), context, _start_worker, (events, os.getpid())
        )
        try:
            with _no_interrupt():
                futures: list[Future[R]] = [pool.submit(function, item) for item in items]
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                if future.exception() is not None:
                    raise future.exception()  # pyrefly: ignore
            return [future.result() for future in futures]
        except BrokenProcessPool:
            raise PolylectError(
                "a worker process died (killed from outside, or out of memory)",
                "run the command again, finished steps are kept; --workers 1 needs least memory",
            ) from None
        finally:
            for process in list((pool._processes or {}).values()):
                process.terminate()
            pool.shutdown(wait=True, cancel_futures=True)
            drained.set()
            drain.join()
            events.close()
            events.cancel_join_thread()


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Hold Ctrl-C back; processes started meanwhile inherit that it is blocked."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def send_event(event: Event) -> None:
    """Pass an event from a worker to the parent's display."""
    if _events is not None:
        _events.put(event)


def in_worker() -> bool:
    """Whether this process is a worker of ``Processes``."""
    return _events is not None


def _start_worker(events: Any, parent: int) -> None:
    global _events
    _events = events
    events.cancel_join_thread()
    # Ctrl-C reaches the whole group; the parent alone decides, then ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: int) -> None:
    """End this process when its parent is gone: an orphan must not write into a resumed run."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


def _drain(events: Any, display: Display | None, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            event = events.get(timeout=0.2)
        except queue.Empty:
            continue
        if display is not None:
            display.handle(event)
