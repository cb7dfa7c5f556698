"""What a recipe means: the value of every option that follows it and is not set by hand, in one table.

A new recipe is a row in :data:`LEARNING`, :data:`VOLUMES`, :data:`PHANTOMS` and :data:`IMAGES`, and its name in
:data:`segxfer3d.config.learning.RECIPES`. What each ingredient is: ``docs/recipe.md``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from segxfer3d.config import learning
from segxfer3d.config.learning import PAPER, STRONG
from segxfer3d.config.options import infos

Rows = Mapping[str, Mapping[str, Any]]

# of volumes and of images
LEARNING: Rows = {
    PAPER: {
        "loss_name": "dice",
        "activation": "sigmoid",
        "deep_supervision": False,
        "mirrored_inference": False,
        "largest_component": "never",
        "optimizer_name": "adam",
        "weight_decay": 0.0,
        "schedule": "warmup-cosine",
        "validation_interval": 4,
    },
    STRONG: {
        "loss_name": "dice_ce",
        "activation": "auto",
        "deep_supervision": True,  # of networks that have it
        "mirrored_inference": True,
        "largest_component": "auto",
        "optimizer_name": "adamw",
        "weight_decay": 0.01,
        "schedule": "warmup-polynomial",
        "validation_interval": 4,
    },
}
VOLUMES: Rows = {
    PAPER: {
        "lr": 0.003,
        "batch_size": 4,
        "max_epochs": 100,
        "steps_per_epoch": 20,
        "augmentation": "flips",
        "foreground_share": 0.5,
        "plan": "none",
        "intensity": "auto",
        "patch_size": [64, 64, 32],
        "network": "genesis_unet",
        "width": 32,
        "overlap": 0.25,
    },
    STRONG: {
        "lr": None,  # by the rule for the number of steps
        "batch_size": None,  # this and other sizes: of the plan
        "max_epochs": 100,
        "steps_per_epoch": 20,
        "augmentation": "full",
        "foreground_share": 0.33,
        "plan": "data",
        "intensity": "auto",
        "patch_size": None,
        "network": "plain_unet",
        "width": None,
        "overlap": 0.25,
    },
}
# over VOLUMES where no data is given: what costs a first try minutes, or suits its phantoms better; so was measured
PHANTOMS: Rows = {
    PAPER: {
        "max_epochs": 16,
        "steps_per_epoch": 15,
        "patch_size": [32, 32, 16],
        "width": 8,
    },
    STRONG: {
        "max_epochs": 4,  # few epochs: each of them saves its state
        "steps_per_epoch": 60,
        "patch_size": [32, 32, 16],
        "width": 8,
        "batch_size": 4,
        "loss_name": "dice",
        "deep_supervision": False,
        "mirrored_inference": False,
        "largest_component": "never",
        "intensity": "window",
        "augmentation": "flips",  # a first run need not compile the others: a third of its time, and dice alike
        "foreground_share": 0.5,
        "overlap": 0.5,  # of windows as small as these: 2 points of dice for a second
    },
}
IMAGES: Rows = {
    PAPER: {"lr": 0.001, "batch_size": 16, "augmentation": "flips", "initial_weights": "glorot"},
    STRONG: {"lr": None, "batch_size": 16, "augmentation": "full", "initial_weights": "torch"},
}
# the chance of each change of a patch, by the option ``augmentation``
CHANCES: Rows = {
    "full": {name: infos(learning.Augmentation)[name].default for name in learning.CHANGES},
    "flips": dict.fromkeys(learning.CHANGES, 0.0),
}

_OF_DIMS: Mapping[int, tuple[Rows, ...]] = {2: (LEARNING, IMAGES), 3: (LEARNING, VOLUMES)}
_CALL = re.compile(r"recipes\.(default|chance)\('(\w+)', @\w+(?:, dims=(\d), data=@dataset_dir)?\)")


def row(recipe: str, *, dims: int, data: object = True) -> dict[str, Any]:
    """Option to value of a whole recipe.

    Args:
        recipe: its name; an unknown one is taken for strong here, whoever reads the options refuses it.
        dims: 3 for volumes, 2 for images.
        data: what names the data; nothing where a first try makes its own.
    """
    layers = [*_OF_DIMS[dims], *([PHANTOMS] if dims == 3 and not data else [])]
    return {name: value for layer in layers for name, value in layer.get(recipe, layer[STRONG]).items()}


def default(option: str, recipe: str, *, dims: int, data: object = True) -> Any:
    """What an option is under a recipe where nobody sets it; bundles call it. Arguments as of :func:`row`.

    Example:
        >>> default("loss_name", "strong", dims=3, data="/data/nodules"), default("loss_name", "paper", dims=3)
        ('dice_ce', 'dice')
    """
    value = row(recipe, dims=dims, data=data)[option]
    return list(value) if isinstance(value, list) else value


def chance(change: str, augmentation: str) -> float:
    """How often a patch is changed in a way where nobody sets it; bundles call it. Unknown names as in :func:`row`."""
    return float(CHANCES.get(augmentation, CHANCES["full"])[change])


def expressions(dims: int) -> dict[str, str]:
    """Option to what a bundle says for it, of all options that follow the recipe."""
    names = row(STRONG, dims=dims)
    said = {name: f"$recipes.default('{name}', @recipe, dims={dims}, data=@dataset_dir)" for name in names}
    return said | {name: f"$recipes.chance('{name}', @augmentation)" for name in learning.CHANGES}


def meant(expression: object, recipe: str, data: object) -> Any:
    """What a bundle's expression gives that asks this table for a default, and nothing else; None for any other."""
    call = _CALL.fullmatch(str(expression).removeprefix("$"))
    return default(call[2], recipe, dims=int(call[3]), data=data) if call and call[1] == "default" else None


def explained(expression: str) -> str:
    """A bundle's expression with what the table says in place of the calls of this module.

    Example:
        >>> explained("recipes.default('lr', @recipe, dims=3, data=@dataset_dir)")
        'strong: none; paper: 0.003'
    """
    whole = _CALL.fullmatch(expression)
    return _in_words(whole) if whole else _CALL.sub(lambda call: f"[{_in_words(call)}]", expression)


def _in_words(call: re.Match[str]) -> str:
    what, option, dims = call.groups()
    if what == "chance":
        return _each({name: f"{values[option]:g}" for name, values in CHANCES.items()})
    return _each({name: _with_and_without(option, name, int(dims)) for name in reversed(learning.RECIPES)})


def _with_and_without(option: str, recipe: str, dims: int) -> str:
    given, generated = (row(recipe, dims=dims, data=data)[option] for data in (True, False))
    without = "" if given == generated else f" (without data: {_text(generated)})"
    return _text(given) + without


def _each(values: Mapping[str, str]) -> str:
    """Each name's value, or the one that all have."""
    same = set(values.values())
    return same.pop() if len(same) == 1 else "; ".join(f"{name}: {value}" for name, value in values.items())


def _text(value: Any) -> str:
    return "none" if value is None else str(value)
