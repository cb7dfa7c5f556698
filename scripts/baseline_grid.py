"""The trials of the baseline: who is trained on what, for how long, and where the record of it lies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

from segxfer3d.errors import InputError

STAGES = ("variants", "rates", "ingredients", "grid", "ceiling")
TESTED = ("grid", "ceiling")  # the stages that are measured on test patients
METHODS = ("paper", "strong", "nnunet")
RATES = ("lr_0.001", "lr_0.003", "lr_0.01", "lr_0.03")  # the same for every method
RULE = "lr_rule"  # what the strong recipe takes for a number of steps where no rate is given
FEATURES = 8  # of nnU-Net's first stage: 8 to 64 in four stages
BATCH = 4
EVERY = 182  # of hippocampus: all training patients
# what is left out of the strong recipe, or put into it, one thing at a time
STRONG = "strong"  # with nothing changed
INGREDIENTS: dict[str, dict[str, object]] = {
    STRONG: {},
    "paper_recipe": {"recipe": "paper", "lr": 0.003},
    "without_cross-entropy": {"loss_name": "dice"},
    "without_deep_supervision": {"deep_supervision": False},
    "mirrored_along_all_axes": {"mirror_axes": "xyz"},
    "without_mirroring": {"mirror": 0.0},
    "without_rotation_and_scaling": {"rotate": 0.0, "scale": 0.0},
    "without_changed_intensities": {
        "noise": 0.0,
        "blur": 0.0,
        "brightness": 0.0,
        "contrast": 0.0,
        "low_resolution": 0.0,
        "gamma": 0.0,
        "gamma_inverted": 0.0,
    },
    "with_elastic_bends": {"elastic": 0.2},
    "without_oversampling": {"foreground_share": 0.0},
    "nesterov": {"optimizer_name": "nesterov", "weight_decay": 3e-5},
    "without_warm-up": {"schedule": "polynomial"},
}
# what is left out of the inference of the strong recipe's models, which takes no training of its own
INFERENCE: dict[str, dict[str, object]] = {
    "without_mirrored_inference": {"mirror_axes": []},
    "without_largest_component": {"largest_component": []},
}
PAPER = {"width": 8, "batch_size": BATCH}  # of the paper recipe, whose published network takes a second a step
VARIANTS = {
    "adam-ours": {"trainer": "adam", "patch": "ours", "features": FEATURES},
    "own-ours": {"trainer": "own", "patch": "ours", "features": FEATURES},
    "adam-planned": {"trainer": "adam", "patch": "planned", "features": FEATURES},
    "own-planned": {"trainer": "own", "patch": "planned", "features": FEATURES},
    "adam-planned-wide": {"trainer": "adam", "patch": "planned", "features": 0},
}
WIDE = "adam-planned-wide"  # nnU-Net's planned width, once


@dataclass(frozen=True)
class Data:
    """A data set of the baseline.

    Attributes:
        folder: below the folder of all data.
        patch: of both programs, voxels along x, y, z.
        first: how many test cases are measured, by name; 0: all.
        min_slices: cases with fewer are left out.
        flair: whether its FLAIR channel is written as a set first.
    """

    folder: str
    patch: tuple[int, int, int]
    first: int = 0
    min_slices: int = 0
    flair: bool = False


DATA = {
    "hippocampus": Data("Task04_Hippocampus", (32, 32, 16), first=40),
    "nodules": Data("LIDC_VOIs", (32, 32, 8), min_slices=8),
    "lgg": Data("LGG_MRI", (32, 32, 16), flair=True),
}


@dataclass(frozen=True)
class Trial:
    """One training.

    Attributes:
        stage: ``variants``, ``rates`` and ``ingredients`` choose on validation patients, ``grid`` is measured on test
            patients, and so is ``ceiling``: what the minutes reach where every training patient is labeled.
        method: of :data:`METHODS`.
        data: of :data:`DATA`.
        labels: labeled patients.
        minutes: user CPU minutes of the training loop.
        seed: of labels, weights and patches.
        choice: the variant, learning rate or ingredient that is tried; of what is tested, empty.
    """

    stage: str
    method: str
    data: str
    labels: int
    minutes: int
    seed: int
    choice: str = ""

    @property
    def path(self) -> str:
        """Of its record, below the folder of all records and without an ending."""
        where = [self.stage, self.data, self.method, *([self.choice] if self.choice else [])]
        return "/".join([*where, f"{self.labels}_labels_{self.minutes}_minutes_seed_{self.seed}"])

    @property
    def part(self) -> str:
        """Who is measured."""
        return "test" if self.stage in TESTED else "validation"

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def all_trials() -> list[Trial]:
    """Every trial, in the order in which they are worth running."""
    return [*_variants(), *_rates(), *_ingredients(), *_grid(), *_ceiling()]


def rates_of(method: str) -> tuple[str, ...]:
    """The learning rates that are tried for a method, as choices of its trials."""
    return (*RATES, RULE) if method == "strong" else RATES


def rate_of(choice: str) -> float | None:
    """The learning rate of a choice; None for the rule."""
    return None if choice == RULE else float(choice.removeprefix("lr_"))


def chosen_trials(trials: Sequence[Trial], only: Mapping[str, Sequence[str]]) -> list[Trial]:
    """Those whose attributes have one of the wanted values each.

    Raises:
        InputError: an attribute that a trial does not have, or a value that none has.
    """
    for name, wanted in only.items():
        if name not in Trial.__dataclass_fields__:
            raise InputError(f"only {name}: expected one of {', '.join(Trial.__dataclass_fields__)}")
        known = dict.fromkeys(str(getattr(trial, name)) for trial in trials)
        if lost := [value for value in wanted if value not in known]:
            raise InputError(f"only {name}={lost[0]}: expected one of {', '.join(known)}")
    return [trial for trial in trials if all(str(getattr(trial, name)) in only[name] for name in only)]


def _variants() -> Iterator[Trial]:
    for seed, choice in product(range(2), VARIANTS):
        if choice != WIDE:
            yield Trial("variants", "nnunet", "hippocampus", 5, 2, seed, choice)
    yield Trial("variants", "nnunet", "hippocampus", 5, 2, 0, WIDE)


def _rates() -> Iterator[Trial]:
    for method in reversed(METHODS):
        for data, rate, seed in product(("hippocampus", "nodules"), rates_of(method), range(2)):
            yield Trial("rates", method, data, 5, 2, seed, rate)


def _ingredients() -> Iterator[Trial]:
    for seed, choice, data in product(range(5), INGREDIENTS, ("hippocampus", "nodules")):
        yield Trial("ingredients", "strong", data, 5, 2, seed, choice)


def _grid() -> Iterator[Trial]:
    for minutes, labels, data in product((1, 2, 6), (5, 20), ("hippocampus", "nodules")):
        for seed, method in product(range(5), METHODS):
            yield Trial("grid", method, data, labels, minutes, seed)
    for minutes, labels, seed, method in product((1, 2, 6), (5, 20), range(5), METHODS):
        yield Trial("grid", method, "lgg", labels, minutes, seed)
    for data, seed, method in product(("hippocampus", "nodules"), range(3), METHODS):
        yield Trial("grid", method, data, 5, 20, seed)
    for method in METHODS:
        yield Trial("grid", method, "hippocampus", 5, 60, 0)


def _ceiling() -> Iterator[Trial]:
    for seed in range(3):
        yield Trial("ceiling", "strong", "hippocampus", EVERY, 6, seed)
