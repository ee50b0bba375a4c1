"""Metrics to trackio or Weights & Biases, if installed."""

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from polylect.base import InputError


def load_tracker(name: str) -> ModuleType:
    """The module of a tracker.

    Raises:
        InputError: the tracker is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise InputError(
            f"--tracker {name}: not installed", f"pip install -c constraints.txt '.[{name}]'"
        ) from None


class Tracker:
    """A run in a tracker; ``metrics`` sends a row of ``metrics.jsonl`` to it."""

    def __init__(self, name: str, project: str, run: str, key: str, config: Any) -> None:
        """Start the run, or resume the one of the same key if the tracker can.

        Args:
            name: ``trackio`` or ``wandb``.
            project: name of the project.
            run: name of the run.
            key: of the run's step; equal for equal trainings.
            config: shown beside the curves.

        Raises:
            InputError: the tracker is not installed.
        """
        self._module = load_tracker(name)
        if name == "wandb":
            names = {"id": key[:16], "name": run}
        else:
            names = {"name": f"{run}-{key[:8]}"}  # trackio knows a run by its name alone
        self._module.init(project=project, config=config, resume="allow", **names)

    def metrics(self, step: int, row: Mapping[str, Any]) -> None:
        """Send the numbers of a row, those by language as ``loss/de``."""
        self._module.log(flat(row), step=step)

    def close(self) -> None:
        """End the run."""
        self._module.finish()


def flat(row: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a row but its step: ``loss``, ``loss/de``, ``probe/kl``, ``probe/kl/de``.

    Example:
        >>> flat({"step": 1, "loss": 2, "by_language": {"de": {"loss": 3}}})
        {'loss': 2.0, 'loss/de': 3.0}
    """
    numbers: dict[str, float] = {}
    for key, value in row.items():
        if key == "by_language":
            for tag, metrics in value.items():
                numbers |= {f"{name}/{tag}": float(number) for name, number in metrics.items()}
        elif isinstance(value, Mapping):
            numbers |= {f"{key}/{name}": number for name, number in flat(value).items()}
        elif key != "step" and isinstance(value, int | float):
            numbers[key] = float(value)
    return numbers
