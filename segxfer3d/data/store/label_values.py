"""The values of a case's label, before there is a channel for each class."""

from __future__ import annotations

from typing import NamedTuple

from monai.data import MetaTensor
from monai.transforms import Compose
from torch import Tensor

from segxfer3d.data.case import Case
from segxfer3d.data.io.volumes import grid_difference
from segxfer3d.data.preprocessing.files import LoadVolumed
from segxfer3d.data.preprocessing.labels import ShareGridd
from segxfer3d.data.preprocessing.loaded_volumes import LoadedVolume
from segxfer3d.data.preprocessing.orientation import to_ras
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing, transformed
from segxfer3d.errors import InputError


class LabelValues(NamedTuple):
    """A label, (1, X, Y, Z) float32: on its file's grid, as what is read whole, and on the grid of its image as the
    network sees it, as what is held."""

    native: MetaTensor
    on_grid: Tensor


def label_values(preprocessing: VolumePreprocessing, case: Case, loaded: LoadedVolume) -> LabelValues:
    """The values of a label that is in memory.

    Raises:
        InputError: it is not on its image's grid.
    """
    image, label = loaded.image, loaded.label
    assert label is not None
    native: MetaTensor = transformed(preprocessing.native_transform("label"), case, loaded, ["label"])["label"]
    if preprocessing.spacing is None:
        if difference := grid_difference(image, label):
            raise InputError(f"{case.label}: {difference}")
        return LabelValues(native, to_ras(label.array, image.affine)[None])
    keys = ["image", "label"]
    grid = preprocessing.grid_steps(["label"], ["nearest"])
    steps = Compose([LoadVolumed(keys), ShareGridd("label", "image"), *grid])
    on_grid: MetaTensor = transformed(steps, case, loaded, keys)["label"]
    return LabelValues(native, on_grid.as_tensor())
