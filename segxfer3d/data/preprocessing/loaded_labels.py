"""Reading the label of one case of volumes: from one file, or from a mask of each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from segxfer3d.data.case import Case
from segxfer3d.data.io.turned_labels import on_grid_of
from segxfer3d.data.io.volumes import Volume, grid_difference, read_label
from segxfer3d.data.label_map import mapped
from segxfer3d.errors import InputError


def load_label(case: Case, image: Volume) -> Volume:
    """The label of a case on its image's grid, see :mod:`~segxfer3d.data.io.turned_labels`, with the values that
    ``label_map`` says.

    Args:
        case: a labeled volume.
        image: its first channel.

    Raises:
        InputError: what :func:`~segxfer3d.data.io.volumes.read_label` refuses, or :func:`one_label`.
    """
    assert case.label is not None
    if case.masks:
        label = one_label(case.masks, image)
    else:
        label = on_grid_of(read_label(case.label), image)
    return replace(label, array=mapped(label.array, case.label_map))


def one_label(masks: Sequence[tuple[int, Path]], image: Volume) -> Volume:
    """Masks as one label map.

    Args:
        masks: value and file of each class.
        image: whose grid they lie on.

    Raises:
        InputError: a mask on another grid, or with several values beside 0; masks that overlap, by name.
    """
    label = np.zeros(image.array.shape, np.min_scalar_type(max(value for value, _ in masks)))
    notes: tuple[str, ...] = ()
    for value, path in masks:
        mask = on_grid_of(read_label(path), image)
        if difference := grid_difference(image, mask):
            raise InputError(f"{path}: {difference}")
        inside = mask.array != 0
        values = np.unique(mask.array[inside])
        if len(values) > 1:
            listed = ", ".join(f"{each:g}" for each in values[:5].tolist())
            raise InputError(f"{path}: values {listed}; expected one value beside 0 in the mask of one class")
        if (there := label[inside]).any():
            other = next(known for number, known in masks if number == there.max())
            raise InputError(
                f"{path}: the masks {other.name} and {path.name} overlap ({np.count_nonzero(there)} voxels); expected "
                "classes that exclude each other"
            )
        label[inside] = value
        notes = mask.notes
    return Volume(label, image.affine, notes)
