"""The mask of a case from its probabilities, piece by piece: no map of logits or probabilities is held for a class.

A piece is what a volume's windows have finished, or, of what has to be brought back to its file's grid as a whole, all
of a case. Who needs more than the mask watches the pieces.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from segxfer3d.data.preprocessing.file_grid import FileGrid
from segxfer3d.data.preprocessing.protocol import Item
from segxfer3d.errors import InputError
from segxfer3d.inference.image import Image
from segxfer3d.inference.open_sums import Box
from segxfer3d.inference.settings import InferenceSettings
from segxfer3d.losses.activation import foreground_probabilities

IN_MEMORY = 2**30  # bytes of probabilities; more lie in a file

Pieces = Iterable[tuple[Box, Tensor]]  # boxes of the file's voxels along the network's axes, and what is said there


class BlockInferer(Protocol):
    """What gives the logits of a volume box by box, see :class:`~segxfer3d.inference.windows.WindowInferer`."""

    def order(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Of the axes, the one along which boxes come last first."""
        ...

    def blocks(
        self, image: Image, network: Callable[..., Any], device: torch.device | None = None
    ) -> Iterator[tuple[Box, Tensor]]:
        """Boxes of the volume with their logits (K, *box), every voxel once."""
        ...

    def smaller(self, shape: Sequence[int], network: Callable[..., Any]) -> BlockInferer | None:
        """One that needs less memory of the device, if there is."""
        ...


class Watcher(Protocol):
    """Who looks at the probabilities of a case."""

    def begin(self, grid: FileGrid) -> None:
        """Before the first piece; once more where a device was too small and all begins anew.

        Args:
            grid: of the case's file.
        """
        ...

    def see(self, box: Box, shares: Tensor) -> None:
        """A piece, every voxel once.

        Args:
            box: as :meth:`FileGrid.put <segxfer3d.data.preprocessing.file_grid.FileGrid.put>` takes it.
            shares: (K, *box) float32 in [0, 1], on the network's device; not to be changed.
        """
        ...


class Way(NamedTuple):
    """How volumes are segmented.

    Attributes:
        inferer: applies the network.
        network: that is applied.
        device: where it is.
        settings: how its outputs become masks.
        classes: label values, in the order of the channels.
    """

    inferer: BlockInferer
    network: Callable[..., Any]
    device: torch.device
    settings: InferenceSettings
    classes: Sequence[int]


@torch.no_grad()
def segment(item: Item, grid: FileGrid, way: Way, watchers: Sequence[Watcher] = ()) -> Tensor:
    """The class index of each voxel of a volume's file.

    Args:
        item: of the volume, as preprocessing read it.
        grid: of its file.
        way: how it is segmented.
        watchers: of its probabilities.

    Returns:
        (*file) uint8, 0 is background and k + 1 is channel k; on the CPU.

    Raises:
        InputError: logits that are not finite, or a device whose memory is too small for any windows.
    """
    image = item["image"]
    image = image.as_subclass(Tensor) if isinstance(image, Tensor) else image
    while True:
        try:
            return index_of(_pieces(image, grid, way), grid, way.settings, way.classes, watchers)
        except torch.OutOfMemoryError as error:
            smaller = way.inferer.smaller(image.shape[1:], way.network)
            if smaller is None:
                raise InputError(
                    f"{item['case']}: {way.device} has too little memory for the smallest windows; expected --device "
                    "cpu, or a device with more"
                ) from error
        way = way._replace(inferer=smaller)
        if way.device.type == "cuda":
            torch.cuda.empty_cache()


def index_of(
    pieces: Pieces,
    grid: FileGrid,
    settings: InferenceSettings,
    classes: Sequence[int],
    watchers: Sequence[Watcher] = (),
) -> Tensor:
    """The class index of each voxel of a case's file by the pieces of its probabilities.

    Args:
        pieces: that make up the case.
        grid: of its file.
        settings: how probabilities become masks.
        classes: label values, in the order of the channels.
        watchers: that are shown the pieces.

    Returns:
        as :func:`segment`.

    Raises:
        InputError: what are no probabilities.
    """
    index = torch.zeros(grid.shape, dtype=torch.uint8)
    for watcher in watchers:
        watcher.begin(grid)
    for box, shares in pieces:
        grid.put(index, box, settings.shown(shares, classes))
        for watcher in watchers:
            watcher.see(box, shares)
    return settings.largest(index, classes)


def in_one_piece(probabilities: Tensor) -> tuple[Pieces, FileGrid]:
    """Probabilities (K, *spatial) of a whole case on its file's grid as :func:`index_of` takes them."""
    shape = probabilities.shape[1:]
    return [(tuple(slice(0, side) for side in shape), probabilities)], FileGrid.plain(shape)


def _pieces(image: Image, grid: FileGrid, way: Way) -> Iterator[tuple[Box, Tensor]]:
    said = (
        (box, foreground_probabilities(block, way.settings.activation).contiguous())
        for box, block in way.inferer.blocks(image, way.network, way.device)
    )
    for box, shares in grid.interpolated(said, way.inferer.order(image.shape[1:])):
        yield box, shares.clamp_(0, 1) if grid.resampled else shares


class KeptProbabilities:
    """Keeps the probabilities of a case: in memory or, where they are more than :data:`IN_MEMORY`, in a file that goes
    with them.

    Args:
        classes: how many there are.

    Attributes:
        values: (K, *file) float32, on the CPU.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.values = torch.empty(0)

    def begin(self, grid: FileGrid) -> None:
        """Make room."""
        self._grid = grid
        self.values = _room((self.classes, *grid.shape))

    def see(self, box: Box, shares: Tensor) -> None:
        """Keep a piece."""
        self._grid.put(self.values, box, shares)


def _room(shape: Sequence[int]) -> Tensor:
    """Float32, in memory or, if that is much, in a file without a name."""
    values = math.prod(shape)
    if values * 4 <= IN_MEMORY:
        return torch.empty(tuple(shape))
    with tempfile.NamedTemporaryFile(prefix="probabilities-") as file:
        file.truncate(values * 4)
        return torch.from_file(file.name, shared=True, size=values).view(*shape)
