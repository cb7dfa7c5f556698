"""What the values of volumes say where nothing else does: masks among images, and scans that are no CT in HU."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segxfer3d.data.case import Case
from segxfer3d.errors import InputError, some

MASK = "mask"
NO_HU = "no HU"
MOST_LABELS = 10  # different values of a mask; a scan has hundreds
LEAST_RANGE = 100.0  # HU between the least and the greatest value of a CT; z-scores have some 10
_LARGEST = 1e18  # of an intensity: the squares of larger ones overflow float32
_STEP = 17  # every so many voxels are looked at first


def kind_of(array: NDArray[Any]) -> str:
    """:data:`MASK` for few whole numbers from 0 on; :data:`NO_HU` for values that are none of a CT, which has air or
    fat (below 0 HU); empty otherwise.

    Args:
        array: (X, Y, Z), finite.
    """
    low, high = float(array.min()), float(array.max())
    if low >= 0 and high == round(high) and len(np.unique(array.ravel(order="K")[::_STEP])) <= MOST_LABELS:
        values = np.unique(array)
        if len(values) <= MOST_LABELS and np.array_equal(values, np.round(values)):
            return MASK
    return NO_HU if low >= 0 or high - low < LEAST_RANGE else ""


def kind_of_channels(arrays: Sequence[NDArray[Any]]) -> str:
    """:func:`kind_of` of the channels of a volume: of several, a mask where all are, and no HU where one has none."""
    kinds = [kind_of(array) for array in arrays]
    if len(set(kinds)) == 1:
        return kinds[0]
    return NO_HU if any(kinds) else ""


def refuse_masks(place: object, cases: Sequence[Case], kinds: Mapping[str, str]) -> None:
    """Masks among images.

    Args:
        place: for the message.
        cases: that were read.
        kinds: of them, by name, see :func:`kind_of`.

    Raises:
        InputError: some of the cases without label look like masks, and some do not.
    """
    images = [case.name for case in cases if case.label is None]
    masks = [name for name in images if kinds.get(name) == MASK]
    if masks and len(masks) < len(images):
        raise InputError(
            f"{place}: {len(masks)} of {len(images)} volumes hold {MOST_LABELS} different values at most, as masks do "
            f"({some(masks, 3, ', ')}); --image_pattern with a regular expression says which are images, "
            "--label_pattern which are their labels"
        )


def is_mask_image(image: NDArray[np.uint8]) -> bool:
    """Whether an image (C, H, W) has few gray values, as masks do, and more than one."""
    first = image[0]
    if len(np.unique(first.ravel()[::_STEP])) > MOST_LABELS or any((first != other).any() for other in image[1:]):
        return False
    return bool(1 < np.count_nonzero(np.bincount(first.ravel(), minlength=256)) <= MOST_LABELS)


def refuse_mask_images(
    place: object, cases: Sequence[Case], kinds: Mapping[str, str], twin: Callable[[str], str]
) -> tuple[str, ...]:
    """Masks among images of which nothing says that they are: of few values, and called as other images are.

    Args:
        place: for the message.
        cases: that were read.
        kinds: of them, by name, see :func:`is_mask_image`.
        twin: what of a file's name a mask shares with its image.

    Returns:
        a note on those that are called as no other image is, where there are some.

    Raises:
        InputError: there are some.
    """
    images = [case for case in cases if case.label is None]
    masks = [case for case in images if kinds.get(case.name) == MASK]
    if not masks or len(masks) == len(images):
        return ()
    known = {twin(case.image.stem) for case in images if kinds.get(case.name) != MASK}
    what = f"{len(masks)} of {len(images)} images hold {MOST_LABELS} different values at most, as masks do"
    if paired := [case.image for case in masks if twin(case.image.stem) in known]:
        raise InputError(
            f"{place}: {what}, and others have their names ({some(map(str, paired), 3, ', ')}); expected images in a "
            "folder called images, masks in one called masks"
        )
    return (f"{what}: {some([case.name for case in masks], 3, ', ')}",)


def no_hu(names: Iterable[str], kinds: Mapping[str, str]) -> list[str]:
    """The volumes whose values are none of a CT in HU."""
    return [name for name in names if kinds.get(name)]


def refuse_no_hu(place: object, names: Sequence[str], kinds: Mapping[str, str], *, model: str = "") -> None:
    """Volumes that nothing but an assumption calls CT.

    Args:
        place: for the message.
        names: of the volumes.
        kinds: of them, see :func:`kind_of`.
        model: the checkpoint of one that takes HU, where they are its input; its scale is fixed.

    Raises:
        InputError: most of them have values that are none of a CT in HU.
    """
    others = no_hu(names, kinds)
    way = (
        f"checkpoint {model} is a model of CT in HU; --modality CT takes them as they are"
        if model
        else "--modality MR (or other) scales each volume by its own percentiles, --modality CT takes them as HU"
    )
    if 2 * len(others) > len(names):
        raise InputError(
            f"{place}: no CT in HU: {len(others)} of {len(names)} volumes have no value below 0, or a range below "
            f"{LEAST_RANGE:g} ({some(others, 3, ', ')}); {way}"
        )


def no_intensities(array: NDArray[Any]) -> str:
    """What is wrong with the values of a volume; empty where nothing is."""
    if array.dtype.kind != "f" or not array.size:
        return ""
    low, high = float(array.min()), float(array.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        return "NaN or infinite voxels"
    if max(-low, high) > _LARGEST:
        return f"voxels from {low:.3g} to {high:.3g}; expected intensities of at most {_LARGEST:g}"
    return ""


def is_constant(array: NDArray[Any]) -> bool:
    """Whether an image has one value everywhere; few of its values tell mostly."""
    few = array[tuple(slice(None, None, max(1, side // 8)) for side in array.shape)]
    return bool((few == few.flat[0]).all() and (array == few.flat[0]).all())
