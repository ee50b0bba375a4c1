"""polylect builds one language model for many, and says at every step who pays for it.

Every job is one call: ``evaluate``, ``compare``, ``generate``, ``judge``, ``merge``, ``quantize``,
``train.sft``, ``rank`` … The command line does the same by the same names. ``help(pl.compare)``
lists what a call takes.

    import polylect as pl
    base = pl.evaluate("base", tasks=["xcopa"])
    merged = pl.evaluate("merged", tasks=["xcopa"])
    pl.compare(base, merged).languages
"""

import sys

from polylect._version import __version__

__all__ = [
    "agreement",
    "audit",
    "compare",
    "confusion",
    "describe_run",
    "evaluate",
    "experts",
    "feedback",
    "generate",
    "grade",
    "judge",
    "languages",
    "list_runs",
    "load_checkpoint",
    "merge",
    "mixture",
    "open_run",
    "people",
    "prompts",
    "quantize",
    "rank",
    "remove_runs",
    "run",
    "simulate",
    "tasks",
    "train",
    "verify",
    "win_rates",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'polylect' has no attribute {name!r}")
    from importlib import import_module
    from types import SimpleNamespace

    from polylect.api.catalog import CALLS, FUNCTIONS, find_call
    from polylect.api.signatures import documented

    if name in FUNCTIONS:
        value: object = getattr(import_module(f"polylect.api.{FUNCTIONS[name]}"), name)
    elif name in CALLS:
        value = documented(find_call(name))
    else:
        inner = {call.partition(".")[2]: call for call in CALLS if call.startswith(f"{name}.")}
        value = SimpleNamespace(
            **{word: documented(find_call(call)) for word, call in inner.items()}
        )
    globals()[name] = value
    return value


_Module = type(sys)


class _Calls(_Module):
    """This module: a package of it that is imported does not hide the calls of the same name."""

    def __setattr__(self, name: str, value: object) -> None:
        if name not in __all__ or not isinstance(value, _Module):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Calls


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
