"""Recipes: typed functions that join the stages into one run."""

from typing import TYPE_CHECKING

from polylect.base import face

if TYPE_CHECKING:
    from polylect.recipes.merge_search.candidates import Candidates
    from polylect.recipes.registry import SHIPPED, Recipe, find_recipe
    from polylect.recipes.rewards import find_reward
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
