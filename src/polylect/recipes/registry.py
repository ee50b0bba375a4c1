"""Recipes by name: those that ship, and a user's own in a file."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

from polylect.base import InputError, did_you_mean
from polylect.runs import Run, load_file

SHIPPED: dict[str, str] = {
    "lifecycle": "polylect.recipes.pretraining.lifecycle",
    "base": "polylect.recipes.pretraining.base",
    "code": "polylect.recipes.mixtures.code",
    "breadth": "polylect.recipes.mixtures.breadth",
    "clusters": "polylect.recipes.alignment.clusters",
    "instructions": "polylect.recipes.mixtures.instructions",
    "nexus": "polylect.recipes.experts.nexus",
    "polish": "polylect.recipes.alignment.polishing",
    "rounds": "polylect.recipes.alignment.iterative_dpo",
    "schemes": "polylect.recipes.quantization.bit_search",
    "search": "polylect.recipes.merge_search.recipe",
    "soups": "polylect.recipes.alignment.soups",
    "study": "polylect.recipes.quantization.study",
}
"""The module of each recipe that ships. Its function has the recipe's name; ``NAME_plan`` beside it
is the dry run."""


@dataclass(frozen=True)
class Recipe:
    """A function ``(run, config) -> None`` whose second parameter is annotated with a dataclass.

    Attributes:
        name: also the default run folder below ``runs``.
        function: what runs.
        config: the dataclass; its fields become options.
        plan: ``(run, config) -> text`` that says what would happen; None when there is none. It
            is the function ``NAME_plan`` beside the recipe.
        summary: first line of its docstring.
        description: the whole docstring; ``Examples:`` begins commands.
    """

    name: str
    function: Callable[[Run, Any], None]
    config: type
    plan: Callable[[Run, Any], str] | None
    summary: str
    description: str


def find_recipe(name: str) -> Recipe:
    """The recipe of a name in ``SHIPPED``, or of ``FILE.py:function``.

    Raises:
        InputError: no such recipe, file or function, or the function does not have the form of a
            recipe.
    """
    if ".py:" in name:
        file, _, function = name.rpartition(":")
        return _recipe(load_file(Path(file)), function, name)
    if name.endswith(".py"):
        raise InputError(f"{name}: which function of the file?", f"polylect run {name}:FUNCTION")
    if name not in SHIPPED:
        hint = did_you_mean(name, SHIPPED) or f"known are {', '.join(SHIPPED)}, or FILE.py:function"
        raise InputError(f"no recipe {name!r}", hint)
    return _recipe(import_module(SHIPPED[name]), name, name)


def _recipe(module: ModuleType, name: str, where: str) -> Recipe:
    function = getattr(module, name, None)
    if not inspect.isfunction(function):
        functions = [key for key, value in vars(module).items() if inspect.isfunction(value)]
        raise InputError(f"{where}: no function {name!r}", did_you_mean(name, functions))
    parameters = list(inspect.signature(function).parameters)
    hints = get_type_hints(function)
    config = hints.get(parameters[1]) if len(parameters) == 2 else None
    if not (isinstance(config, type) and is_dataclass(config)):
        raise InputError(
            f"{where}: a recipe is a function (run: Run, config: C), C a dataclass",
            "see docs/guides/recipes.md",
        )
    description = inspect.getdoc(function) or name
    summary = description.split("\n")[0]
    return Recipe(
        name, function, config, getattr(module, f"{name}_plan", None), summary, description
    )
