"""``prompts``: published sets of open prompts, for ``generate``."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from polylect.api.fields import Group, Output, Positional, Switch
from polylect.api.generation import PROMPTS
from polylect.api.listings import Listing
from polylect.api.models import datasets_folder
from polylect.api.results import Plan, Result, run_call
from polylect.api.tags import language_tags
from polylect.api.text_tables import text_table
from polylect.api.verbs import verb
from polylect.api.without_effect import for_each, refuse_without_effect
from polylect.base import Count, InputError, Ledger, read_json

if TYPE_CHECKING:
    import polars

    from polylect.rows import Prompt
    from polylect.runs import StepContext


@dataclass(frozen=True, kw_only=True)
class PromptsOptions:
    """Read the prompts of a published set for 'polylect generate', or list the sets.

    Every prompt records the origin of its text (native, translated, edited), by which 'polylect
    judge' reports separately. Writes prompts.jsonl.

    Examples:
        polylect prompts
        polylect prompts m_arena_hard --hub --languages tr,de --out prompts
        polylect prompts dolly_human_edited --datasets DIR --limit 50
    """

    prompt_set: Positional[str | None] = None
    """Name of a set. Default: the sets are listed."""
    datasets: Path | None = None
    """Folder with one folder per dataset. Default: POLYLECT_DATA."""
    hub: Switch = False
    """Download datasets that --datasets does not have."""
    languages: tuple[str, ...] = ()
    """Language tags. Default: all of the set."""
    limit: Count | None = None
    """Only the first prompts of each language and category. Default: all."""
    output: Group[Output] = field(default_factory=Output)


class Prompts(Result):
    """Prompts of a published set; it may be given wherever a file of prompts may."""

    @property
    def file(self) -> Path:
        """The prompts, as JSON lines."""
        return self.path / PROMPTS

    @cached_property
    def prompts(self) -> "list[Prompt]":
        """The prompts, in order."""
        from polylect.rows import Prompt, read_rows

        return list(read_rows(self.file, Prompt))

    def table(self) -> "polars.DataFrame":
        """A row per prompt: id, language, prompt, system, category, origin."""
        import polars

        columns = ("id", "language", "prompt", "system", "category", "origin")
        rows = [{name: getattr(prompt, name) for name in columns} for prompt in self.prompts]
        return polars.DataFrame(rows, schema=dict.fromkeys(columns, polars.String))

    def lines(self) -> list[str]:
        """Their number by language, their source, and what was counted."""
        about = read_json(self.path / "step.json")["config"]
        source = f"{about['license']}, {about['home']}"
        return [_count(self.prompts), source, *self.ledger.lines(), str(self.file)]


@verb("prompts", PromptsOptions)
def prompts(options: PromptsOptions) -> Prompts | Listing | Plan:
    """The prompts of a published set, or the list of sets.

    Returns ``Prompts``, which ``pl.generate`` takes; without a name, a list of the sets.

        questions = pl.prompts("m_arena_hard", languages=["de", "tr"], hub=True)
        pl.generate("base", questions)
    """
    from polylect.base import digest_of
    from polylect.evals import Source, find_set, read_set
    from polylect.rows import Prompt, row_dict, write_rows
    from polylect.runs import Call, Step

    if options.prompt_set is None:
        return _sets(options)
    out = options.output.out
    if out is not None and out.suffix in {".jsonl", ".parquet"}:
        hint = f"--out {out.with_suffix('')}, which will hold {PROMPTS}"
        raise InputError(f"--out {out}: prompts are written into a folder", hint)
    ledger, prompt_set = Ledger(), find_set(options.prompt_set)
    source = Source.at(datasets_folder(options.datasets), options.hub)
    tags = language_tags(options.languages, "--languages")
    rows = read_set(prompt_set, source, tags, options.limit, ledger)

    def write(_: object, inputs: object, context: "StepContext") -> None:
        context.ledger.add(ledger)
        write_rows(context.out / PROMPTS, Prompt, rows)

    def plan(out: Path) -> list[str]:
        return [_count(rows), *ledger.lines(), f"would write {out / PROMPTS}"]

    settings = {
        "name": prompt_set.name, "languages": tags, "limit": options.limit,
        "license": prompt_set.data.license, "home": prompt_set.data.home,
        # What the data at hand hold: another copy of a set may be another one.
        "content": digest_of([row_dict(row) for row in rows]),
    }  # fmt: skip
    call = Call(Step("polylect prompts", 1, write), "prompts", settings, {})
    return run_call(call, options.output, "prompts", Prompts, plan)


def _sets(options: PromptsOptions) -> Listing:
    """The sets that there are.

    Raises:
        InputError: an option that is for one set.
    """
    from polylect.evals import PROMPT_SETS

    reasons = for_each(
        ("data", "hub", "languages", "limit"), "the sets are listed", "polylect prompts NAME …"
    )
    refuse_without_effect("prompts", options, reasons)
    of_output = for_each(
        ("out", "force", "dry_run"), "the sets are listed", "polylect prompts NAME …"
    )
    refuse_without_effect("prompts", options, of_output, "output")
    rows = [
        {"name": name, "summary": prompt_set.summary, "license": prompt_set.data.license,
         "home": prompt_set.data.home}
        for name, prompt_set in PROMPT_SETS.items()
    ]  # fmt: skip
    cells = [(row["name"], row["summary"]) for row in rows]
    return Listing(rows, text_table(("set", ""), cells, "ll"))


def _count(rows: "Sequence[Prompt]") -> str:
    """Their number, in all and by language."""
    counts = Counter(prompt.language for prompt in rows)
    by_language = ", ".join(f"{tag} {num:,}" for tag, num in counts.items())
    return f"{len(rows):,} prompts ({by_language})"
