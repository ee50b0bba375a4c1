"""The options of the verbs that add a user to a fitted model, or delete one."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from polylect.api.fields import Group, Mark, Output, Positional
from polylect.api.people_options import CrowdOptions
from polylect.base import Seed, Threads


@dataclass(frozen=True, kw_only=True)
class PeopleAdaptOptions:
    """Add a user to a fitted personal reward model, or learn one anew; the others stay.

    Only the user's rows are read. Writes the model as safetensors and JSON; the folder that it is
    made from is not changed.

    Examples:
        polylect people adapt runs/shrinkage of-zoe.jsonl --user zoe --out runs/with-zoe
        polylect people adapt runs/gpo ratings.parquet --user 17 --max-pairs 100
        polylect people adapt runs/given of-zoe.jsonl --user zoe --encoder vectors:zoe.parquet
    """

    folder: Positional[Annotated[Path, Mark(metavar="DIR")]]
    """Folder of 'polylect people fit', 'adapt' or 'forget'."""
    file: Positional[Path]
    """Rows with user, prompt or none, chosen, rejected and language; or with user, prompt or none,
    text, rating and language (JSON lines or Parquet)."""
    user: str
    """User who is added."""
    crowd: Group[CrowdOptions] = field(default_factory=CrowdOptions)
    encoder: str | None = None
    """What sees the texts: where the model's encoder lies now, or vectors:FILE of these texts.
    Default: as it was fitted."""
    cache: Path | None = None
    """Folder of the cache of vectors. Default: OUT-vectors, beside --out."""
    seed: Seed = 0
    """Seed of the pairs that are made of ratings."""
    threads: Threads = 1
    """CPU threads of vpl, gpo and encoders; the bytes of the result depend on it."""
    output: Group[Output] = field(default_factory=Output)


@dataclass(frozen=True, kw_only=True)
class PeopleForgetOptions:
    """Delete a user from a fitted personal reward model; the others stay.

    What belongs to the user alone is deleted: name, arrays, pairs. What all users taught together
    stays: to take that out, fit the model again without the user's rows. Delete the old folder,
    too: it is not changed.

    Examples:
        polylect people forget runs/shrinkage --user zoe --out runs/without-zoe
        polylect people forget runs/with-zoe --user zoe
        polylect people forget runs/gpo --user 17 --dry-run
    """

    folder: Positional[Annotated[Path, Mark(metavar="DIR")]]
    """Folder of 'polylect people fit', 'adapt' or 'forget'."""
    user: str
    """User who is deleted."""
    output: Group[Output] = field(default_factory=Output)
