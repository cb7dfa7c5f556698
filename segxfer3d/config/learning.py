"""The options of a recipe: how fine-tuning learns from labels, and what inference does beside the network.

``recipe`` names a whole; each of its ingredients is an option of its own, whose default in a bundle follows the recipe
(:mod:`segxfer3d.config.recipes`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from segxfer3d.config.options import Group, option

PAPER = "paper"  # of all that was run before the option was there
STRONG = "strong"  # where a new run says nothing
RECIPES = (PAPER, STRONG)  # what each means: segxfer3d.config.recipes
LOSSES = ("dice", "dice_ce")
ACTIVATIONS = ("auto", "sigmoid", "softmax")
COMPONENTS = ("auto", "never", "always")
INITIAL_WEIGHTS = ("torch", "glorot")
AUGMENTATIONS = ("full", "flips")
MIRROR_AXES = ("auto", "x", "y", "z", "xy", "xz", "yz", "xyz")
CHANGES = (
    "mirror", "rotate", "scale", "elastic", "noise", "blur", "brightness", "contrast", "low_resolution", "gamma",
    "gamma_inverted",
)  # fmt: skip


@dataclass(frozen=True)
class Learning(Group):
    """What a network learns from labels by."""

    recipe: str = option(
        STRONG, "what the options below start from: strong, or what the paper's studies used", choices=RECIPES
    )
    loss_name: str = option("dice_ce", "soft dice, alone or with cross-entropy", choices=LOSSES)
    activation: str = option(
        "auto", "of the output; auto: softmax over several classes, sigmoid for one", choices=ACTIVATIONS
    )
    deep_supervision: bool = option(True, "the loss at each level of the decoder")
    minutes: float | None = option(
        None, "train as many steps as fit in them, in place of max_epochs", above=0, most=10**5, tells_arms=False
    )
    mirrored_inference: bool = option(True, "average what the network says of mirrored images")
    range_test: bool = option(False, "find lr by a range test, not by the measured rule nor as the recipe has it")
    largest_component: str = option(
        "auto", "keep a class's largest component only; auto: where it helps on validation", choices=COMPONENTS
    )


@dataclass(frozen=True)
class Drawn(Group):
    """How weights begin that no checkpoint brings."""

    initial_weights: str = option(
        "torch",
        "how weights are drawn that no checkpoint brings: as torch does, or as ConRec's code: Glorot's, biases 0",
        choices=INITIAL_WEIGHTS,
    )


@dataclass(frozen=True)
class Augmentation(Group):
    """How training patches and images are changed; see :class:`segxfer3d.augment.augmentation.Augmentation`."""

    augmentation: str = option(
        "full",
        "full: what the options below say; flips: flips, with small changes of intensity (volumes) or crops (images)",
        choices=AUGMENTATIONS,
    )
    mirror: float = option(0.5, "chance of turning a patch around, for each axis that may be", least=0, most=1)
    mirror_axes: str = option(
        "auto",
        "axes that may be turned around; auto: where no two classes keep their order; of images: x, across",
        choices=MIRROR_AXES,
    )
    rotate: float = option(0.5, "chance of a rotation", least=0, most=1)
    scale: float = option(0.5, "chance of a change of size, by 0.7 to 1.4", least=0, most=1)
    elastic: float = option(0.0, "chance of a smooth bend", least=0, most=1)
    noise: float = option(0.1, "chance of normal noise", least=0, most=1)
    blur: float = option(0.2, "chance of a Gaussian blur", least=0, most=1)
    brightness: float = option(0.15, "chance of a factor for all intensities", least=0, most=1)
    contrast: float = option(0.15, "chance of a factor for distances from the mean", least=0, most=1)
    low_resolution: float = option(0.25, "chance of fewer voxels, seen at full size", least=0, most=1)
    gamma: float = option(0.3, "chance of a power of intensities", least=0, most=1)
    gamma_inverted: float = option(0.1, "chance of a power of inverted intensities", least=0, most=1)
    rotate_degrees: float | None = option(
        None, "largest angle; none: 30, or what suits a flat patch", least=0, most=180
    )

    @property
    def mirrors(self) -> bool:
        """Whether patches are turned around."""
        return self.augmentation == "flips" or self.mirror > 0

    @property
    def chances(self) -> dict[str, float]:
        """Change to its chance."""
        return {name: getattr(self, name) for name in CHANGES}

    def problems(self) -> list[str]:
        """What is not done is not asked for."""
        if self.augmentation == "full":
            return []
        asked = [name for name in CHANGES if getattr(self, name)]
        return [f"{name}: expected 0 with augmentation flips, got {getattr(self, name):g}" for name in asked]


@dataclass(frozen=True)
class Planned(Group):
    """Where sizes come from that are not set by hand."""

    plan: str = option(
        "data",
        "data: spacing, patch, batch, network and intensity that are not set are derived from the training cases, in "
        "fine-tuning only",
        text="data, none, or a file of segxfer3d plan --json",
        empty=False,
    )


def recipe_in(values: Mapping[str, Any]) -> str:
    """The recipe that a fine-tuning's options mean, all of them; the expression of a bundle is for runs that go on, and
    new ones are strong."""
    recipe = str(values.get("recipe") or PAPER)
    return STRONG if recipe.startswith("$") else recipe
