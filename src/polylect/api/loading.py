"""``load_checkpoint``: a handle on a checkpoint."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polylect.checkpoints import Checkpoint


def load_checkpoint(path: "str | os.PathLike[str]") -> "Checkpoint":
    """A handle on a checkpoint: where it lies, its configuration, digests, how it was made.

    No tensor is read. ``transformers.AutoModelForCausalLM.from_pretrained(path)`` loads every
    checkpoint that polylect writes.

        pl.load_checkpoint("merged").num_parameters

    Args:
        path: a folder in Hugging Face layout, or the result of a call that wrote one.

    Raises:
        InputError: no such folder, or a file in it is broken.
    """
    from polylect.checkpoints import Checkpoint

    return Checkpoint.open(Path(path))
