"""``mixture.instructions``: labelled rows into instructions, in each row's own language."""

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from polylect.api.fields import Group, Mark, Output
from polylect.api.results import Plan, Result, run_call
from polylect.api.tags import language_tags
from polylect.api.verbs import verb
from polylect.base import Count, InputError, Ledger, Seed, check_once, numbered, write_text

if TYPE_CHECKING:
    import polars

    from polylect.runs import StepContext

INSTRUCTIONS = "instructions.jsonl"


@dataclass(frozen=True, kw_only=True)
class InstructionsOptions:
    """Turn labelled rows into instructions for 'polylect train sft', in each row's own language.

    A row is an object with language, the fields that the templates name, and label with choices
    where one is chosen. Which template it gets is drawn by a seed. Writes instructions.jsonl.

    Examples:
        polylect mixture instructions reviews.jsonl --templates sentiment --out sft
        polylect mixture instructions quiz.jsonl --templates choice mine.toml --seed 1 --out sft
        polylect mixture instructions faq.parquet --templates question --default-language tr
    """

    rows: Annotated[Path, Mark(positional=True, takes_tables=True)]
    """JSON lines or Parquet."""
    templates: tuple[str, ...]
    """Files of templates in TOML, or sets that ship: choice, headline, question, sentiment,
    translation. A row is used with every set whose fields it has."""
    seed: Seed = 0
    """Seed by which a row's template is drawn."""
    per_row: Count = 1
    """Different templates for each row and set."""
    default_language: str = ""
    """Language of rows that name none."""
    output: Group[Output] = field(default_factory=Output)


class Instructions(Result):
    """Instructions and answers; they may be given wherever a file of conversations may."""

    @property
    def file(self) -> Path:
        """The rows, as JSON lines."""
        return self.path / INSTRUCTIONS

    @cached_property
    def conversations(self) -> "list[dict[str, Any]]":
        """The rows, in order."""
        from polylect.rows import read_dicts

        return [row for _, row in read_dicts(self.file)]

    def table(self) -> "polars.DataFrame":
        """A row per instruction: id, language, source, template, prompt, answer."""
        import polars

        columns = ("id", "language", "source", "template")
        rows = [
            {name: row[name] for name in columns}
            | {"prompt": row["messages"][0]["content"], "answer": row["messages"][1]["content"]}
            for row in self.conversations
        ]
        return polars.DataFrame(rows)

    def lines(self) -> list[str]:
        """Their number by language and template, and what was left out."""
        return [*_counted(self.conversations), *self.ledger.lines(), str(self.file)]


@verb("mixture instructions", InstructionsOptions, name="mixture.instructions")
def mixture_instructions(options: InstructionsOptions) -> Instructions | Plan:
    """Labelled rows as instructions and answers, by templates of each row's language.

    Returns ``Instructions``, which ``pl.train.sft`` takes; ``.table()`` has a row for each.

        rows = pl.mixture.instructions("reviews.jsonl", templates=["sentiment"])
        pl.train.sft("base", rows)
    """
    import json

    from polylect.mixtures import instruct, read_template_set
    from polylect.rows import read_dicts
    from polylect.runs import Call, Files, Step

    check_once(options.templates, "--templates")
    sets = [read_template_set(name) for name in options.templates]
    names = [group.name for group in sets]
    for group in sets:
        if names.count(group.name) > 1:
            raise InputError(f"{group.place}: two sets are called {group.name!r}", "rename one")
    named = (options.default_language,) if options.default_language else ()
    default = "".join(language_tags(named, "--default-language"))
    ledger = Ledger()
    rows = list(
        instruct(
            read_dicts(options.rows),
            sets,
            ledger,
            seed=options.seed,
            per_row=options.per_row,
            default_language=default,
            source=options.rows.stem,
        )
    )
    if not rows and next(read_dicts(options.rows), None) is None:
        raise InputError(f"{options.rows}: the file has no rows", "give rows, one object a line")
    if not rows:
        counted = "; ".join(ledger.lines())
        raise InputError(f"{options.rows}: no instruction was made of it ({counted})",
                         "add templates in the rows' languages")  # fmt: skip

    def write(_: object, inputs: object, context: "StepContext") -> None:
        context.ledger.add(ledger)
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_text(context.out / INSTRUCTIONS, "".join(lines))

    def plan(out: Path) -> list[str]:
        return [*_counted(rows), *ledger.lines(), f"would write {out / INSTRUCTIONS}"]

    settings = {
        "templates": {group.name: group.digest for group in sets}, "seed": options.seed,
        "per_row": options.per_row, "default_language": default, "source": options.rows.stem,
    }  # fmt: skip
    call = Call(
        Step("polylect mixture instructions", 1, write, uses_languages=True),
        "instructions", settings, {"rows": Files(options.rows)},
    )  # fmt: skip
    return run_call(call, options.output, "instructions", Instructions, plan)


def _counted(rows: list[dict[str, Any]]) -> list[str]:
    """How many there are, in all, by language and by template."""
    lines = [numbered(len(rows), "instruction")]
    for what in ("language", "template"):
        counts = Counter(str(row[what]) for row in rows)
        shown = ", ".join(f"{name} {num:,}" for name, num in sorted(counts.items()))
        lines.append(f"by {what}: {shown}")
    return lines
