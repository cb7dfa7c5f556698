"""From logits to classes: probabilities on the file's grid, which class a voxel or pixel gets, and the label map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segxfer3d.errors import InputError
from segxfer3d.losses.activation import foreground_probabilities

__all__ = [
    "MASK_THRESHOLD",
    "check_range",
    "class_index",
    "index_to_values",
    "painted_index",
    "probabilities_on_file",
    "to_label_map",
]

MASK_THRESHOLD = 0.5


def probabilities_on_file(
    logits: torch.Tensor, item: Mapping[str, Any], preprocessing: Any, activation: str = "sigmoid"
) -> torch.Tensor:
    """What a network says of a case, on the grid of the case's file.

    Args:
        logits: outputs of the network (K, or K + 1 of ``softmax``, *spatial), on any device.
        item: of the case, as ``preprocessing.read`` gave it.
        preprocessing: a :class:`~segxfer3d.data.preprocessing.protocol.Preprocessing`.
        activation: of the outputs.

    Returns:
        (K, *file grid) float32 in [0, 1], on the CPU.
    """
    restored: torch.Tensor = preprocessing.restore(foreground_probabilities(logits, activation).cpu(), item)
    return restored


def class_index(probabilities: torch.Tensor, activation: str = "sigmoid") -> torch.Tensor:
    """The class of each voxel: 0 is background, k + 1 is channel k.

    A voxel gets the channel of its highest probability where that is at least 0.5, else background; of ``softmax``,
    where that is above the background's, which is what the channels leave of 1. Equal probabilities go to the first
    channel. With one channel this is the threshold alone.

    Args:
        probabilities: (K, *spatial) in [0, 1], one channel per foreground class.
        activation: that they come from.

    Returns:
        (*spatial) uint8, on the device of the probabilities.

    Raises:
        InputError: no channel, more than 255, or values that are no probabilities (NaN included).
    """
    channels = probabilities.as_subclass(torch.Tensor)
    if channels.ndim < 2 or not 1 <= len(channels) <= 255:
        raise InputError(f"probabilities of shape {tuple(channels.shape)}: expected (K, *spatial), 1 <= K <= 255")
    check_range(channels, "probabilities")
    if activation == "softmax":
        highest = 1 - channels.sum(0)
        index = torch.zeros_like(highest, dtype=torch.uint8)
        for k, channel in enumerate(channels, 1):
            index.masked_fill_(channel > highest, k)
            highest = torch.maximum(highest, channel)
        return index
    index = (channels[0] >= MASK_THRESHOLD).to(torch.uint8)
    highest = channels[0]
    for k in range(1, len(channels)):
        index.masked_fill_((channels[k] > highest) & (channels[k] >= MASK_THRESHOLD), k + 1)
        highest = torch.maximum(highest, channels[k])
    return index


def painted_index(probabilities: torch.Tensor, order: Sequence[int]) -> torch.Tensor:
    """The class of each voxel where classes overlap: 0 is background, k + 1 is channel k.

    Each channel is written where it is at least 0.5, one after the other, so that a later one lies on top; as nnU-Net
    makes label maps of its regions.

    Args:
        probabilities: (K, *spatial) in [0, 1].
        order: numbers of the channels, from 0.

    Returns:
        (*spatial) uint8.

    Raises:
        InputError: values that are no probabilities.
    """
    channels = probabilities.as_subclass(torch.Tensor)
    check_range(channels, "probabilities")
    index = torch.zeros(channels.shape[1:], dtype=torch.uint8, device=channels.device)
    for k in order:
        index.masked_fill_(channels[k] >= MASK_THRESHOLD, k + 1)
    return index


def to_label_map(probabilities: torch.Tensor, class_values: Sequence[int]) -> NDArray[np.integer]:
    """The value of each voxel's class, see :func:`class_index`; 0 is background.

    Args:
        probabilities: (K, *spatial) in [0, 1].
        class_values: K label values, in the order of the channels.

    Returns:
        (*spatial), of the smallest integer type that holds the values (uint8 up to 255).

    Raises:
        InputError: as :func:`class_index`; or another number of values than channels.

    Example:
        >>> to_label_map(torch.tensor([[[0.4, 0.6, 0.6]], [[0.2, 0.2, 0.7]]]), [3, 7])
        array([[0, 3, 7]], dtype=uint8)
    """
    if len(class_values) != len(probabilities):
        raise InputError(f"{len(probabilities)} channels of probabilities for {len(class_values)} classes")
    return index_to_values(class_index(probabilities), class_values)


def index_to_values(index: torch.Tensor, class_values: Sequence[int]) -> NDArray[np.integer]:
    """The label values of a class index, of the smallest type that holds them; see :func:`to_label_map`."""
    values = [0, *map(int, class_values)]
    kinds = (np.uint8, np.uint16, np.uint32, np.uint64) if min(values) == 0 else (np.int8, np.int16, np.int32, np.int64)
    smallest = next(kind for kind in kinds if np.iinfo(kind).min <= min(values) and max(values) <= np.iinfo(kind).max)
    table, numbers = np.array(values, smallest), index.cpu().numpy()
    if table.dtype == numbers.dtype and values == list(range(len(values))):
        return numbers
    label_map: NDArray[np.integer] = np.empty(numbers.shape, smallest)
    for target, plane in zip(label_map, numbers, strict=True):  # NumPy makes a copy of eight bytes a voxel of an index
        target[...] = table[plane]
    return label_map


def check_range(values: torch.Tensor, what: str) -> None:
    """Refuse values outside [0, 1].

    Raises:
        InputError: the message begins with ``what``.
    """
    low, high = (float(value) for value in torch.aminmax(values.as_subclass(torch.Tensor)))
    if not (low >= 0 and high <= 1):  # NaN fails both comparisons
        raise InputError(f"{what}: values from {low:g} to {high:g}, expected all of them in [0, 1]")
