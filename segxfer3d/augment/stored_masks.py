"""Masks of a case that lie on disk: one number a voxel, from which the channels of a patch are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segxfer3d.augment.kernels.labels import paint
from segxfer3d.errors import InputError

_SIZES = (2**8, 2**16)


@dataclass(frozen=True)
class StoredMasks:
    """Channels of a label, or its valid mask, made where they are looked at; a memory map stays a map.

    A voxel takes one or two bytes however many channels there are and whether or not they overlap. Which voxels are
    which is counted by planes of x, so that a random one is found by looking at one plane.

    Attributes:
        index: (X, Y, Z) uint8 or uint16, the number of each voxel's set of channels; 0 is none.
        table: (P, K) float32, the set of each number, as 0 and 1; of all channels.
        planes: (X, P) the voxels of each number in each plane.
        channels: first of the channels that are meant, and the one after the last.
    """

    index: NDArray[Any]
    table: NDArray[np.float32]
    planes: NDArray[Any]
    channels: tuple[int, int]

    dtype: ClassVar[torch.dtype] = torch.float32

    def part(self, first: int, end: int) -> StoredMasks:
        """Channels from ``first`` to the one before ``end``."""
        return StoredMasks(self.index, self.table, self.planes, (first, end))

    @property
    def shape(self) -> torch.Size:
        """(K, X, Y, Z)."""
        return torch.Size((len(self), *self.index.shape))

    def __len__(self) -> int:
        return self.channels[1] - self.channels[0]

    def __getitem__(self, place: tuple[Any, ...]) -> Tensor:
        """All channels at a place: (K, ...) float32, as ``masks[:, x, y:z]`` of a tensor would be."""
        if not isinstance(place, tuple) or place[0] != slice(None):
            raise InputError(f"masks on disk: expected all channels of a place, as in [:, x], got {place!r}")
        numbers = np.ascontiguousarray(self.index[place[1:]])
        masks = np.empty((len(self), *numbers.shape), dtype=np.float32)
        table = np.ascontiguousarray(self.table[:, slice(*self.channels)])
        paint(numbers.reshape(-1), table, masks.reshape(len(self), numbers.size))
        return torch.from_numpy(masks)

    def shows(self, channel: int) -> bool:
        """Whether any voxel is of a channel, counted from the first of these."""
        return bool(self.counts(channel).any())

    def counts(self, *chosen: int, without: Sequence[int] = ()) -> NDArray[np.int64]:
        """(X,) voxels of each plane that are of any of these channels, counted from the first of these, and of none of
        ``without``, which are channels of all."""
        inside = (self.table[:, [self.channels[0] + channel for channel in chosen]] > 0).any(1)
        inside &= ~(self.table[:, list(without)] > 0).any(1)
        counts: NDArray[np.int64] = np.asarray(self.planes)[:, inside].sum(1, dtype=np.int64)
        return counts

    def random_voxel(self, which: float, where: float, *, classes: int) -> tuple[int, int, int] | None:
        """As :meth:`~segxfer3d.augment.indexed_label.IndexedLabel.random_voxel`, and the same voxel."""
        present = [k for k in range(classes) if self.shows(k)]
        return self.voxel_of(present[int(which * len(present))], where) if present else None

    def voxel_of(self, k: int, where: float) -> tuple[int, int, int] | None:
        """As :meth:`~segxfer3d.augment.indexed_label.IndexedLabel.voxel_of`, and the same voxel."""
        ends = np.cumsum(self.counts(k))
        if not ends[-1]:
            return None
        number = int(where * ends[-1])
        x = int(np.searchsorted(ends, number, side="right"))
        before = int(ends[x - 1]) if x else 0
        inside = np.flatnonzero(self.table[:, self.channels[0] + k][self.index[x]])
        y, z = divmod(int(inside[number - before]), self.index.shape[2])
        return x, y, z


def stored_masks(values: NDArray[Any], sets: Sequence[frozenset[int]]) -> StoredMasks:
    """What a map of label values becomes.

    Args:
        values: (X, Y, Z) whole numbers, of any type.
        sets: of each channel the values that are of it; a value may be of several channels, or of none.

    Raises:
        InputError: values that are of more than 65535 sets of channels.
    """
    known = sorted({value for of_channel in sets for value in of_channel})
    rows = {value: tuple(float(value in of_channel) for of_channel in sets) for value in known}
    numbers = {row: number for number, row in enumerate(dict.fromkeys(rows.values()), 1)}
    if len(numbers) >= _SIZES[-1]:
        raise InputError(f"label: {len(sets)} classes overlap in more than {_SIZES[-1] - 1} ways; expected fewer")
    index = np.zeros(values.shape, dtype=np.uint8 if len(numbers) < _SIZES[0] else np.uint16)
    _fill(index, values, {value: numbers[rows[value]] for value in known})
    table = np.array([(0.0,) * len(sets), *numbers], dtype=np.float32).reshape(1 + len(numbers), len(sets))
    planes = np.stack([np.bincount(plane.reshape(-1), minlength=len(table)) for plane in index]).astype(np.int32)
    return StoredMasks(index, table, planes, (0, len(sets)))


def _fill(index: NDArray[Any], values: NDArray[Any], numbers: Mapping[int, int]) -> None:
    """The number of each voxel's value, plane by plane; 0 where it has none."""
    known = np.array([*numbers], dtype=np.int64)
    order = np.argsort(known)
    known, target = known[order], np.array([*numbers.values()])[order]
    for plane, here in zip(index, values, strict=True):
        whole = here.astype(np.int64)
        place = np.searchsorted(known, whole).clip(0, len(known) - 1)
        plane[...] = np.where(known[place] == whole, target[place], 0)
