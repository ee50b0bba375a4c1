"""``verify``: a checkpoint against its manifest."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from polylect.api.fields import Mark, Positional
from polylect.api.results import Result
from polylect.api.verbs import verb
from polylect.base import CountOrZero, Ledger, Seed

if TYPE_CHECKING:
    import polars

    from polylect.merging import Verified


@dataclass(frozen=True, kw_only=True)
class VerifyOptions:
    """Verify all digests of a checkpoint and its inputs, and recompute some merged blocks.

    Writes nothing; the first difference is an error.

    Examples:
        polylect verify merged
        polylect verify merged --blocks 1000 --seed 1
        polylect verify merged --inputs de=models/de fr=models/fr
    """

    model: Positional[Path]
    """A folder that polylect wrote."""
    blocks: CountOrZero = 64
    """Number of randomly drawn blocks to recompute."""
    seed: Seed = 0
    """Seed of the draw."""
    inputs: Annotated[Mapping[str, Path], Mark(metavar="LABEL=DIR")] = field(default_factory=dict)
    """New folders of inputs that have moved."""


class Verification(Result):
    """What was verified; a folder that is not as it was sealed is an error instead."""

    def __init__(self, path: Path, verified: "Verified") -> None:
        """What was verified of a folder."""
        super().__init__(path)
        self.verified = verified

    @cached_property
    def ledger(self) -> Ledger:
        """Empty: nothing is left out."""
        return Ledger()

    def table(self) -> "polars.DataFrame":
        """One row: how many files, files of inputs and blocks were compared."""
        import polars

        return polars.DataFrame(
            {
                "model": [str(self.path)],
                "files": [self.verified.num_outputs],
                "input_files": [self.verified.num_inputs],
                "blocks": [self.verified.num_blocks],
            }
        )

    def lines(self) -> list[str]:
        """What was compared, in a line."""
        verified = self.verified
        return [
            f"{self.path}: {verified.num_outputs} files as sealed, {verified.num_inputs} files of "
            f"inputs as recorded, {verified.num_blocks} blocks recomputed and equal"
        ]


@verb("verify", VerifyOptions)
def verify(options: VerifyOptions) -> Verification:
    """Verify all digests of a checkpoint and its inputs, and recompute some merged blocks.

    Returns a ``Verification`` with what was compared; the first difference is raised.

        pl.verify("merged")
    """
    from polylect.merging import verify

    verified = verify(
        options.model, num_blocks=options.blocks, seed=options.seed, inputs=options.inputs
    )
    return Verification(options.model, verified)
