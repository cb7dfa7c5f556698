"""Sliding windows: how a network for patches sees a volume of any size."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from monai.data import compute_importance_map
from monai.inferers import Inferer
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from segxfer3d.config.windows import EVEN, MANY, STEPS
from segxfer3d.inference.air import Air
from segxfer3d.inference.image import Image
from segxfer3d.inference.mirroring import MirroredForward
from segxfer3d.inference.open_sums import Box, OpenSums
from segxfer3d.inference.window_grid import WindowGrid, even_grid, regular_grid
from segxfer3d.inference.window_needs import Needs, needs_of
from segxfer3d.networks.forward import plain

Network = Callable[..., Any]
_SIGMA = 1 / 8  # of a window: the standard deviation of its weights, as MONAI's and nnU-Net's
_KNOWN = 2  # outputs of constant windows that are kept
_AIR = b"air"  # no value of a channel is of three bytes

Window = tuple[int, ...]


class WindowInferer(Inferer):
    """Sliding windows over a volume of any size, forward passes as in
    :class:`~segxfer3d.inference.mirroring.MirroredForward`.

    Where windows overlap, their logits are averaged with Gaussian weights, as MONAI does.

    Args:
        patch_size: that the network was trained on, voxels along each axis.
        overlap: share of a window that the next one covers too.
        batch_size: windows in a forward pass.
        amp: compute in bf16 where autocast does.
        channels_last: bring windows to the channels-last layout.
        progress: show a bar.
        mirror_axes: along which windows are turned around too.
        window: size of the windows; None: that of a patch.
        spread: ``steps``: windows lie a step apart, the last as far back as it has to be; ``even``: evenly.
        reuse: pass a window of which every voxel is the same through the network once for each such value; but not
            where networks normalize with the statistics of a batch, of which it would not be exact.
        air: pass the first window of air of each layer of windows through the network, and, where it is sure that
            there is nothing in it, take its outputs for the others of that layer; not where ``reuse`` is not exact.

    Raises:
        InputError: an axis that is not there, or twice.
    """

    def __init__(
        self,
        patch_size: Sequence[int],
        overlap: float = 0.25,
        batch_size: int = 4,
        amp: bool = True,
        channels_last: bool = True,
        progress: bool = False,
        mirror_axes: Sequence[int] = (),
        window: Sequence[int] | None = None,
        spread: str = STEPS,
        reuse: bool = False,
        air: Air | None = None,
    ) -> None:
        super().__init__()
        self.patch_size = tuple(patch_size)
        self.overlap = overlap
        self.batch_size = batch_size
        self.progress = progress
        self.window = None if window is None else tuple(window)
        self.spread = spread
        self.reuse = reuse
        self.air = air
        self.passed_over = 0  # windows of air that were not computed, in all volumes so far
        self.forward = MirroredForward(amp, channels_last, mirror_axes)

    def grid(self, shape: Sequence[int]) -> WindowGrid:
        """The windows of a volume of this shape."""
        lay = even_grid if self.spread == EVEN else regular_grid
        return lay(shape, self.window or self.patch_size, self.overlap)

    def order(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Of the axes, the one along which rows of windows follow each other first."""
        return self.grid(shape).order

    def smaller(self, shape: Sequence[int], network: Network) -> WindowInferer | None:
        """The same with fewer windows at once, or with smaller ones: for a device whose memory is too small. None where
        there is nothing left to take away."""
        other = copy.copy(self)
        grid = self.grid(shape)
        if self.batch_size > 1 and grid.count > 1:
            other.batch_size = self.batch_size // 2
            return other
        if (size := _halved(grid.size, needs_of(network))) is None:
            return None
        other.window = size
        return other

    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        """``inputs``: (N, C, X, Y, Z); the logits (N, K, X, Y, Z)."""
        logits: Tensor | None = None
        for number, image in enumerate(plain(inputs, False)):
            for box, block in self.blocks(image, network):
                if logits is None:
                    logits = block.new_empty((len(inputs), len(block), *image.shape[1:]))
                logits[number][(slice(None), *box)] = block
        assert logits is not None
        return logits

    def blocks(
        self, image: Image, network: Network, device: torch.device | None = None
    ) -> Iterator[tuple[Box, Tensor]]:
        """The logits of a volume, box by box as they are finished; what is kept meanwhile are the layers in which
        windows overlap, see :class:`~segxfer3d.inference.open_sums.OpenSums`.

        Args:
            image: (C, X, Y, Z) float32, on any device, or what gives boxes of such.
            network: takes (N, C, *window) float32 and gives logits (N, K, *window).
            device: that the network is on; None: the image's.

        Yields:
            a box of the volume and its logits (K, *box) float32, on the device; every voxel once.
        """
        if device is None:
            device = image.device if isinstance(image, Tensor) else torch.device("cpu")
        grid = self.grid(image.shape[1:])
        weights = _importance(grid.size, device)
        sums, counts = OpenSums(grid, half_beyond=MANY if self.forward.amp else None), OpenSums(grid)
        edges = [(side.padding[0], side.length) for side in grid.sides]
        with tqdm(total=grid.count, desc="windows", unit="", disable=not self.progress, leave=False) as bar:
            for window, values in self._outputs(image, grid, network, device):
                box, block = sums.add(window, values.mul_(weights))
                _, count = counts.add(window, weights.clone())
                bar.update()
                inside = [_clipped(part, *edge) for part, edge in zip(box, edges, strict=True)]
                if all(kept.stop > kept.start for _, kept in inside):
                    block = block / count
                    yield tuple(kept for _, kept in inside), block[(slice(None), *(part for part, _ in inside))]

    def _outputs(
        self, image: Image, grid: WindowGrid, network: Network, device: torch.device
    ) -> Iterator[tuple[Window, Tensor]]:
        """Each window's logits (K, *size), in the order of visits."""
        of_batch = needs_of(network).of_batch
        reuse, air = self.reuse and not of_batch, None if of_batch else self.air
        known: dict[bytes, Tensor] = {}
        waiting: list[tuple[Window, bytes]] = []
        batch: list[Tensor] = []
        layer, empty = -1, False  # of windows of air the last, and whether the network found nothing in its first
        for window in grid.windows():
            values = _window(image, grid, window)
            key = _constant(values) if reuse else b""
            if not key and air is not None and air.fills(values):
                if window[grid.order[0]] != layer:
                    *before, (_, logits) = self._passed(
                        [*waiting, (window, b"")], [*batch, values], known, network, device
                    )
                    waiting, batch, layer, empty = [], [], window[grid.order[0]], air.is_background(logits)
                    known[_AIR] = logits.clone()
                    yield from before
                    yield window, logits
                    continue
                key = _AIR if empty else b""
                self.passed_over += empty
            new = not key or (key not in known and all(key != other for _, other in waiting))
            waiting.append((window, key))
            if new:
                batch.append(values)
            if len(batch) == self.batch_size:
                yield from self._passed(waiting, batch, known, network, device)
                waiting, batch = [], []
        yield from self._passed(waiting, batch, known, network, device)

    def _passed(
        self,
        waiting: Sequence[tuple[Window, bytes]],
        batch: Sequence[Tensor],
        known: dict[bytes, Tensor],
        network: Network,
        device: torch.device,
    ) -> Iterator[tuple[Window, Tensor]]:
        """The logits of windows that wait, of which those of a batch pass the network now."""
        passed = iter(self.forward(torch.stack(tuple(batch)).to(device), network) if batch else ())
        for window, constant in waiting:
            if not constant:
                yield window, next(passed)
                continue
            if constant not in known:
                known[constant] = next(passed).clone()
            yield window, known[constant].clone()
        for constant in [key for key in known if key != _AIR][:-_KNOWN]:
            del known[constant]


def _constant(values: Tensor) -> bytes:
    """The value of each channel where all voxels are the same; else nothing."""
    flat = values.reshape(len(values), -1) if values.is_contiguous() else values
    first = values[:, 0, 0, 0]
    corner = values[:, -1, -1, -1]
    if not torch.equal(first, corner):
        return b""
    same = bool((flat == first.view(-1, *(1,) * (flat.ndim - 1))).all())
    return first.cpu().numpy().tobytes() if same else b""


def _importance(size: Sequence[int], device: torch.device) -> Tensor:
    """Gaussian weights (1, *size) of a window's voxels."""
    weights: Tensor = compute_importance_map(tuple(size), mode="gaussian", sigma_scale=_SIGMA, device=device)
    return weights[None]


def _window(image: Image, grid: WindowGrid, window: Window) -> Tensor:
    """What a window sees: (C, *size), 0 beside the volume."""
    edges = [(side.padding[0], side.length) for side in grid.sides]
    inside = [_clipped(part, *edge)[1] for part, edge in zip(grid.box(window), edges, strict=True)]
    values: Tensor = image[(slice(None), *inside)]
    return F.pad(values, grid.padding) if any(grid.padding) else values


def _clipped(part: slice, before: int, length: int) -> tuple[slice, slice]:
    """What of a part of a padded axis lies in the axis: in the part, and in the axis."""
    start, stop = max(part.start - before, 0), min(part.stop - before, length)
    return slice(start + before - part.start, stop + before - part.start), slice(start, stop)


def _halved(size: Sequence[int], needs: Needs) -> tuple[int, ...] | None:
    """A window with half of its longest side that can be halved."""
    divisors = needs.divisors or (1,) * len(size)
    for axis in sorted(range(len(size)), key=lambda axis: -size[axis]):
        side = size[axis] // 2 // divisors[axis] * divisors[axis]
        if side >= needs.least * divisors[axis]:
            return (*size[:axis], side, *size[axis + 1 :])
    return None
