"""Training patches of labeled cases: some centered on foreground, and changed at random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from monai.transforms import Randomizable, Transform
from torch import Tensor

from segxfer3d.augment.augmentation import CHANCES, Augmentation
from segxfer3d.augment.geometry import as_float, checked_size
from segxfer3d.augment.indexed_label import IndexedLabel, IndexedLabels
from segxfer3d.augment.paper_patches import PaperPatches
from segxfer3d.augment.patch_changes import change_intensities, take_patch
from segxfer3d.augment.patch_draws import PLACE, PatchDraw, Planes, Uniforms, draw_changes, three_lengths
from segxfer3d.augment.patch_tensors import change_intensities_, take_patches
from segxfer3d.augment.stored_masks import StoredMasks
from segxfer3d.errors import InputError


def labeled_patches(
    size: Sequence[int], *, foreground_share: float, mirror_axes: Sequence[int] = (0, 1, 2)
) -> PaperPatches:
    """One random patch of a volume and its label, anew at each call.

    A volume that is smaller than the patch is padded. Each of ``mirror_axes`` is flipped with chance 1/2; with chance
    1/2 each, intensities are multiplied by 0.9 to 1.1 and shifted by up to 0.05.

    Args:
        size: of the patch, in voxels.
        foreground_share: share of the patches that are centered on foreground, 0 to 1.
        mirror_axes: axes that may be flipped.

    The items that it takes have ``image`` (1, X, Y, Z) in [0, 1] and ``label`` (K, X, Y, Z); it gives the same two.
    """
    return PaperPatches(size, foreground_share, mirror_axes)


class TrainingPatches(Randomizable, Transform):
    """One random patch of a labeled case, anew at each call; made by :func:`training_patches`.

    The kernels are compiled, or loaded from Numba's cache, when it is made: before loader workers are forked.

    Attributes:
        size: of the patch.
        foreground_share: share of the patches that are centered on foreground.
        augmentation: how the patch is changed.
    """

    def __init__(self, size: Sequence[int], *, foreground_share: float, augmentation: Augmentation) -> None:
        self.size = checked_size(size, "training_patches")
        if not 0 <= foreground_share <= 1:
            raise InputError(f"foreground_share: expected 0 to 1, got {foreground_share!r}")
        self.foreground_share = foreground_share
        self.augmentation = augmentation
        self._planes = Planes.of(self.size, augmentation.rotate_degrees)
        self._size = three_lengths(self.size)
        self._labels = IndexedLabels()
        _compile(self._planes, augmentation)

    def prepare(self, items: Sequence[Mapping[str, Any]]) -> None:
        """Index the labels of items that stay in memory, so that loader workers that are forked afterward share the
        indices; without it each worker makes its own when it first needs them."""
        for item in items:
            self._index(item)

    def draw(self, item: Mapping[str, Any]) -> PatchDraw:
        """Draw where the patch of an item lies, and how it is changed."""
        label = self._index(item)
        uniforms = Uniforms(self.R, PLACE)
        on_foreground, which, where = uniforms.happens(self.foreground_share), uniforms.take(), uniforms.take()
        classes = len(item["label"])
        voxel = label.random_voxel(which, where, classes=classes) if on_foreground else None
        if voxel is None and "valid" in item:  # a patch of which nothing counts would teach nothing
            voxel = label.voxel_of(classes, where)
        start = np.empty(3, dtype=np.int64)
        for axis, (side, length) in enumerate(zip(self._size, label.index.shape, strict=True)):
            spare, share = length - side, uniforms.take()
            if spare <= 0:
                start[axis] = -(-spare // 2)
            elif voxel is None:
                start[axis] = int(share * (spare + 1))
            else:
                start[axis] = min(max(voxel[axis] - side // 2, 0), spare)
        return draw_changes(self.R, start, self._planes, self._size, len(item["image"]), self.augmentation)

    def apply(self, item: Mapping[str, Any], drawn: PatchDraw) -> dict[str, Tensor]:
        """The patch of the item as drawn."""
        take = self._compiled if _by_loops(item["image"]) else self._tensors
        image, masks = (part.view(-1, *self.size) for part in take(item, drawn))
        classes = len(item["label"])
        patch = {"image": image, "label": masks[:classes].to(item["label"].dtype)}
        if "valid" in item:
            patch["valid"] = masks[classes:].to(item["valid"].dtype)
        return patch

    def _compiled(self, item: Mapping[str, Any], drawn: PatchDraw) -> tuple[Tensor, Tensor]:
        image, masks = take_patch(_array(item["image"]), self._index(item), drawn, self._size)
        change_intensities(image, drawn)
        return torch.from_numpy(image), torch.from_numpy(masks)

    def _tensors(self, item: Mapping[str, Any], drawn: PatchDraw) -> tuple[Tensor, Tensor]:
        volume, *masks = (item[key] for key in ("image", "label", "valid") if key in item)
        shape = three_lengths(volume.shape[1:])
        parts = [mask.float().view(1, -1, *shape) for mask in masks]
        image, label = take_patches(
            as_float(volume).view(1, -1, *shape),
            parts[0] if len(parts) == 1 else torch.cat(parts, 1),
            [drawn],
            self._size,
        )
        return change_intensities_(image, [drawn]), label

    def __call__(self, item: Mapping[str, Any]) -> dict[str, Tensor]:
        """Draw and apply."""
        shapes = [item[key].shape[1:] for key in ("image", "label", "valid") if key in item]
        if len(shapes[0]) != len(self.size) or any(shape != shapes[0] for shape in shapes):
            found = " and ".join(str(list(shape)) for shape in shapes)
            raise InputError(
                f"training_patches: image and label are of {found} voxels; expected {len(self.size)} axes, alike"
            )
        return self.apply(item, self.draw(item))

    def _index(self, item: Mapping[str, Any]) -> IndexedLabel | StoredMasks:
        if isinstance(item["label"], StoredMasks):
            return item["label"]

        def masks() -> np.ndarray:
            parts = [_array(item[key]) for key in ("label", "valid") if key in item]
            return parts[0] if len(parts) == 1 else np.concatenate(parts)

        return self._labels(item["label"], masks)


def training_patches(
    size: Sequence[int], *, foreground_share: float, augmentation: Augmentation | None = None
) -> TrainingPatches:
    """One random patch of a labeled case, anew at each call, centered on foreground or anywhere, and changed at random.

    A patch on foreground has a voxel in its middle that is drawn evenly from a class that is drawn evenly from those
    that the case shows (as nnU-Net draws it), as far as the volume's border allows; other patches lie anywhere inside,
    or, where some voxels do not count, around one that does (as nnU-Net's do).
    A volume that is smaller than the patch lies in its middle, surrounded by 0. Image and label are taken from the
    volume at once, by one resampling at most, in a compiled loop that lets other threads run; of items that lie on
    another device than the CPU, there, by whole tensors.

    Args:
        size: of the patch, two or three lengths.
        foreground_share: share of the patches that are centered on foreground, 0 to 1.
        augmentation: how patches are changed; None for not at all.

    The items that it takes have ``image`` (C, *spatial), float32 of any range or uint8, which becomes a 255th;
    ``label`` (K, *spatial) of 0 and 1, and perhaps ``valid`` (1, *spatial) of 0 and 1. They stay as they are. It gives
    the same keys at ``size``, the image float32, the others of their own type; the label is that of the nearest voxel,
    and ``valid`` is 0 outside the volume.

    Raises:
        InputError: size or share cannot be used; in the call: image and label of other shapes.

    Example:
        >>> item = {"image": torch.rand(1, 20, 20, 20), "label": torch.ones(1, 20, 20, 20)}
        >>> patches = training_patches((8, 8, 8), foreground_share=0.33, augmentation=Augmentation())
        >>> patches(item)["image"].shape
        torch.Size([1, 8, 8, 8])
    """
    nothing = Augmentation.none() if augmentation is None else augmentation
    return TrainingPatches(size, foreground_share=foreground_share, augmentation=nothing)


def _by_loops(tensor: Tensor) -> bool:
    """Whether the compiled loops can reach a tensor."""
    return tensor.device.type == "cpu"


def _array(tensor: Tensor) -> np.ndarray:
    """A tensor (C, *spatial) as a contiguous array (C, X, Y, Z), float32 or uint8."""
    plain: Tensor = (tensor.as_tensor() if hasattr(tensor, "as_tensor") else tensor).cpu()
    plain = plain if plain.dtype == torch.uint8 else plain.float()
    array: np.ndarray = plain.contiguous().view(len(plain), *three_lengths(plain.shape[1:])).numpy()
    return array


def _compile(planes: Planes, augmentation: Augmentation) -> None:
    """Make a tiny patch without any change, and one with all that may come."""
    ways: dict[str, Any] = {name: float(getattr(augmentation, name) > 0) for name in CHANCES}
    label = IndexedLabel.of(np.zeros((1, 4, 4, 4), dtype=np.float32))
    for way in (Augmentation.none(), replace(augmentation, **ways)):
        random, image = np.random.RandomState(0), np.zeros((8, 4, 4, 4), dtype=np.float32)
        drawn = draw_changes(random, np.zeros(3, dtype=np.int64), planes, (4, 4, 4), len(image), way)
        patch, _ = take_patch(image, label, drawn, (4, 4, 4))
        change_intensities(patch, drawn)
