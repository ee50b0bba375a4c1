"""Which parameters a training leaves as they are."""

from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

import torch

from polylect.base import InputError


def freeze(model: torch.nn.Module, patterns: Sequence[str]) -> None:
    """Leave parameters out of the gradient; call before the model is sharded.

    Args:
        model: what is trained.
        patterns: of the parameters' names, with ``*`` and ``?``.

    Raises:
        InputError: a pattern that no parameter matches, or nothing is left to train.
    """
    named = dict(model.named_parameters())
    for pattern in patterns:
        names = [name for name in named if fnmatchcase(name, pattern)]
        if not names:
            near = get_close_matches(pattern, named, n=1, cutoff=0.3) or list(named)[:1]
            raise InputError(f"--freeze {pattern!r} matches no parameter of the model",
                             f"its names look like {near[0]}")  # fmt: skip
        for name in names:
            named[name].requires_grad_(False)
    if patterns and not any(parameter.requires_grad for parameter in named.values()):
        raise InputError(f"--freeze {' '.join(patterns)}: nothing is left to train",
                         "leave a part of the model out of it")  # fmt: skip
