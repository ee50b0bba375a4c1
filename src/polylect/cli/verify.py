"""``polylect verify``: verify a checkpoint against its manifest."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from polylect.base import CountOrZero, Seed
from polylect.cli.options import parse


@dataclass(frozen=True, kw_only=True)
class Options:
    """Verify all digests of a checkpoint and its inputs, and recompute some merged blocks."""

    checkpoint: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="DIR")]]
    """A folder that polylect wrote."""
    blocks: CountOrZero = 64
    """Number of randomly drawn blocks to recompute."""
    seed: Seed = 0
    """Seed of the draw."""
    inputs: Annotated[tuple[str, ...], tyro.conf.arg(metavar="LABEL=DIR")] = ()
    """New folders of inputs that have moved."""


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect verify``."""
    options = parse(Options, arguments, "verify")
    from polylect.base import parse_pairs
    from polylect.merging import verify

    moved = {
        label: Path(path)
        for label, path in parse_pairs("inputs", options.inputs, "LABEL=DIR").items()
    }
    result = verify(options.checkpoint, num_blocks=options.blocks, seed=options.seed, inputs=moved)
    sys.stdout.write(
        f"{options.checkpoint}: {result.num_outputs} files as sealed, {result.num_inputs} files of "
        f"inputs as recorded, {result.num_blocks} blocks recomputed and equal\n"
    )
    return 0
