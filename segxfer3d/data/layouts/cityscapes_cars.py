"""Patches of Cityscapes with and without cars, after the paper, for classification and for segmentation.

For every image of train and val a fair coin decides between "car" and "no car"; square patches are drawn at random
until one has no car pixel at all (no car), or at least a fifth of its pixels are car's (car). An image where none of
:data:`MAX_DRAWS` patches will do is left out. A random 70/30 split trains and validates (the official one has nothing
to do with it). The same patches serve both tasks; the paper leaves it unclear whether its segmentation saw those
without cars. Nor does it say how large they are: ``patch_size`` does.

Everything is drawn from the seed and the image's name, so a patch does not depend on which other images are there.
Nothing is written: a patch is a box of its image's files.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.io.images import UInt8
from segxfer3d.data.layouts import cityscapes
from segxfer3d.data.layouts.request import Request, read_masks
from segxfer3d.data.split_draws import round_half_up
from segxfer3d.errors import InputError

TITLE = "patches of Cityscapes with and without cars"
SOURCE = cityscapes.SOURCE
DIMS = (2,)

CATEGORIES = ("no car", "car")
CAR_SHARE = 0.2
TRAIN_SHARE = 0.7
MAX_DRAWS = 1000


def fits(_root: Path) -> bool:
    """Never: its files are those of ``cityscapes``, so these patches have to be asked for by name."""
    return False


def read(root: Path, request: Request) -> CaseSet:
    """One patch of every image, with its mask or its class.

    Raises:
        InputError: files are missing, a mask is damaged, holds no label ids or is smaller than a patch, or there is a
            target.
    """
    request.refuse_target("cityscapes_cars")
    cases = cityscapes.labeled(root)
    drawn, bad = read_masks(cases, lambda case, mask: draw_patch(case, mask, request.patch_size, request.seed), request)
    patches = [patch for _, patch in drawn if patch is not None]
    order = np.random.default_rng([request.seed, 1]).permutation(len(patches))
    training = set(order[: round_half_up(TRAIN_SHARE, len(patches))].tolist())
    split = [
        Case(p.name, p.image, p.label, category=p.category, part="train" if i in training else "val", box=p.box)
        for i, p in enumerate(patches)
    ]
    notes = bad
    if lost := len(drawn) - len(patches):
        notes += (f"cityscapes_cars: {lost} of {len(cases)} images have no patch that fits and are left out",)
    rule = cityscapes.rule(cityscapes.LABELS["car"])
    return CaseSet(
        root,
        "cityscapes_cars",
        2,
        request.only(split),
        label_rule=rule,
        categories=CATEGORIES,
        target="car",
        notes=notes,
    )


def draw_patch(case: Case, mask: UInt8, size: int, seed: int) -> Case | None:
    """The patch of an image by the label ids of its mask (H, W), or None where no draw will do.

    Raises:
        InputError: the mask is smaller than the patch, or holds no label ids.
    """
    cityscapes.values_of(case, mask)
    cars = mask == cityscapes.LABELS["car"]
    height, width = cars.shape
    if size < 1 or size > min(height, width):
        raise InputError(f"patch_size {size}: expected 1 to {min(height, width)}, the shorter side of {case.label}")
    rng = np.random.default_rng([seed, zlib.crc32(case.name.encode())])
    category = int(rng.integers(2))
    tops = rng.integers(height - size + 1, size=MAX_DRAWS)
    lefts = rng.integers(width - size + 1, size=MAX_DRAWS)
    # sums over all rectangles from the corner give the car pixels of every patch at once
    sums = np.zeros((height + 1, width + 1), np.int64)
    sums[1:, 1:] = cars.cumsum(0, dtype=np.int64).cumsum(1)
    bottoms, rights = tops + size, lefts + size
    counts = sums[bottoms, rights] - sums[tops, rights] - sums[bottoms, lefts] + sums[tops, lefts]
    fits = np.flatnonzero(counts >= CAR_SHARE * size * size if category else counts == 0)
    if not len(fits):
        return None
    box = (int(tops[fits[0]]), int(lefts[fits[0]]), size, size)
    return Case(case.name, case.image, case.label, category=category, box=box)
