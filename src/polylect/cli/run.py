"""``polylect run``: run a recipe, or print its plan."""

import dataclasses
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from polylect.base import Count, InputError
from polylect.cli.options import parse
from polylect.recipes import SHIPPED, Recipe, find_recipe
from polylect.runs import Run, display, duration


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect run RECIPE [options]``."""
    names = [argument for argument in arguments if not argument.startswith("-")]
    if not arguments or (arguments[0].startswith("-") and not {"-h", "--help"} & set(arguments)):
        raise InputError("run: which recipe?", f"polylect run {next(iter(SHIPPED))}")
    name = arguments[0] if arguments[0] in names else next(iter(SHIPPED))
    recipe = find_recipe(name)
    rest = arguments[1:] if arguments[0] in names else arguments
    options = parse(options_type(recipe), rest, f"run {name}", recipe.summary)
    return _plan(recipe, options) if options.dry_run else _run(recipe, options)


def options_type(recipe: Recipe) -> type:
    """The options of ``run`` for a recipe: its own, and those of all recipes."""
    import tyro

    has_required = any(
        field.init and field.default is field.default_factory is dataclasses.MISSING
        for field in dataclasses.fields(recipe.config)
    )
    off = tyro.conf.FlagCreatePairsOff
    doc = tyro.conf.arg
    fields = [
        (
            "config",
            Annotated[recipe.config, doc(name="")],
            dataclasses.field() if has_required else dataclasses.field(default=recipe.config()),
        ),
        (
            "out",
            Annotated[
                Path | None,
                doc(help=f"Folder of the run (default: runs/{recipe.name}).", metavar="DIR"),
            ],
            dataclasses.field(default=None),
        ),
        (
            "workers",
            Annotated[Count, doc(help="Steps to run in parallel; does not change the result.")],
            dataclasses.field(default=2),
        ),
        (
            "dry_run",
            Annotated[bool, off, doc(help="Print what would be done; write nothing.")],
            dataclasses.field(default=False),
        ),
    ]
    return dataclasses.make_dataclass("RunOptions", fields, frozen=True, kw_only=True)


def _run(recipe: Recipe, options: Any) -> int:
    started = time.monotonic()
    path = options.out or Path("runs") / recipe.name
    with (
        display() as progress,
        Run(
            path, recipe.name, options.config, num_workers=options.workers, display=progress
        ) as run,
    ):
        recipe.function(run, options.config)
    sys.stdout.write(f"done in {duration(time.monotonic() - started)}\n")
    for name in run.outputs:
        sys.stdout.write(f"{run.path / name}\n")
    return 0


def _plan(recipe: Recipe, options: Any) -> int:
    if recipe.plan is None:
        raise InputError(f"{recipe.name}: this recipe has no plan", f"add a {recipe.name}_plan")
    path = options.out or Path("runs") / recipe.name
    with (
        display() as progress,
        tempfile.TemporaryDirectory(prefix="polylect-") as scratch,
        Run(
            path,
            recipe.name,
            options.config,
            num_workers=options.workers,
            display=progress,
            scratch=Path(scratch),
        ) as run,
    ):
        text = recipe.plan(run, options.config)
    sys.stdout.write(text.rstrip() + "\n")
    return 0
