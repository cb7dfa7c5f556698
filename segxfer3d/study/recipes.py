"""The recipe of a fine-tuning: arms of different ones are compared only where a study asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RECIPE = "recipe"
PAPER = "paper"  # of all that was run before the option was there
MIXED = "mixed_recipes"  # the key of a study file that allows them


def recipe_of(knobs: Mapping[str, Any]) -> str:
    """The recipe that these options mean, where they are all of a fine-tuning's."""
    return str(knobs.get(RECIPE) or PAPER)


def refusal(recipes: Mapping[str, str]) -> str:
    """Why arms cannot be compared; empty where they can.

    Args:
        recipes: name of an arm to its recipe.
    """
    if len(set(recipes.values())) < 2:
        return ""
    named = {recipe: next(arm for arm in recipes if recipes[arm] == recipe) for recipe in recipes.values()}
    listed = ", ".join(f"{recipe} ({arm})" for recipe, arm in named.items())
    return f'arms of different recipes are not compared: {listed}; expected one recipe, or "{MIXED}": true'
