"""Where windows lie in a volume: every so many voxels, or as few as cover it, spread evenly."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Side(NamedTuple):
    """The windows along one axis.

    Attributes:
        size: of a window, voxels.
        starts: of the windows, rising, the first 0.
        length: of the axis, which the last window may pass where it is the only one.
    """

    size: int
    starts: tuple[int, ...]
    length: int

    @property
    def overlap(self) -> int:
        """Most voxels that a window shares with the next."""
        return max((a + self.size - b for a, b in itertools.pairwise(self.starts)), default=0)

    @property
    def padding(self) -> tuple[int, int]:
        """Voxels before and after the axis that its only window sees too."""
        beyond = max(0, self.size - self.length)
        return beyond // 2, beyond - beyond // 2


@dataclass(frozen=True)
class WindowGrid:
    """The windows of a volume, one list of starts for each axis.

    Attributes:
        sides: one for each axis.
        order: the axes from the one that windows are visited along last to that along which they come one after the
            other. What is open between two rows of windows is a layer across the first of them.
    """

    sides: tuple[Side, ...]
    order: tuple[int, ...]

    @property
    def size(self) -> tuple[int, ...]:
        """Of a window."""
        return tuple(side.size for side in self.sides)

    @property
    def count(self) -> int:
        """Of windows."""
        return math.prod(len(side.starts) for side in self.sides)

    @property
    def computed(self) -> int:
        """Voxels that all windows have together."""
        return self.count * math.prod(self.size)

    def windows(self) -> Iterator[tuple[int, ...]]:
        """The number of each window along each axis, in the order of visits."""
        order = self.order
        for numbers in itertools.product(*(range(len(self.sides[axis].starts)) for axis in order)):
            yield tuple(numbers[order.index(axis)] for axis in range(len(order)))

    def box(self, window: Sequence[int]) -> tuple[slice, ...]:
        """What a window covers, in the padded volume."""
        starts = [side.starts[number] for side, number in zip(self.sides, window, strict=True)]
        return tuple(slice(start, start + side.size) for start, side in zip(starts, self.sides, strict=True))

    @property
    def padding(self) -> tuple[int, ...]:
        """As :func:`torch.nn.functional.pad` takes it, the last axis first."""
        return tuple(end for side in reversed(self.sides) for end in side.padding)


def regular_grid(shape: Sequence[int], size: Sequence[int], overlap: float) -> WindowGrid:
    """Windows of one size, each a step further, the last one as far back as it has to be; as MONAI lays them.

    Args:
        shape: of the volume.
        size: of a window; a volume that is smaller is padded to it.
        overlap: share of a window that the next one covers too, from 0 to below 1.
    """
    sides = []
    for length, side in zip(shape, size, strict=True):
        step = max(1, int(side * (1 - overlap)))
        last = max(length, side) - side
        starts = [min(number * step, last) for number in range(math.ceil(last / step) + 1)]
        sides.append(Side(side, tuple(starts), length))
    return WindowGrid(tuple(sides), tuple(range(len(sides))))


def even_side(length: int, size: int, margin: int) -> Side:
    """As few windows of a size as cover an axis with ``margin`` voxels shared, spread evenly."""
    margin = min(margin, size - 1)
    last = max(length, size) - size
    steps = math.ceil(last / (size - margin))
    return Side(size, tuple(round(last * number / steps) for number in range(steps + 1)) if steps else (0,), length)


def even_grid(shape: Sequence[int], size: Sequence[int], overlap: float) -> WindowGrid:
    """As few windows as cover a volume, spread evenly; rows of them follow each other along the longest axis.

    Args:
        shape: of the volume.
        size: of a window; a volume that is smaller is padded to it.
        overlap: share of a window that neighbors have in common at least.
    """
    sides = [even_side(length, side, round(side * overlap)) for length, side in zip(shape, size, strict=True)]
    longest = max(range(len(shape)), key=lambda axis: (shape[axis], -axis))
    return WindowGrid(tuple(sides), (longest, *(axis for axis in range(len(shape)) if axis != longest)))
