"""Sums over windows that overlap, of which only what a later window may still add to is kept."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from segxfer3d.inference.window_grid import WindowGrid

Box = tuple[slice, ...]
_ALL = slice(None)


class OpenSums:
    """Adds windows in the order of their visits, and gives back the voxels that no later window covers.

    A voxel that several windows cover is carried from one to the next: from a window to the one after it in a row, from
    a row to the next, from a layer of rows to the next. So three layers are kept, each as thick as windows overlap, and
    no volume; the largest is across the axis that is visited last. Sums are added up in the order of the windows, as in
    a sum over the whole volume, bit for bit.

    Args:
        grid: of the windows.
        half_beyond: channels from which on sums are carried from window to window in float16, which takes half of the
            memory; None: never. It rounds a sum by a 2,000th at most each time, three times where windows share less
            than half; outputs that were computed in bf16 are rounded by a 250th. Sums beyond 65504 become that.

    Example:
        >>> from segxfer3d.inference.window_grid import regular_grid
        >>> sums = OpenSums(regular_grid((6, 4, 4), (4, 4, 4), 0.5))
        >>> [(box[0], float(done.sum())) for box, done in (sums.add((i, 0, 0), torch.ones(1, 4, 4, 4)) for i in (0, 1))]
        [(slice(0, 2, None), 32.0), (slice(2, 6, None), 96.0)]
    """

    def __init__(self, grid: WindowGrid, *, half_beyond: int | None = None) -> None:
        self.grid = grid
        self.half_beyond = half_beyond
        self._open: list[Tensor] = []

    def add(self, window: tuple[int, ...], values: Tensor) -> tuple[Box, Tensor]:
        """Add a window.

        Args:
            window: its number along each axis; the next in the grid's order.
            values: (K, *size), which are changed.

        Returns:
            the box of the voxels that are finished, in the padded volume, and their sums, a part of ``values``.
        """
        grid, order = self.grid, self.grid.order
        if not self._open:
            half = self.half_beyond is not None and len(values) > self.half_beyond
            dtype = torch.float16 if half else values.dtype
            self._open = [_layer(grid, level, values, dtype) for level in range(len(order))]
        starts, heads, steps = [], [], []
        for side, number in zip(grid.sides, window, strict=True):
            start = side.starts[number]
            starts.append(start)
            heads.append(side.starts[number - 1] + side.size - start if number else 0)
            steps.append(side.starts[number + 1] - start if number + 1 < len(side.starts) else side.size)
        self._take(values, starts, heads)
        self._leave(values, starts, steps)
        finished = tuple(slice(start, start + step) for start, step in zip(starts, steps, strict=True))
        return finished, values[(_ALL, *(slice(0, step) for step in steps))]

    def _take(self, values: Tensor, starts: list[int], heads: list[int]) -> None:
        """What earlier windows left for this one: each voxel was left in one layer."""
        fresh: Box = (_ALL,) * len(starts)  # what no faster axis has brought already
        for level, axis in reversed(list(enumerate(self.grid.order))):
            if heads[axis]:
                here = _with(fresh, axis, slice(0, heads[axis]))
                values[(_ALL, *here)] += self._open[level][(_ALL, *self._place(level, here, starts))]
            fresh = _with(fresh, axis, slice(heads[axis], self.grid.sides[axis].size))

    def _leave(self, values: Tensor, starts: list[int], steps: list[int]) -> None:
        """What later windows add to."""
        finished: Box = (_ALL,) * len(starts)  # along the faster axes
        for level, axis in reversed(list(enumerate(self.grid.order))):
            size = self.grid.sides[axis].size
            if steps[axis] < size:
                rest = _with(finished, axis, slice(steps[axis], size))
                place = self._place(level, _with(rest, axis, slice(0, size - steps[axis])), starts)
                left, layer = values[(_ALL, *rest)], self._open[level]
                if layer.dtype != left.dtype:  # what is beyond its range would be infinite
                    left.clamp_(-torch.finfo(layer.dtype).max, torch.finfo(layer.dtype).max)
                layer[(_ALL, *place)] = left
            finished = _with(finished, axis, slice(0, steps[axis]))

    def _place(self, level: int, here: Box, starts: list[int]) -> Box:
        """Where a box of a window lies in a layer, which goes through the whole volume along the faster axes."""
        place = list(here)
        for axis in self.grid.order[level + 1 :]:
            start, stop, _ = here[axis].indices(self.grid.sides[axis].size)
            place[axis] = slice(starts[axis] + start, starts[axis] + stop)
        return tuple(place)


def _with(box: Box, axis: int, part: slice) -> Box:
    return (*box[:axis], part, *box[axis + 1 :])


def _layer(grid: WindowGrid, level: int, like: Tensor, dtype: torch.dtype) -> Tensor:
    """What is open between windows along one axis, in the order of channels in memory that the windows have."""
    shape = [0] * len(grid.sides)
    for position, axis in enumerate(grid.order):
        side = grid.sides[axis]
        through = max(side.length, side.size)
        shape[axis] = side.size if position < level else side.overlap if position == level else through
    if like.stride(0) == 1 and len(like) > 1:  # channels last
        return torch.empty((*shape, len(like)), dtype=dtype, device=like.device).movedim(-1, 0)
    return torch.empty((len(like), *shape), dtype=dtype, device=like.device)


def open_voxels(grid: WindowGrid) -> int:
    """Voxels of each channel that are kept between windows."""
    sizes = []
    for level in range(len(grid.sides)):
        sides = [grid.sides[axis] for axis in grid.order]
        sizes.append(
            math.prod(side.size for side in sides[:level])
            * sides[level].overlap
            * math.prod(max(side.length, side.size) for side in sides[level + 1 :])
        )
    return sum(sizes)
