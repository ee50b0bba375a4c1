"""Which verb the first words of a command line mean."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from polylect.api.catalog import COMMANDS, find_call
from polylect.base import InputError, did_you_mean

if TYPE_CHECKING:
    from polylect.api.verbs import Verb

_RECIPES = {"quantize study": "study", "quantize search": "schemes"}
"""Recipes that are also found below the verb that they are about."""
_HELP = {"-h", "--help"}


def find_verb(words: Sequence[str]) -> "tuple[Verb[Any], int] | None":
    """The verb that words begin with, and how many of them name it.

    None where a list was printed instead: that of the recipes, or of the kinds of a verb.

    Raises:
        InputError: no such verb, kind or recipe.
    """
    two = " ".join(words[:2])
    if words[0] == "run":
        return _recipe(words)
    if two in _RECIPES:
        from polylect.api.recipe_runs import recipe_verb

        return recipe_verb(_RECIPES[two]), 2
    for used, name in ((2, two), (1, words[0])):
        if name in COMMANDS:
            return find_call(COMMANDS[name]).verb, used
    kinds = [name.split()[1] for name in COMMANDS if name.startswith(f"{words[0]} ")]
    if _HELP & set(words):
        begin = f"usage: polylect {words[0]} {'|'.join(kinds)} [options]"
        _print_list(begin, {kind: _summary(f"{words[0]} {kind}") for kind in kinds})
        return None
    word = words[1] if len(words) > 1 else ""
    hint = did_you_mean(word, kinds) or f"polylect {words[0]} {'|'.join(kinds)}"
    raise InputError(f"{words[0]}: no kind {word!r}" if word else f"{words[0]}: which kind?", hint)


def _recipe(words: Sequence[str]) -> "tuple[Verb[Any], int] | None":
    """The verb of ``run RECIPE``; without a recipe, prints all of them."""
    from polylect.recipes import SHIPPED, find_recipe

    if len(words) == 1 or words[1] in _HELP:
        _print_list(
            "usage: polylect run RECIPE [options]",
            {name: find_recipe(name).summary for name in SHIPPED},
            "polylect run RECIPE --help lists its options. FILE.py:function runs one of yours.",
        )
        return None
    if words[1].startswith("-"):
        raise InputError("run: which recipe?", f"polylect run {next(iter(SHIPPED))} {words[1]} …")
    from polylect.api.recipe_runs import recipe_verb

    return recipe_verb(words[1]), 2


def _summary(command: str) -> str:
    return (find_call(COMMANDS[command]).verb.options.__doc__ or "").split("\n")[0]


def _print_list(begin: str, entries: dict[str, str], end: str = "") -> None:
    width = max(map(len, entries))
    lines = [f"  {name:<{width}}  {summary}" for name, summary in entries.items()]
    sys.stdout.write("\n".join([begin, "", *lines, *(["", end] if end else [])]) + "\n")
