"""Metrics to trackio or Weights & Biases, where the user has them; neither is needed."""

import importlib
from collections.abc import Mapping
from typing import Any

from polylect.base import InputError


class Tracker:
    """One run in a tracker: ``metrics`` sends a row of ``metrics.jsonl``."""

    def __init__(self, name: str, project: str, run: str, key: str, config: Any) -> None:
        """Begin the run; one that was killed is continued where the tracker can.

        Args:
            name: ``trackio`` or ``wandb``.
            project: what the tracker calls the project.
            run: what it calls the run.
            key: of the step; the same training has the same.
            config: what is shown beside the curves.

        Raises:
            InputError: it is not installed.
        """
        try:
            self._module = importlib.import_module(name)
        except ImportError:
            raise InputError(
                f"--tracker {name}: not installed", f"pip install 'polylect[{name}]'"
            ) from None
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
    """The numbers of a row but its step: ``loss``, ``loss/de``, ``probe/kl``, ``probe/kl/de``."""
    found: dict[str, float] = {}
    for key, value in row.items():
        if key == "by_language":
            for tag, own in value.items():
                found |= {f"{name}/{tag}": float(one) for name, one in own.items()}
        elif isinstance(value, Mapping):
            found |= {f"{key}/{name}": one for name, one in flat(value).items()}
        elif key != "step" and isinstance(value, int | float):
            found[key] = float(value)
    return found
