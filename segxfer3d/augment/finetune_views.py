"""ConRec's augmentation for fine-tuning: the same crop and flip for an image and what belongs to its pixels.

Dippel et al., "Towards Fine-grained Visual Representations by Combining Contrastive Learning with Image Reconstruction
and Attention-weighted Pooling" (ConRec), 2021: a horizontal flip and a random crop of at least half of the image, its
aspect ratio changed by at most 3/4 to 4/3. What it leaves open and what is done here: the flip has chance 1/2; the
share of the area is uniform; the crop is taken from the whole padded image, for the padding is there in evaluation,
too; where none of ten crops fits, the image stays whole. Volumes are flipped along x and y.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from segxfer3d.augment import geometry
from segxfer3d.errors import InputError


class FinetuneDraw(NamedTuple):
    """What was drawn for a batch.

    Attributes:
        boxes: (N, 2 x D) float, first coordinate and length of the crop along each axis, in voxels.
        flips: (N, D) bool, turned around along the axis.
    """

    boxes: Tensor
    flips: Tensor


class FinetuneViews:
    """Image, label and valid mask of a batch, cropped and flipped alike, or just resized.

    Args:
        size: of the result: two lengths for images, three for volumes.
        augment: False for evaluation: nothing is drawn, only types and, where it differs, the size change.
        area: the smallest share of the crop's area (volume) in the image's.
        ratio: bounds of the aspect ratio's change.

    Raises:
        InputError: an argument is out of its bounds.
    """

    def __init__(
        self,
        size: Sequence[int],
        augment: bool = True,
        area: float = 0.5,
        ratio: Sequence[float] = (3 / 4, 4 / 3),
    ) -> None:
        self.size = geometry.checked_size(size, "FinetuneViews")
        self.augment = augment
        self.area = geometry.checked_bounds((area, 1.0), "FinetuneViews: area", 1.0)
        self.ratio = geometry.checked_bounds(ratio, "FinetuneViews: ratio", float("inf"))

    def draw(self, image: Tensor, generator: torch.Generator | None = None) -> FinetuneDraw:
        """Draw for images (N, C, *spatial), from their device's default generator where none is given."""
        axes = len(self.size)
        boxes = geometry.draw_crops(geometry.whole(image), self.size, self.area, self.ratio, generator)
        flips = torch.rand((len(image), axes), device=image.device, generator=generator) < 0.5
        flips[:, 0 if axes == 2 else 2] = False
        return FinetuneDraw(boxes, flips)

    def apply(self, batch: Mapping[str, Tensor], drawn: FinetuneDraw) -> dict[str, Tensor]:
        """The batch with ``image`` (linear, float32 in [0, 1]), ``label`` and ``valid`` (nearest voxel, of their own
        type) as drawn; the other entries stay, but ``content``, which is true no more, goes."""
        content = geometry.whole(batch["image"])
        drawn = FinetuneDraw(*(part.to(content.device) for part in drawn))
        places = geometry.positions(drawn.boxes, drawn.flips, content, self.size)
        return self._each(batch, lambda image, nearest: geometry.resample(image, places, nearest))

    def __call__(self, batch: Mapping[str, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Draw and apply.

        Args:
            batch: ``image`` (N, C, *spatial), uint8 or floating-point in [0, 1]; ``label`` and ``valid`` of the same
                spatial shape where there are any.
            generator: of the batch's device; the device's default generator where there is none.

        Raises:
            InputError: a type or a shape is another.
        """
        if self.augment:
            geometry.check_axes(batch["image"], len(self.size), "FinetuneViews")
            return self.apply(batch, self.draw(batch["image"], generator))
        return self._each(batch, lambda image, nearest: geometry.resized(image, self.size, nearest))

    def _each(self, batch: Mapping[str, Tensor], change: Callable[[Tensor, bool], Tensor]) -> dict[str, Tensor]:
        result = {key: value for key, value in batch.items() if key != "content"}
        geometry.check_image(batch["image"], len(self.size), "FinetuneViews")
        with torch.no_grad(), torch.autocast(batch["image"].device.type, enabled=False):
            result["image"] = change(batch["image"], False)
            for key in ("label", "valid"):
                if key in batch:
                    if batch[key].shape[2:] != batch["image"].shape[2:]:
                        raise InputError(
                            f"FinetuneViews: {key} has shape {tuple(batch[key].shape)}; "
                            f"expected the spatial shape of the image {tuple(batch['image'].shape)}."
                        )
                    result[key] = change(batch[key].float(), True).to(batch[key].dtype)
        return result
