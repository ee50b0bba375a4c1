"""The response cache: a file per forward pass, named by the digest of everything it depends on."""

from pathlib import Path

import numpy as np

from polylect.base import atomic_file, digest_of
from polylect.engine.plan import Pass, Plan
from polylect.text import path_of


class PassCache:
    """Results of earlier passes, stored in a folder.

    A pass hits only if the weights, the settings, all its tokens, the prefix it continues and the
    scored tokens are the same: another model at the same path never hits. Files appear whole or
    not at all, so that a killed run leaves only finished passes.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        """Open a cache.

        Args:
            folder: of the files; made on the first write.
            identity: digest of weights and settings.
        """
        self._folder = folder
        self._identity = identity

    def key(self, plan: Plan, forward_pass: Pass) -> str:
        """Digest of everything that the results of a pass depend on."""
        chain = path_of(plan.nodes, forward_pass.kept)
        index = {node: i for i, node in enumerate(forward_pass.nodes)}
        return digest_of(
            {
                "identity": self._identity,
                # How the prefix was cut into passes decides its rounding.
                "kept": [plan.ids(node).tolist() for node in chain],
                "ids": [plan.ids(node).tolist() for node in forward_pass.nodes],
                "parents": [index.get(plan.nodes[node].parent, -1) for node in forward_pass.nodes],
                "rows": forward_pass.rows.tolist(),
                "targets": forward_pass.targets.tolist(),
            }
        )

    def read(self, key: str, num_slots: int) -> np.ndarray | None:
        """Results of an earlier pass, float64 [slots, 2], or None."""
        try:
            answers = np.load(self._path(key), allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        return answers if answers.shape == (num_slots, 2) else None

    def write(self, key: str, answers: np.ndarray) -> None:
        """Store the results of a pass.

        Raises:
            StorageError: the disk is full or the folder cannot be written.
        """
        with atomic_file(self._path(key)) as temporary, temporary.open("wb") as file:
            np.save(file, answers, allow_pickle=False)

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.npy"
