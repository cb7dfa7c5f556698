"""Labels on the grid of their images, and as one channel for each class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform

from segxfer3d.data.io.volumes import Volume, grid_difference
from segxfer3d.errors import InputError


class ShareGridd(MapTransform):
    """Give labels the affine of their image, so that rounding in a header cannot lead to two grids after resampling.

    Args:
        keys: of the labels.
        image_key: of the image.
    """

    def __init__(self, keys: Any, image_key: str) -> None:
        super().__init__(keys)
        self.image_key = image_key

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Set the affine of the keys.

        Raises:
            InputError: a label is not on its image's grid, see :func:`~segxfer3d.data.io.volumes.grid_difference`.
        """
        result = dict(data)
        image = result[self.image_key]
        for key in self.key_iterator(result):
            difference = grid_difference(_volume(image), _volume(result[key]))
            if difference:
                raise InputError(f"{result[key].meta['filename_or_obj']}: {difference}")
            result[key].affine = image.affine.clone()
        return result


class OneHotd(MapTransform):
    """(1, X, Y, Z) label values to (K, X, Y, Z) float32, one channel for each of ``values`` in rising order."""

    def __init__(self, keys: Any, values: Iterable[int]) -> None:
        super().__init__(keys)
        self.values = sorted(values)

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Expand the keys."""
        result = dict(data)
        for key in self.key_iterator(result):
            label = result[key]
            channels = torch.cat([label.as_tensor() == value for value in self.values]).float()
            result[key] = MetaTensor(channels, meta=label.meta, applied_operations=label.applied_operations)
        return result


def _volume(image: MetaTensor) -> Volume:
    return Volume(image[0].numpy(), image.affine.numpy())
