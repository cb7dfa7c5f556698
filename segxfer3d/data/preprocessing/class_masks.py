"""What a case's label says, class by class: a mask is made when it is looked at, so that no two are held at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Mask = NDArray[np.bool_]
Cut = Callable[[NDArray[Any]], NDArray[Any]]  # a part of what has the axes of a case last


class ClassMasks(Protocol):
    """The masks of a case's classes.

    Attributes:
        shape: (K, *spatial).
        valid: (*spatial), what the data set does not say to ignore; None where that is everything.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def valid(self) -> Mask | None: ...

    def mask(self, k: int) -> Mask:
        """(*spatial), where class ``k`` is, counted from 0, of what is not ignored."""
        ...

    def part(self, cut: Cut) -> ClassMasks:
        """The same of a part of the case."""
        ...


@dataclass(frozen=True, eq=False)
class ValueMasks:
    """Those of a label that has one value a voxel.

    Attributes:
        values: (*spatial) whole numbers.
        parts: label values of each class, which overlap where a value is of several.
        ignore: values that do not count.
        affine: (4, 4) of the file's grid, voxel index to world millimeters, RAS+.
    """

    values: NDArray[Any]
    parts: tuple[tuple[int, ...], ...]
    ignore: tuple[int, ...] = ()
    affine: NDArray[np.float64] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """(K, *spatial)."""
        return (len(self.parts), *self.values.shape)

    @property
    def valid(self) -> Mask | None:
        """(*spatial), where values count."""
        return ~_among(self.values, self.ignore) if self.ignore else None

    def mask(self, k: int) -> Mask:
        """(*spatial), where class ``k`` is."""
        return _among(self.values, [value for value in self.parts[k] if value not in self.ignore])

    def part(self, cut: Cut) -> ValueMasks:
        """The same of a part of the case."""
        return ValueMasks(cut(self.values), self.parts, self.ignore)


@dataclass(frozen=True, eq=False)
class ChannelMasks:
    """Those of a label that has a channel for each class.

    Attributes:
        channels: (K, *spatial) of 0 and 1.
        counts: (1, *spatial), 0 where the data set says to ignore; None where all counts.
    """

    channels: Tensor
    counts: Tensor | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """(K, *spatial)."""
        return tuple(self.channels.shape)

    @property
    def valid(self) -> Mask | None:
        """(*spatial), where pixels count."""
        return None if self.counts is None else self.counts[0].numpy() != 0

    def mask(self, k: int) -> Mask:
        """(*spatial), where class ``k`` is."""
        mask: Mask = self.channels[k].numpy() > 0.5
        return mask if self.counts is None else mask & (self.counts[0].numpy() != 0)

    def part(self, cut: Cut) -> ChannelMasks:
        """The same of a part of the case."""
        channels, counts = (None if each is None else cut(each.numpy()) for each in (self.channels, self.counts))
        return ChannelMasks(torch.as_tensor(channels), None if counts is None else torch.as_tensor(counts))


def stacked_masks(masks: ClassMasks) -> Tensor:
    """All of them at once, (K, *spatial) bool: of a part of a case, or where there is room."""
    return torch.from_numpy(np.stack([masks.mask(k) for k in range(masks.shape[0])]))


def small_values(values: NDArray[Any]) -> NDArray[Any]:
    """Whole numbers in the least type that holds them, and in the order of indices."""
    ends = [np.min_scalar_type(int(end)) for end in (values.min(), values.max())]
    small: NDArray[Any] = np.ascontiguousarray(values, dtype=np.result_type(*ends))
    return small


def _among(values: NDArray[Any], chosen: Sequence[int]) -> Mask:
    """Where one of the chosen values is; one after the other, for NumPy's ``isin`` makes copies of eight bytes."""
    if not chosen:
        return np.zeros(values.shape, np.bool_)
    first, *others = chosen
    found: Mask = values == first
    for value in others:
        found |= values == value
    return found
