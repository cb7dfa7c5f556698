"""From a file to a tensor, for MONAI's transforms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import MetaKeys, SpaceKeys

from segxfer3d.data.io.volumes import read_label, read_volume
from segxfer3d.data.preprocessing.scale import stacked_channels


class LoadVolumed(MapTransform):
    """Read volumes on their own grids: (C, X, Y, Z) float32, MetaTensors that know their affine (RAS+, millimeters).

    The key ``label`` is read as a label: values beside whole numbers by rounding are those. ``uneven`` beside the paths
    says what becomes of uneven DICOM slices of an image (``refuse`` where it is missing), and ``volumes`` has the
    channels of those that were read before, by key; what is read here has one.
    MONAI's own loader would ask all of its readers, and make a copy of each volume in another order.
    """

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Read the keys.

        Raises:
            InputError: see :func:`~segxfer3d.data.io.volumes.read_volume`.
        """
        result = dict(data)
        for key in self.key_iterator(result):
            path = Path(result[key])
            channels = result.get("volumes", {}).get(key) or (
                read_label(path) if key == "label" else read_volume(path, uneven=result.get("uneven", "refuse")),
            )
            volume = channels[0]
            meta = {
                MetaKeys.AFFINE: torch.from_numpy(volume.affine),
                MetaKeys.ORIGINAL_AFFINE: volume.affine.copy(),
                MetaKeys.SPATIAL_SHAPE: volume.array.shape,
                MetaKeys.SPACE: SpaceKeys.RAS,
                MetaKeys.ORIGINAL_CHANNEL_DIM: float("nan"),  # MONAI's word for no channel axis
                "filename_or_obj": str(path),
                "read_notes": volume.notes,
            }
            # float32 at once, and in the order of the file: a 512x512x300 CT in float64 would take 630 MB
            if len(channels) == 1:
                image = volume.array.astype(np.float32, order="K", copy=False)[None]
            else:
                image = stacked_channels([channel.array for channel in channels])
                meta[MetaKeys.ORIGINAL_CHANNEL_DIM] = 0
            result[key] = MetaTensor(torch.from_numpy(image), meta=meta)
        return result
