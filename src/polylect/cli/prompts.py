"""``polylect prompts``: write a published set of open prompts, for ``polylect generate``."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from polylect.base import Count
from polylect.cli.fields import Switch
from polylect.cli.options import parse
from polylect.cli.results import print_lines, say_already_there
from polylect.cli.values import data_folder, language_tags

if TYPE_CHECKING:
    from polylect.rows import Prompt


@dataclass(frozen=True, kw_only=True)
class Options:
    """Write the prompts of a published set as JSON lines for 'polylect generate'.

    Without NAME, list the sets. Every prompt records the origin of its text (native, translated,
    edited), by which 'polylect judge' reports separately.
    """

    name: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="NAME")]]
    """Name of a set: dolly_human_edited, m_arena_hard …"""
    out: Path
    """Output file, .jsonl or .parquet."""
    data: Path | None = None
    """Folder with a folder per dataset. Default: POLYLECT_DATA."""
    hub: Switch = False
    """Download datasets that --data does not have."""
    languages: str = ""
    """Language tags separated by commas. Default: all of the set."""
    limit: Count | None = None
    """Only the first N prompts per language and category."""
    force: Switch = False
    """Replace other prompts in --out."""


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect prompts``."""
    from polylect.evals import PROMPT_SETS, find_set, read_set

    if not arguments:
        width = max(map(len, PROMPT_SETS))
        for name, prompt_set in PROMPT_SETS.items():
            sys.stdout.write(f"{name:<{width}}  {prompt_set.summary}\n")
        return 0
    options = parse(Options, arguments, "prompts")
    from polylect.base import InputError, Ledger
    from polylect.evals import Source
    from polylect.rows import Prompt, write_rows

    if options.out.suffix not in {".jsonl", ".parquet"}:
        raise InputError(f"--out {options.out}: not .jsonl or .parquet", "--out prompts.jsonl")
    ledger, prompt_set = Ledger(), find_set(options.name)
    source = Source.at(data_folder(options.data), options.hub)
    tags = language_tags(options.languages, "--languages")
    prompts = read_set(prompt_set, source, tags, options.limit, ledger)
    if _holds(options.out, prompts, force=options.force):
        say_already_there(options.out)
    else:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        write_rows(options.out, Prompt, prompts)
    source_line = f"{prompt_set.data.license}, {prompt_set.data.home}"
    print_lines([
        _count(prompts), source_line, *ledger.lines(), options.out
    ])  # fmt: skip
    return 0


def _holds(out: Path, prompts: Sequence["Prompt"], *, force: bool) -> bool:
    """Whether the file holds these prompts already; False where it may be written.

    Raises:
        InputError: it holds something else.
    """
    from polylect.base import InputError
    from polylect.rows import Prompt, read_rows

    if force or not out.exists():
        return False
    try:
        existing = list(read_rows(out, Prompt))
    except InputError:
        raise InputError(
            f"{out}: holds something other than prompts", "choose another --out FILE, or --force"
        ) from None
    if existing == list(prompts):
        return True
    raise InputError(
        f"{out}: holds other prompts ({_count(existing)} → {_count(prompts)})",
        "--force replaces them, or choose another --out FILE",
    )


def _count(prompts: Sequence["Prompt"]) -> str:
    """Their number, in all and by language."""
    counts = Counter(prompt.language for prompt in prompts)
    by_language = ", ".join(f"{tag} {num:,}" for tag, num in counts.items())
    return f"{len(prompts):,} prompts ({by_language})"
