"""Recipes: typed functions that join the stages into one run."""

from polylect.recipes.registry import SHIPPED, Recipe, find_recipe

__all__ = ["SHIPPED", "Recipe", "find_recipe"]
