"""Labels on the grid of their images, as one channel for each class, and what of them counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform
from numpy.typing import NDArray
from torch import Tensor

from segxfer3d.data.io.volumes import Volume, grid_difference
from segxfer3d.data.preprocessing.orientation import to_ras
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
    """(1, X, Y, Z) label values to (K, X, Y, Z) float32, a channel for each class, which has one value or several."""

    def __init__(self, keys: Any, parts: Iterable[Sequence[int]]) -> None:
        super().__init__(keys)
        self.parts = tuple(parts)

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Expand the keys."""
        result = dict(data)
        for key in self.key_iterator(result):
            label = result[key]
            plain = label.as_tensor()
            masks = [torch.stack([plain == value for value in part]).any(0) for part in self.parts]
            channels = torch.cat(masks).float()
            result[key] = MetaTensor(channels, meta=label.meta, applied_operations=label.applied_operations)
        return result


def label_item(label: Tensor, parts: Iterable[Sequence[int]], ignore: Sequence[int]) -> dict[str, Tensor]:
    """What a case's label becomes: ``label``, a channel for each class, and, where values are ignored, ``valid``, 0
    where they are.

    Args:
        label: values, (1, X, Y, Z); what is made of it is a MetaTensor where this is one.
        parts: label values of each class.
        ignore: values that neither train nor count.
    """
    item: dict[str, Tensor] = {"label": OneHotd("label", parts)({"label": label})["label"]}
    if ignore:
        plain = label.as_subclass(Tensor)
        item["valid"] = torch.stack([plain != value for value in ignore]).all(0).float()
    return item


def turned_label_item(
    label: Volume, affine: Any, parts: Iterable[Sequence[int]], ignore: Sequence[int]
) -> dict[str, Tensor]:
    """The same with the axes of RAS, straight from the file's values.

    Args:
        label: on its file's grid.
        affine: of its image.
        parts: label values of each class.
        ignore: values that neither train nor count.
    """
    item = {"label": torch.stack([to_ras(_among(label.array, part), affine) for part in parts])}
    if ignore:
        item["valid"] = to_ras(~np.isin(label.array, ignore), affine)[None]
    return item


def _among(values: NDArray[Any], part: Sequence[int]) -> NDArray[np.bool_]:
    """Where one of the values of a class is; several times as fast for one value as NumPy's ``isin``."""
    found: NDArray[np.bool_] = values == part[0] if len(part) == 1 else np.isin(values, part)
    return found


def _volume(image: MetaTensor) -> Volume:
    return Volume(image[0].numpy(), image.affine.numpy())
