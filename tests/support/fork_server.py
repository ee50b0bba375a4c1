"""A process that has the heavy packages imported and forks for every request.

Importing torch and transformers takes 5 CPU seconds, and most tests that need a process of their
own do nothing else for as long. A forked child is otherwise what ``python -c CODE ARGUMENTS`` is.
"""

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import selectors
import signal
import sys
import threading
import traceback
from typing import NoReturn

HEAVY = (
    "cma",
    "pymoo.algorithms.moo.nsga2",
    "torch",
    "transformers.models.auto.modeling_auto",
    "transformers.models.cohere2.modeling_cohere2",
    "transformers.models.llama.modeling_llama",
)


def preload() -> None:
    """Import what children need, without starting a thread: threads do not survive a fork."""
    import polylect

    for name in HEAVY:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)
    for module in pkgutil.walk_packages(polylect.__path__, "polylect."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    assert sys.modules["torch"].get_num_threads() == 1
    gc.freeze()  # the collector would otherwise copy every page that parent and child share


def serve() -> None:
    """Fork for every request on stdin; write who started, and who ended how, to stdout."""
    preload()
    _adopt_orphans()
    answers = os.dup(1)
    os.dup2(2, 1)  # nothing else writes between the answers
    wake, woken = os.pipe()
    for end in (wake, woken):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken)
    selector = selectors.DefaultSelector()
    selector.register(0, selectors.EVENT_READ)
    selector.register(wake, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fd == wake:
                os.read(wake, 4096)
                _reap(answers)
            elif not (line := sys.stdin.buffer.readline()):
                return
            else:
                request = json.loads(line)
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    selector.close()
                    for end in (answers, wake, woken):
                        os.close(end)
                    _end(_run(request))
                with contextlib.suppress(OSError):  # the child does so too: whoever is first
                    os.setpgid(pid, pid)
                os.write(answers, f"started {pid}\n".encode())


def _adopt_orphans() -> None:
    """Become the parent of what killed children leave, so that it is waited for and counted."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def _reap(answers: int) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        os.write(answers, f"ended {pid} {os.waitstatus_to_exitcode(status)}\n".encode())


def _run(request: dict) -> int:
    """Run the request's code as ``python -c`` would, in a process group of its own."""
    os.setpgid(0, 0)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for path, number in ((request["stdout"], 1), (request["stderr"], 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_TRUNC), number)
    sys.argv = ["-c", *request["arguments"]]
    try:
        exec(compile(request["code"], "<string>", "exec"), {"__name__": "__main__"})
    except SystemExit as stop:
        if isinstance(stop.code, str):
            sys.stderr.write(f"{stop.code}\n")
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _end(code: int) -> NoReturn:
    """Exit as an interpreter does, but leave its memory alone: freeing it takes 0.3 CPU seconds."""
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)
