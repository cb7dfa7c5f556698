"""The recipe of a fine-tuning: arms of different ones are compared only where a study asks for it."""

from __future__ import annotations

from collections.abc import Iterable

RECIPE = "recipe"
SIZES = ("network", "width", "patch_size")  # what has to be said where no plan says it
MIXED = "mixed_recipes"  # the key of a study file that allows several


def mixture(recipes: Iterable[tuple[str, str]]) -> str:
    """Which recipes there are, each with what it is first met in; empty where there is only one.

    Args:
        recipes: name of an arm or a run, and its recipe.

    Example:
        >>> mixture([("random", "paper"), ("encoder", "strong"), ("decoder", "strong")])
        'paper (random), strong (encoder)'
        >>> mixture([("random", "paper"), ("encoder", "paper")])
        ''
    """
    first: dict[str, str] = {}
    for name, recipe in recipes:
        first.setdefault(recipe, name)
    return ", ".join(f"{recipe} ({name})" for recipe, name in first.items()) if len(first) > 1 else ""
