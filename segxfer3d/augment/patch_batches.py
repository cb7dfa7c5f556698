"""Augmentation of whole batches, on the device that trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segxfer3d.augment import geometry
from segxfer3d.augment.augmentation import Augmentation
from segxfer3d.augment.indexed_label import IndexedLabel
from segxfer3d.augment.patch_changes import change_intensities, take_patch
from segxfer3d.augment.patch_draws import PatchDraw, Planes, draw_changes, three_lengths
from segxfer3d.augment.patch_tensors import change_intensities_, take_patches
from segxfer3d.errors import InputError

WHO = "BatchAugmentation"


class BatchAugmentation:
    """Image, label and valid mask of a batch, changed alike, each item in its own way.

    On a CPU each item goes through the compiled loops, elsewhere the batch through whole tensors. The output's middle
    is that of the input, so an input that is larger than the output fills corners that a rotation turns into view.

    Args:
        size: of the result: two lengths for images, three for volumes.
        augmentation: how often each change comes, and how far it goes.

    Raises:
        InputError: the size cannot be used.
    """

    def __init__(self, size: Sequence[int], augmentation: Augmentation) -> None:
        self.size = geometry.checked_size(size, WHO)
        self.augmentation = augmentation
        self._planes = Planes.of(self.size, augmentation.rotate_degrees)

    def draw(self, image: Tensor, generator: torch.Generator | None = None) -> list[PatchDraw]:
        """Draw for images (N, C, *spatial), from a generator of the CPU; its default one where none is given."""
        size, shape = three_lengths(self.size), three_lengths(image.shape[2:])
        start = np.array([_middle(length, side) for length, side in zip(shape, size, strict=True)])
        seed = int(torch.randint(2**32, (), generator=generator))
        random = np.random.RandomState(seed)
        channels = image.shape[1]
        return [draw_changes(random, start, self._planes, size, channels, self.augmentation) for _ in image]

    def apply(self, batch: Mapping[str, Any], drawn: Sequence[PatchDraw]) -> dict[str, Any]:
        """The batch with ``image`` (linear, float32), ``label`` and ``valid`` (nearest voxel, of their own type) as
        drawn; the other entries stay, but ``content``, which is true no more, goes."""
        result = {key: value for key, value in batch.items() if key != "content"}
        keys = [key for key in ("label", "valid") if key in batch]
        with torch.no_grad(), torch.autocast(batch["image"].device.type, enabled=False):
            size = three_lengths(self.size)
            shape = three_lengths(batch["image"].shape[2:])
            image = geometry.as_float(batch["image"]).reshape(*batch["image"].shape[:2], *shape)
            parts = [batch[key].float().reshape(len(image), -1, *shape) for key in keys]
            masks = torch.cat(parts, 1) if parts else image.new_zeros(len(image), 1, *shape)
            change = _compiled if image.device.type == "cpu" else _tensors
            image, masks = change(image, masks, drawn, size)
            result["image"] = image.view(*image.shape[:2], *self.size)
            first = 0
            for key, part in zip(keys, parts, strict=True):
                chosen = masks[:, first : first + part.shape[1]].to(batch[key].dtype)
                result[key] = chosen.reshape(*chosen.shape[:2], *self.size)
                first += part.shape[1]
        return result

    def __call__(self, batch: Mapping[str, Any], generator: torch.Generator | None = None) -> dict[str, Any]:
        """Draw and apply.

        Args:
            batch: ``image`` (N, C, *spatial), float32 of any range, or uint8 that becomes a 255th; ``label``
                (N, K, *spatial) and ``valid`` (N, 1, *spatial) of 0 and 1, where there are any.
            generator: of the CPU; the default generator where there is none.

        Raises:
            InputError: a type or a shape is another.
        """
        geometry.check_image(batch["image"], len(self.size), WHO)
        for key in ("label", "valid"):
            if key in batch and batch[key].shape[2:] != batch["image"].shape[2:]:
                raise InputError(
                    f"{WHO}: {key} has shape {tuple(batch[key].shape)}; "
                    f"expected the spatial shape of the image {tuple(batch['image'].shape)}."
                )
        return self.apply(batch, self.draw(batch["image"], generator))


def _middle(length: int, side: int) -> int:
    """Where a side begins that lies in the middle of a length, or around it."""
    return (length - side) // 2 if length >= side else -((side - length) // 2)


def _compiled(
    image: Tensor, masks: Tensor, drawn: Sequence[PatchDraw], size: tuple[int, int, int]
) -> tuple[Tensor, Tensor]:
    images, labels = [], []
    for volume, label, draw in zip(image.contiguous().numpy(), masks.contiguous().numpy(), drawn, strict=True):
        patch, classes = take_patch(volume, IndexedLabel.of(label), draw, size)
        change_intensities(patch, draw)
        images.append(torch.from_numpy(patch))
        labels.append(torch.from_numpy(classes))
    return torch.stack(images), torch.stack(labels)


def _tensors(
    image: Tensor, masks: Tensor, drawn: Sequence[PatchDraw], size: tuple[int, int, int]
) -> tuple[Tensor, Tensor]:
    image, masks = take_patches(image, masks, drawn, size)
    return change_intensities_(image, drawn), masks
