"""``polylect verify``: whether a checkpoint is what its record says."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from polylect.cli.options import parse


@dataclass(frozen=True, kw_only=True)
class Options:
    """Read every digest of a checkpoint and of what it was merged from; merge some blocks again."""

    checkpoint: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="DIR")]]
    """A folder that polylect wrote."""
    blocks: int = 64
    """Blocks to compute again, drawn from all of them."""
    seed: int = 0
    """Of the draw."""
    inputs: Annotated[tuple[str, ...], tyro.conf.arg(metavar="LABEL=DIR")] = ()
    """Where inputs are that have moved."""


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect verify``."""
    options = parse(Options, arguments, "verify")
    from polylect.base import InputError
    from polylect.merging import verify

    if options.blocks < 0:
        raise InputError(f"--blocks is {options.blocks}", "it must be at least 0")
    moved: dict[str, Path] = {}
    for one in options.inputs:
        label, sign, path = one.partition("=")
        if not sign:
            raise InputError(f"--inputs {one}: not LABEL=DIR", "e.g. --inputs base=models/base")
        moved[label] = Path(path)
    found = verify(options.checkpoint, num_blocks=options.blocks, seed=options.seed, inputs=moved)
    sys.stdout.write(
        f"{options.checkpoint}: {found.num_outputs} files as sealed, {found.num_inputs} files of "
        f"inputs as recorded, {found.num_blocks} blocks computed again and equal\n"
    )
    return 0
