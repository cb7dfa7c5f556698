"""What a plan is made from: sizes, spacings and intensities of the cases that train."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.io.volumes import Volume
from segxfer3d.data.planning.mirroring import class_centers, mirror_axes
from segxfer3d.data.preprocessing.loaded_volumes import KeptVolumes, LoadedVolume
from segxfer3d.errors import InputError

Shape = tuple[int, int, int]
Spacing = tuple[float, float, float]

_THREADS = 2
_QUANTILES = 1000  # of a case's foreground that go into the percentiles of all cases
_LOW, _HIGH = 0.5, 99.5


@dataclass(frozen=True)
class Foreground:
    """Intensities inside the labels, every case counting the same whatever its size.

    Attributes:
        low: their 0.5th percentile.
        high: their 99.5th percentile.
        mean: of them.
        sd: of them.
    """

    low: float
    high: float
    mean: float
    sd: float


@dataclass(frozen=True)
class Fingerprint:
    """The facts that a plan rests on. Axes are x, y, z to the right, the front and the top, as the network sees them.

    Attributes:
        shapes: voxels of each case.
        spacings: millimeters of each case.
        foreground: intensities of the first channel inside the labels; None where no label shows anything.
        nonzero_share: median over the cases of the share of a volume that the box around its nonzero voxels takes;
            those of any channel.
        modality: ``CT``, ``MR`` or ``unknown``.
        classes: number of foreground classes.
        channels: of a volume.
        mirror_axes: along which no two classes keep their order, see
            :func:`~segxfer3d.data.planning.mirroring.mirror_axes`.
        further: as ``foreground``, of the channels after the first.
        modalities: of each of several channels.
        channel_names: of them, where they are known.
    """

    shapes: tuple[Shape, ...]
    spacings: tuple[Spacing, ...]
    foreground: Foreground | None
    nonzero_share: float
    modality: str
    classes: int = 1
    channels: int = 1
    mirror_axes: tuple[int, ...] = (0, 1, 2)
    further: tuple[Foreground | None, ...] = ()
    modalities: tuple[str, ...] = ()
    channel_names: tuple[str, ...] = ()


def take_fingerprint(
    cases: Sequence[Case], case_set: CaseSet, *, progress: bool = False, kept: KeptVolumes | None = None
) -> Fingerprint:
    """Read the cases once.

    Args:
        cases: those whose labels train, and no others: what is measured on must not shape the plan.
        case_set: whose they are.
        progress: show a bar.
        kept: cases that the check has read, which are not read again.

    Intensities inside labels are taken as :data:`_QUANTILES` evenly spaced quantiles of each case, so that nothing is
    drawn; nnU-Net draws as many voxels of each case with replacement.

    Raises:
        InputError: images, no cases, a case without a label, or a file that cannot be read.
    """
    if case_set.dims != 3:
        raise InputError(f"{case_set.root}: a plan is for volumes; images are resized to --image_size")
    if not cases:
        raise InputError(f"{case_set.root}: no labeled cases to plan from")
    if lone := [case for case in cases if case.label is None]:
        raise InputError(f"{lone[0].image}: no label; a plan is made from the cases whose labels train")
    values = case_set.values
    with ThreadPoolExecutor(_THREADS) as pool:
        known = KeptVolumes(0) if kept is None else kept
        each = pool.map(lambda case: _look(case, known.get(case), values), cases)
        looks = list(tqdm(each, "measuring", total=len(cases), disable=not progress, leave=False))
    foregrounds = [
        _together([look.quantiles[channel] for look in looks if look.quantiles]) for channel in range(case_set.channels)
    ]
    return Fingerprint(
        shapes=tuple(look.shape for look in looks),
        spacings=tuple(look.spacing for look in looks),
        foreground=foregrounds[0],
        nonzero_share=float(np.median([look.nonzero_share for look in looks])),
        modality=case_set.modality,
        classes=len(case_set.classes),
        channels=case_set.channels,
        mirror_axes=mirror_axes([look.centers for look in looks]),
        further=tuple(foregrounds[1:]),
        modalities=case_set.modalities if case_set.channels > 1 else (),
        channel_names=case_set.channel_names,
    )


@dataclass(frozen=True)
class _Look:
    shape: Shape
    spacing: Spacing
    nonzero_share: float
    quantiles: list[NDArray[np.float64]]  # of each channel; none where the label is empty
    centers: NDArray[np.float64]


def _look(case: Case, loaded: LoadedVolume, values: Sequence[int]) -> _Look:
    volume, label = loaded.image, loaded.label
    assert label is not None
    if label.array.shape != volume.array.shape:
        raise InputError(f"{case.label}: its shape is not its image's")
    orientation = nibabel.orientations.io_orientation(volume.affine)
    shape, spacing = _oriented(volume, orientation)
    centers = class_centers(nibabel.orientations.apply_orientation(label.array, orientation), values, spacing)
    foreground = np.isin(label.array, values)
    arrays = [channel.array for channel in loaded.channels]
    quantiles = [_quantiles(array[foreground]) for array in arrays] if foreground.any() else []
    return _Look(shape, spacing, _nonzero_share(arrays), quantiles, centers)


def _quantiles(values: NDArray[Any]) -> NDArray[np.float64]:
    inside = np.sort(values.astype(np.float64))
    quantiles: NDArray[np.float64] = inside[((np.arange(_QUANTILES) + 0.5) / _QUANTILES * inside.size).astype(int)]
    return quantiles


def _oriented(volume: Volume, orientation: NDArray[np.float64]) -> tuple[Shape, Spacing]:
    """Shape and spacing with the axes in the order that preprocessing brings them to."""
    axes = np.argsort(orientation[:, 0])
    x, y, z = (volume.array.shape[axis] for axis in axes)
    a, b, c = (volume.spacing[axis] for axis in axes)
    return (x, y, z), (a, b, c)


def _nonzero_share(arrays: Sequence[NDArray[Any]]) -> float:
    """Of the box around what is not 0 in one of the channels; 1 where all is 0."""
    nonzero = arrays[0] != 0
    for array in arrays[1:]:
        nonzero |= array != 0
    share = 1.0
    for axis in range(3):
        places = np.flatnonzero(nonzero.any(axis=tuple(other for other in range(3) if other != axis)))
        if not places.size:
            return 1.0
        share *= float(places[-1] - places[0] + 1) / nonzero.shape[axis]
    return share


def _together(quantiles: Sequence[NDArray[np.float64]]) -> Foreground | None:
    if not quantiles:
        return None
    values = np.concatenate(quantiles)
    low, high = np.percentile(values, (_LOW, _HIGH)).tolist()
    return Foreground(low=low, high=high, mean=float(values.mean()), sd=float(values.std()))
