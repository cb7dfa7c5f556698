"""From the grid that a network sees to that of a volume's file, piece by piece: interpolation and orientation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import nibabel
import numpy as np
import torch
from monai.data import MetaTensor
from monai.utils import MetaKeys, SpaceKeys
from numpy.typing import NDArray
from torch import Tensor

from segxfer3d.data.io.volumes import Volume

Box = tuple[slice, ...]
_STRAIGHT = 1e-4  # voxels by which axes of two grids may part over a whole volume


@dataclass(frozen=True)
class FileGrid:
    """How the voxels of a file lie between those that a network sees.

    Attributes:
        shape: of the file.
        affine: of the file, (4, 4).
        seen: shape that the network sees.
        axes: of each axis of the file, the axis of the network's grid.
        flipped: of each axis of the file, whether it runs the other way.
        places: of each axis of the network's grid, where the file's voxels lie on it, in voxels, rising, with flipped
            axes turned; None where both have the same voxels.
    """

    shape: tuple[int, ...]
    affine: NDArray[np.float64]
    seen: tuple[int, ...]
    axes: tuple[int, ...]
    flipped: tuple[bool, ...]
    places: tuple[NDArray[np.float64] | None, ...]

    @staticmethod
    def of(image: MetaTensor) -> FileGrid | None:
        """That of an image (C, X, Y, Z) of :meth:`VolumePreprocessing.read
        <segxfer3d.data.preprocessing.volumes.VolumePreprocessing.read>`; None where axes of the two grids are not
        parallel, as of a sheared grid that was resampled."""
        shape = tuple(int(side) for side in image.meta["spatial_shape"])
        affine = np.asarray(image.meta["original_affine"], np.float64)
        orientation = nibabel.orientations.io_orientation(affine)
        turned = affine @ nibabel.orientations.inv_ornt_aff(orientation, shape)
        axes = tuple(int(axis) for axis in orientation[:, 0])
        seen = tuple(image.shape[1:])
        there = [shape[axes.index(axis)] for axis in range(len(shape))]
        mapped = np.linalg.solve(np.asarray(image.affine, np.float64), turned)
        places: list[NDArray[np.float64] | None] = []
        for axis, voxels in enumerate(there):
            beside = np.delete(mapped[:3, axis], axis) * max(voxels - 1, 1)
            if np.abs(beside).max() > _STRAIGHT or mapped[axis, axis] <= 0:
                return None
            where = mapped[axis, axis] * np.arange(voxels) + mapped[axis, 3]
            same = voxels == seen[axis] and np.abs(where - np.arange(voxels)).max() <= _STRAIGHT
            places.append(None if same else where)
        flipped = tuple(bool(direction < 0) for direction in orientation[:, 1])
        return FileGrid(shape, affine, seen, axes, flipped, tuple(places))

    @staticmethod
    def of_file(volume: Volume) -> FileGrid:
        """That of a file whose voxels the network sees as they are."""
        shape = tuple(volume.array.shape)
        orientation = nibabel.orientations.io_orientation(volume.affine)
        axes = tuple(int(axis) for axis in orientation[:, 0])
        seen = tuple(shape[axes.index(axis)] for axis in range(len(shape)))
        flipped = tuple(bool(direction < 0) for direction in orientation[:, 1])
        return FileGrid(shape, np.array(volume.affine, np.float64), seen, axes, flipped, (None,) * len(shape))

    @staticmethod
    def plain(shape: Sequence[int]) -> FileGrid:
        """That of a case of any number of axes whose voxels are the file's already."""
        axes = len(shape)
        sides = tuple(int(side) for side in shape)
        return FileGrid(sides, np.eye(4), sides, tuple(range(axes)), (False,) * axes, (None,) * axes)

    @property
    def resampled(self) -> bool:
        """Whether the two grids have other voxels."""
        return any(where is not None for where in self.places)

    def whole(self, values: Tensor) -> MetaTensor:
        """Values (K, *seen) that were not resampled, where their voxels lie in the file: float32 in [0, 1], on the CPU,
        with the file's affine."""
        placed = torch.empty((len(values), *self.shape))
        self.put(placed, tuple(slice(0, side) for side in self.seen), values)
        return MetaTensor(placed.clamp_(0, 1), affine=torch.from_numpy(self.affine))

    def put(self, target: Tensor, box: Box, values: Tensor) -> None:
        """Write a box of the file's voxels, whose axes run as the network's, where they lie in the file.

        Args:
            target: (..., *shape).
            box: in the file's voxels along the network's axes, as :meth:`interpolated` gives it.
            values: (..., *box), on any device.
        """
        first = values.ndim - len(self.shape)
        turned = values.permute(*range(first), *(first + axis for axis in self.axes))
        turned = turned.flip([first + number for number, flip in enumerate(self.flipped) if flip])
        everything: tuple[slice, ...] = (slice(None),) * first
        target[(*everything, *self._place(box))] = turned.to(target.device)

    def cut(self, source: NDArray[Any], box: Box) -> NDArray[Any]:
        """The other way round: what lies in a box of the file's voxels, with axes that run as the network's.

        Args:
            source: (..., *shape).
            box: as in :meth:`put`.

        Returns:
            (..., *box), a view.
        """
        first = source.ndim - len(self.shape)
        everything: tuple[slice, ...] = (slice(None),) * first
        here = source[(*everything, *self._place(box))]
        here = np.flip(here, tuple(first + number for number, flip in enumerate(self.flipped) if flip))
        axes = [first + self.axes.index(axis) for axis in range(len(self.axes))]
        turned: NDArray[Any] = here.transpose(*range(first), *axes)
        return turned

    def _place(self, box: Box) -> Box:
        """Where a box of the file's voxels along the network's axes lies in the file."""
        place = []
        for length, axis, flip in zip(self.shape, self.axes, self.flipped, strict=True):
            part = box[axis]
            place.append(slice(length - part.stop, length - part.start) if flip else part)
        return tuple(place)

    def interpolated(self, boxes: Iterator[tuple[Box, Tensor]], order: Sequence[int]) -> Iterator[tuple[Box, Tensor]]:
        """What lies at the file's voxels, linear in between, and outside the volume as at its border.

        Args:
            boxes: that make up the network's grid, each with its values (K, *box); in rows along the last axis of
                ``order``, rows in layers along the one before, as :class:`~segxfer3d.inference.windows.WindowInferer`
                gives them.
            order: of the axes, the one that comes last first.

        Yields:
            boxes in the file's voxels along the network's axes, and the values there; every voxel once.
        """
        if not self.resampled:
            yield from boxes
            return
        before = _Before(self.seen, order)
        for box, values in boxes:
            wider, known = before.joined(box, values)
            found = [self._found(axis, wider[axis], box[axis]) for axis in range(len(box))]
            if any(part.stop <= part.start for part, _ in found):
                continue
            for axis, (part, where) in enumerate(found):
                if where is None:
                    known = known.narrow(axis + 1, part.start - wider[axis].start, part.stop - part.start)
                else:
                    known = _along(known, axis + 1, where - wider[axis].start)
            yield tuple(part for part, _ in found), known

    def _found(self, axis: int, wider: slice, part: slice) -> tuple[slice, NDArray[np.float64] | None]:
        """The file's voxels along an axis that lie after what was finished before a part and within it, and where."""
        places = self.places[axis]
        if places is None:
            return part, None
        first = 0 if part.start == 0 else int(np.searchsorted(places, part.start - 1, side="right"))
        last = len(places) if part.stop == self.seen[axis] else int(np.searchsorted(places, part.stop - 1, "right"))
        return slice(first, last), places[first:last]


def _along(values: Tensor, dim: int, where: NDArray[np.float64]) -> Tensor:
    """Linear in between along one axis."""
    where = where.clip(0, values.shape[dim] - 1)
    low = np.floor(where).astype(np.int64)
    high = np.minimum(low + 1, values.shape[dim] - 1)
    share = torch.from_numpy((where - low).astype(np.float32)).to(values.device)
    share = share.view(-1, *(1,) * (values.ndim - dim - 1))
    below, above = (values.index_select(dim, torch.from_numpy(index).to(values.device)) for index in (low, high))
    return below.mul_(1 - share).add_(above.mul_(share))


class _Before:
    """The last layer of what came before a box along each axis, so that there is something on both sides of every voxel
    between two boxes."""

    def __init__(self, seen: Sequence[int], order: Sequence[int]) -> None:
        self.seen = tuple(seen)
        self.order = tuple(order)
        self.layers: dict[int, Tensor] = {}

    def joined(self, box: Box, values: Tensor) -> tuple[Box, Tensor]:
        """A box with the layers before it, where there are some."""
        wider = list(box)
        for level, axis in enumerate(self.order):  # so each layer is read once, before it is written
            if box[axis].start:
                wider[axis] = slice(box[axis].start - 1, box[axis].stop)
                values = torch.cat([self._layer(level, tuple(wider)), values], dim=axis + 1)
            self._keep(level, tuple(wider), values)
        return tuple(wider), values

    def _layer(self, level: int, wider: Box) -> Tensor:
        place = self._place(level, wider)
        return self.layers[level][(slice(None), *place)]

    def _keep(self, level: int, wider: Box, values: Tensor) -> None:
        axis = self.order[level]
        last = values.narrow(axis + 1, values.shape[axis + 1] - 1, 1)
        if level not in self.layers:
            shape = [1 if self.order.index(a) == level else self.seen[a] for a in range(len(self.seen))]
            self.layers[level] = values.new_empty((len(values), *shape))
        self.layers[level][(slice(None), *self._place(level, wider))] = last

    def _place(self, level: int, wider: Box) -> Box:
        return tuple(slice(0, 1) if axis == self.order[level] else wider[axis] for axis in range(len(wider)))


def as_read(image: Tensor, volume: Volume, path: str) -> MetaTensor:
    """An image (C, X, Y, Z) whose axes were turned to right, anterior and up, with what MONAI's transforms would have
    noted of its file, but for their steps: :class:`FileGrid` knows the way back.

    Args:
        image: scaled.
        volume: as it lies in the file, the first channel.
        path: of the file.
    """
    orientation = nibabel.orientations.io_orientation(volume.affine)
    shape = volume.array.shape
    affine = volume.affine @ nibabel.orientations.inv_ornt_aff(orientation, shape)
    meta = {
        MetaKeys.AFFINE: torch.from_numpy(affine),
        MetaKeys.ORIGINAL_AFFINE: volume.affine.copy(),
        MetaKeys.SPATIAL_SHAPE: shape,
        MetaKeys.SPACE: SpaceKeys.RAS,
        "filename_or_obj": path,
        "read_notes": volume.notes,
    }
    return MetaTensor(image, meta=meta)
