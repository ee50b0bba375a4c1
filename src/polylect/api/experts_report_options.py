"""The options of ``experts report``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from polylect.api.fields import Group, Mark, Output, Positional
from polylect.base import Count, Seed, Threads


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """Report on a mixture of experts: where tokens go, what it weighs, who gained and who paid.

    Give held-out text. Whose text a file is: NAME=FILE is the domain NAME; a file called like an
    expert is the expert's; any other beside such a one is a domain without an own expert. Where no
    file is called so, as many files as experts are theirs in order, and a single file has a domain
    per language, whose own expert is the only one that learned the language by config.json. Writes
    report.json, routing.parquet, scores.parquet (for 'polylect compare') and index.html.

    Examples:
        polylect experts report moe --data de.jsonl fr.jsonl code.jsonl
        polylect experts report moe --data test.jsonl --against seed=base merge=soup --out report
        polylect experts report moe --data law=law.jsonl de.jsonl --texts 50
    """

    model: Positional[Annotated[Path, Mark(metavar="DIR")]]
    """A folder in Hugging Face layout: the mixture of experts, quantized or not."""
    data: Annotated[tuple[str, ...], Mark(metavar="[NAME=]FILE ...", keeps_commas=True)]
    """File or folder of held-out text, or several: plain text, JSON lines or Parquet with text and
    language; NAME=FILE to say whose text it is."""
    against: Annotated[Mapping[str, Path], Mark(metavar="NAME=DIR")] = field(default_factory=dict)
    """Checkpoints to compare the mixture with, by name: its seed, a merge, a dense model trained on
    as much. They must have its tokenizer."""
    texts: Count = 200
    """Most texts of a domain and language; which, depends on --seed and on what they say."""
    context_tokens: Count | None = None
    """Longest run, in tokens; longer texts are split and counted. Default: what every model takes,
    at most 512."""
    default_language: str = ""
    """Language tag of all text without one. Default: it is identified."""
    seed: Seed = 0
    """Seed of the texts that are drawn, and of the bootstrap."""
    threads: Threads = 1
    """CPU threads; the last digits of the scores depend on them."""
    output: Group[Output] = field(default_factory=Output)
