"""A volume as its file stores it, of which a network is given boxes: turned and scaled when it looks at them."""

from __future__ import annotations

from collections.abc import Sequence

import nibabel
import numpy as np
import torch
from torch import Tensor

from segxfer3d.data.case import Case
from segxfer3d.data.preprocessing.file_grid import Box, FileGrid
from segxfer3d.data.preprocessing.loaded_channels import require_channels
from segxfer3d.data.preprocessing.loaded_volumes import KeptVolumes, LoadedVolume
from segxfer3d.data.preprocessing.scale import Scale
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing


class ScaledVolume:
    """What :meth:`VolumePreprocessing.read <segxfer3d.data.preprocessing.volumes.VolumePreprocessing.read>` gives of a
    volume that is not resampled, in the memory that its file's type takes: half of it for a CT.

    Args:
        loaded: of the files.
        scales: of the channels, each of which scales a voxel whatever the others are.

    Attributes:
        shape: (C, X, Y, Z), axes to the right, anterior and up.
        grid: of the file.
        notes: of how it was read.
    """

    def __init__(self, loaded: LoadedVolume, scales: Sequence[Scale]) -> None:
        orientation = nibabel.orientations.io_orientation(loaded.image.affine)
        turn = nibabel.orientations.apply_orientation  # gives a view
        self._channels = [turn(channel.array, orientation) for channel in loaded.channels]
        self._scales = tuple(scales)
        self.shape = (len(self._channels), *self._channels[0].shape)
        self.grid = FileGrid.of_file(loaded.image)
        self.notes = loaded.image.notes

    def __getitem__(self, place: tuple[slice, ...]) -> Tensor:
        """The voxels of a box, of all channels: (C, *box) float32; ``place`` begins with the channels' slice."""
        box: Box = place[1:]
        values = torch.empty((len(self._channels), *(part.stop - part.start for part in box)))
        for target, channel, scale in zip(values, self._channels, self._scales, strict=True):
            np.copyto(target.numpy(), channel[box], casting="unsafe")
            if (change := scale.by_voxel()) is not None:
                change(target)
        return values


def read_scaled(preprocessing: VolumePreprocessing, case: Case, kept: KeptVolumes) -> ScaledVolume | None:
    """A volume whose boxes are scaled when they are looked at; None where the whole volume says how.

    Raises:
        InputError: a file that cannot be read.
    """
    if preprocessing.spacing is not None or any(scale.by_voxel() is None for scale in preprocessing.scales):
        return None
    loaded = kept.take(case, label=False)
    require_channels(case, loaded.channels, preprocessing.channels, preprocessing.channel_names)
    return ScaledVolume(loaded, preprocessing.scales)
