"""``polylect prompts``: a published set of open prompts as the file that ``generate`` reads."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from polylect.cli.fields import Switch
from polylect.cli.options import parse


@dataclass(frozen=True, kw_only=True)
class Options:
    """Write the prompts of a published set as JSON lines for 'polylect generate'.

    Without NAME the sets are listed. Every prompt keeps how its text was made (native, translated,
    edited), which 'polylect judge' reports apart.
    """

    name: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="NAME")]]
    """A set: dolly_human_edited, m_arena_hard …"""
    out: Path
    """File, .jsonl or .parquet."""
    data: Path | None = None
    """Holds a folder per dataset. Default: POLYLECT_DATA."""
    hub: Switch = False
    """Download what --data does not have."""
    languages: str = ""
    """Tags with commas between; all that the set has."""
    limit: int | None = None
    """Only the first of each language and category."""


def options_type() -> type:
    """The options of ``prompts``."""
    return Options


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect prompts``."""
    from polylect.evals import PROMPT_SETS, find_set, read_set

    if not arguments:
        width = max(map(len, PROMPT_SETS))
        for name, one in PROMPT_SETS.items():
            sys.stdout.write(f"{name:<{width}}  {one.summary}\n")
        return 0
    options: Any = parse(Options, arguments, "prompts", Options.__doc__ or "")
    from polylect.base import InputError, Ledger
    from polylect.cli.eval import tags_of
    from polylect.evals import Source
    from polylect.rows import Prompt, write_rows

    if options.limit is not None and options.limit < 1:
        raise InputError(f"--limit is {options.limit}", "give 1 or more")
    if options.out.suffix not in {".jsonl", ".parquet"}:
        raise InputError(f"--out {options.out}: not .jsonl or .parquet", "--out prompts.jsonl")
    ledger, chosen = Ledger(), find_set(options.name)
    data = options.data or os.environ.get("POLYLECT_DATA")
    source = Source.at(Path(data) if data else None, options.hub)
    tags = tags_of(options.languages, "--languages")
    found = read_set(chosen, source, tags, options.limit, ledger)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_rows(options.out, Prompt, found)
    counts: dict[str, int] = {}
    for one in found:
        counts[one.language] = counts.get(one.language, 0) + 1
    by_language = ", ".join(f"{tag} {num:,}" for tag, num in counts.items())
    sys.stdout.write(f"{len(found):,} prompts ({by_language})\n")
    sys.stdout.write(f"{chosen.data.license}, {chosen.data.home}\n")
    for event, where, num in ledger.rows():
        sys.stdout.write(f"{num:,} {event} ({where})\n")
    sys.stdout.write(f"{options.out}\n")
    return 0
