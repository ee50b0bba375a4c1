"""The response cache: one small file per forward pass, named by all that its numbers depend on."""

from pathlib import Path

import numpy as np

from polylect.base import atomic_file, digest_of
from polylect.engine.plan import Pass, Plan
from polylect.text import path_of


class PassCache:
    """Answers of passes that ran before, under a folder.

    A pass is found again only if the weights, the settings, every token it computed and continued
    and every token it was asked for are the same: another model at the same path never hits. A
    file appears whole or not at all, so that a killed run leaves only finished passes.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        """Open a cache.

        Args:
            folder: where the files lie; made when first written.
            identity: digest of weights and settings.
        """
        self._folder = folder
        self._identity = identity

    def key(self, plan: Plan, one: Pass) -> str:
        """Digest of all that the numbers of a pass depend on."""
        chain = path_of(plan.nodes, one.kept)
        place = {node: i for i, node in enumerate(one.nodes)}
        return digest_of(
            {
                "identity": self._identity,
                # How the kept tokens were cut into passes decides their rounding.
                "kept": [plan.ids(node).tolist() for node in chain],
                "ids": [plan.ids(node).tolist() for node in one.nodes],
                "parents": [place.get(plan.nodes[node].parent, -1) for node in one.nodes],
                "rows": one.rows.tolist(),
                "targets": one.targets.tolist(),
            }
        )

    def read(self, key: str, num_slots: int) -> np.ndarray | None:
        """Answers float64 [slots, 2] of a pass that ran before, or None."""
        try:
            found = np.load(self._path(key), allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        return found if found.shape == (num_slots, 2) else None

    def write(self, key: str, answers: np.ndarray) -> None:
        """Keep the answers of a pass.

        Raises:
            StorageError: the disk is full or the folder cannot be written.
        """
        with atomic_file(self._path(key)) as temporary, temporary.open("wb") as file:
            np.save(file, answers, allow_pickle=False)

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.npy"
