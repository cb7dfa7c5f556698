"""What is compared of a case: the class that each voxel is given and its label; and what soft measures add up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from segxfer3d.data.preprocessing.class_masks import ChannelMasks, ClassMasks, stacked_masks
from segxfer3d.data.preprocessing.file_grid import FileGrid
from segxfer3d.data.preprocessing.protocol import Item, Preprocessing
from segxfer3d.errors import InputError
from segxfer3d.evaluation.metrics import GENESIS_THRESHOLDS, thresholds_reached
from segxfer3d.evaluation.soft_dice import SoftSums, sums_of_chunk, voxel_chunks
from segxfer3d.inference.labels import probabilities_on_file
from segxfer3d.inference.open_sums import Box
from segxfer3d.inference.settings import InferenceSettings
from segxfer3d.inference.volume_masks import Way, in_one_piece, index_of, segment
from segxfer3d.losses.activation import foreground_probabilities

IN_ONE_PIECE = 2**26  # bytes of a volume's probabilities up to which all of them are held: so small ones are measured
# to the last digit as they were before there were pieces, whose sums of probabilities are rounded otherwise


class PooledVoxels:
    """Adds up what the pooled figures are made of while the pieces of a case pass by, see
    :class:`~segxfer3d.inference.volume_masks.Watcher`. What is ignored counts as background that nothing is said of.

    Args:
        label: of the case.

    Attributes:
        reached: (2, thresholds + 1) voxels, see :func:`~segxfer3d.evaluation.metrics.thresholds_reached`.
    """

    def __init__(self, label: ClassMasks) -> None:
        self.label = label
        self._sums = torch.zeros(3, dtype=torch.float64)
        self.reached = torch.zeros(2, len(GENESIS_THRESHOLDS) + 1, dtype=torch.int64)

    @property
    def sums(self) -> SoftSums:
        """Of the soft dice."""
        return SoftSums(*self._sums.tolist())

    def begin(self, grid: FileGrid) -> None:
        """With nothing seen.

        Raises:
            InputError: the label is of another shape than the file.
        """
        if self.label.shape[1:] != grid.shape:
            shapes = f"{tuple(grid.shape)} and {tuple(self.label.shape[1:])}"
            raise InputError(f"prediction and label of shape {shapes}: expected the same shape")
        self.__init__(self.label)  # type: ignore[misc]
        self._grid = grid

    def see(self, box: Box, shares: Tensor) -> None:
        """Add a piece."""
        label = self.label.part(lambda whole: self._grid.cut(whole, box))
        shares, masks = shares.cpu(), stacked_masks(label)
        if (valid := label.valid) is not None:
            shares = shares * torch.from_numpy(valid)
        for p, y in voxel_chunks(shares, masks):
            self._sums += sums_of_chunk(p, y)
            self.reached += thresholds_reached(p, y)


class Measured(NamedTuple):
    """What is compared of a case, nothing where the data set says to ignore.

    Attributes:
        classes: (*spatial) uint8, the class that each voxel is given: 0 is background, k + 1 is channel k.
        label: the masks of the same grid.
        pooled: what the pooled figures are made of.
    """

    classes: Tensor
    label: ClassMasks
    pooled: PooledVoxels


def label_masks(item: Item) -> ClassMasks:
    """The label of an item of ``preprocessing.read``."""
    label = item["label"]
    return ChannelMasks(label, item.get("valid")) if isinstance(label, Tensor) else label


def measured_probabilities(
    probabilities: Tensor, label: ClassMasks, settings: InferenceSettings, classes: Sequence[int]
) -> Measured:
    """What is compared of a case whose probabilities (K, *spatial) are all there, on its label's grid.

    Raises:
        InputError: what are no probabilities.
    """
    pooled = PooledVoxels(label)
    return _measured(index_of(*in_one_piece(probabilities), settings, classes, [pooled]), pooled)


def measured_on_file(
    logits: Tensor, item: Item, preprocessing: Preprocessing, settings: InferenceSettings, classes: Sequence[int]
) -> Measured:
    """What is compared of a case on its file's grid, by all its logits.

    Args:
        logits: (outputs, *spatial), of the network, on any device.
        item: of ``preprocessing.read``, with its label.
        preprocessing: of the case.
        settings: how outputs become masks.
        classes: label values, in the order of the channels.

    Raises:
        InputError: logits that are not finite.
    """
    probabilities = probabilities_on_file(logits, item, preprocessing, settings.activation).as_subclass(Tensor)
    return measured_probabilities(probabilities, label_masks(item), settings, classes)


def measured_at_size(logits: Tensor, target: Tensor, settings: InferenceSettings, classes: Sequence[int]) -> Measured:
    """What is compared of a case at the size that the network sees.

    Args:
        logits: (outputs, *spatial), of the network, on any device.
        target: (K + 1, *spatial), as :func:`~segxfer3d.losses.with_valid` makes it.
        settings, classes: see :func:`measured_on_file`.

    Raises:
        InputError: logits that are not finite.
    """
    probabilities, target = foreground_probabilities(logits, settings.activation).cpu(), target.cpu()
    return measured_probabilities(probabilities, ChannelMasks(target[:-1], target[-1:]), settings, classes)


def measured_volume(item: Item, way: Way, preprocessing: Preprocessing) -> Measured:
    """What is compared of a volume, of whose outputs no map is held for a class where these are more than
    :data:`IN_ONE_PIECE`.

    Args:
        item: of ``preprocessing.read``, with its label.
        way: how it is segmented.
        preprocessing: of the volume.

    Raises:
        InputError: as :func:`~segxfer3d.inference.volume_masks.segment`.
    """
    image: Any = item["image"]
    grid = FileGrid.of(image) if hasattr(way.inferer, "blocks") else None
    if grid is None or 4 * len(way.classes) * max(map(math.prod, (grid.shape, grid.seen))) <= IN_ONE_PIECE:
        inferer: Any = way.inferer
        with torch.no_grad():
            logits = inferer(image.as_subclass(Tensor)[None].to(way.device), way.network)[0]
        return measured_on_file(logits, item, preprocessing, way.settings, way.classes)
    pooled = PooledVoxels(label_masks(item))
    return _measured(segment(item, grid, way, [pooled]), pooled)


def _measured(index: Tensor, pooled: PooledVoxels) -> Measured:
    valid = pooled.label.valid
    return Measured(index if valid is None else index * torch.from_numpy(valid), pooled.label, pooled)
