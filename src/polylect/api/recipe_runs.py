"""``run``: run a recipe, or print its plan."""

import dataclasses
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from polylect.api.fields import Group, Mark, Switch
from polylect.api.notices import is_quiet
from polylect.api.results import Plan, Result
from polylect.api.tags import note_readings
from polylect.api.verbs import Verb, verb_call
from polylect.base import Count, InputError, Ledger

if TYPE_CHECKING:
    import polars

    from polylect.recipes import Recipe

SUMMARY = "summary.txt"
"""A file of a recipe that is printed when it ends, if it names it among its outputs."""


@dataclass(frozen=True, kw_only=True)
class RunOutput:
    """Where the run goes."""

    out: Path | None = None
    """Folder of the run, which keeps the steps of earlier settings. Default: runs/RECIPE."""
    workers: Count = 2
    """Steps to run in parallel; does not change the result."""
    dry_run: Switch = False
    """Check everything and print the plan; write nothing."""


class RunResult(Result):
    """A finished run of a recipe."""

    seconds: float | None = None

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Recipe, state, configuration, steps, ledger, outputs."""
        from polylect.runs import read_run

        return read_run(self.path)

    @property
    def outputs(self) -> list[Path]:
        """Files to look at first."""
        return [self.path / name for name in self.manifest["outputs"]]

    @property
    def steps(self) -> dict[str, Path]:
        """The folder of every step by its label: a checkpoint, scores, text …"""
        return {label: self.path / step["folder"] for label, step in self.manifest["steps"].items()}

    @property
    def page(self) -> Path | None:
        """The page to look at; None where there is none."""
        return next((path for path in self.outputs if path.suffix == ".html"), None)

    @cached_property
    def ledger(self) -> Ledger:
        """What all steps truncated, dropped, repeated or found invalid."""
        return Ledger.from_json(self.manifest["ledger"])

    def table(self) -> "polars.DataFrame":
        """A row per step: its label, its folder, the digest of what is in it."""
        import polars

        rows = [{"step": label, **step} for label, step in self.manifest["steps"].items()]
        return polars.DataFrame(rows, schema={"step": str, "folder": str, "digest": str})

    def lines(self) -> list[str]:
        """How long it took, what the recipe found if it says so, and the files to look at."""
        from polylect.runs import duration

        done = [] if self.seconds is None else [f"done in {duration(self.seconds)}"]
        said = [path for path in self.outputs if path.name == SUMMARY and path.is_file()]
        summary = [line for path in said for line in path.read_text(encoding="utf-8").splitlines()]
        return [*done, *summary, *(str(path) for path in self.outputs if path not in said)]


def recipe_verb(name: str) -> Verb[Any]:
    """The verb that runs a recipe: its options are those of its configuration.

    Args:
        name: of a built-in recipe, or ``FILE.py:function``.

    Raises:
        InputError: no such recipe.
    """
    from polylect.recipes import find_recipe

    recipe = find_recipe(name)
    is_complete = not any(
        part.init and part.default is part.default_factory is dataclasses.MISSING
        for part in dataclasses.fields(recipe.config)
    )
    config = field(default=recipe.config()) if is_complete else field()
    options = dataclasses.make_dataclass(
        "RunOptions",
        [
            ("config", Annotated[recipe.config, Mark(unnamed=True, metavar="options")], config),
            ("output", Group[RunOutput], field(default_factory=RunOutput)),
        ],
        frozen=True,
        kw_only=True,
    )
    options.__doc__ = recipe.description
    return Verb(f"run {name}", "run", options, partial(_run, recipe))


def run(recipe: str, *, config: Any = None, **settings: Any) -> RunResult | Plan:
    """Run a recipe, or print its plan (``dry_run=True``); a finished step is not run again.

    Returns a ``RunResult``: ``.page`` to look at, ``.outputs``.

        pl.run("lifecycle", languages=["en", "de"], out="runs/small").page

    Args:
        recipe: a built-in one (``polylect run`` lists them), or ``FILE.py:function``.
        config: the configuration of the recipe, in place of keywords.
        settings: fields of its configuration, and out, workers, dry_run.

    Raises:
        InputError: no such recipe or setting.
    """
    job = recipe_verb(recipe)
    if dataclasses.is_dataclass(config) and not isinstance(config, job.options):
        config = job.options(config=config)
    return verb_call(job, (), config, settings)


def _run(recipe: "Recipe", options: Any) -> RunResult | Plan:
    from polylect.runs import Run, display

    output = options.output
    note_readings(getattr(options.config, "languages", ()), "--languages")
    path = output.out or Path("runs") / recipe.name.rpartition(":")[2]
    if output.dry_run and recipe.plan is None:
        raise InputError(f"{recipe.name}: this recipe has no plan", f"add a {recipe.name}_plan")
    started = time.monotonic()
    with ExitStack() as stack:
        scratch = None
        if output.dry_run:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="polylect-")))
        progress = stack.enter_context(display(silent=is_quiet()))
        run = stack.enter_context(
            Run(
                path,
                recipe.name,
                options.config,
                num_workers=output.workers,
                display=progress,
                scratch=scratch,
            )
        )
        if output.dry_run:
            assert recipe.plan is not None
            return Plan(recipe.plan(run, options.config).rstrip().splitlines())
        recipe.function(run, options.config)
    result = RunResult(path)
    result.seconds = time.monotonic() - started
    return result
