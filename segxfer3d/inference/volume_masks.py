"""The mask of a volume while windows pass the network: no map of logits or probabilities is held for a class."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
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
def segment(item: Item, grid: FileGrid, way: Way, *, probabilities: bool) -> tuple[Tensor, Tensor | None]:
    """The class index of each voxel of a volume's file, and its probabilities where they are asked for.

    Args:
        item: of the volume, as preprocessing read it.
        grid: of its file.
        way: how it is segmented.
        probabilities: keep them: in memory, or, where they are more than :data:`IN_MEMORY`, in a file that goes with
            them.

    Returns:
        (*file) uint8, 0 is background and k + 1 is channel k; and (K, *file) float32 or None; on the CPU.

    Raises:
        InputError: logits that are not finite, or a device whose memory is too small for any windows.
    """
    image = item["image"]
    image = image.as_subclass(Tensor) if isinstance(image, Tensor) else image
    while True:
        try:
            return _segmented(image, grid, way, probabilities)
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


def _segmented(image: Image, grid: FileGrid, way: Way, probabilities: bool) -> tuple[Tensor, Tensor | None]:
    index = torch.zeros(grid.shape, dtype=torch.uint8)
    kept = _room((len(way.classes), *grid.shape)) if probabilities else None
    said = (
        (box, foreground_probabilities(block, way.settings.activation).contiguous())
        for box, block in way.inferer.blocks(image, way.network, way.device)
    )
    for box, shares in grid.interpolated(said, way.inferer.order(image.shape[1:])):
        if grid.resampled:
            shares.clamp_(0, 1)
        grid.put(index, box, way.settings.shown(shares, way.classes))
        if kept is not None:
            grid.put(kept, box, shares)
    return way.settings.largest(index, way.classes), kept


def _room(shape: Sequence[int]) -> Tensor:
    """Float32, in memory or, if that is much, in a file without a name."""
    values = math.prod(shape)
    if values * 4 <= IN_MEMORY:
        return torch.empty(tuple(shape))
    with tempfile.NamedTemporaryFile(prefix="probabilities-") as file:
        file.truncate(values * 4)
        return torch.from_file(file.name, shared=True, size=values).view(*shape)
