"""Mirrored inference: an image is seen turned around too, and what the network says of all of them is averaged."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from segxfer3d.errors import InputError
from segxfer3d.networks.forward import NetworkForward


def check_axes(axes: Sequence[int], dims: int = 3) -> None:
    """Refuse axes that images of ``dims`` dimensions do not have.

    Raises:
        InputError: an axis that is not there, or twice.
    """
    if any(axis not in range(dims) for axis in axes) or len(set(axes)) != len(axes):
        expected = ", ".join(map(str, range(dims)))
        raise InputError(f"mirror_axes: expected some of {expected}, each once at most, got {list(axes)}")


class MirroredForward(NetworkForward):
    """Forward passes of a batch as it is and turned around along every choice of axes: 2, 4 or 8 in all.

    Their logits, turned back, are averaged, as nnU-Net does (Isensee et al., Nature Methods 18, 2021). Helps where
    training has seen mirrored images. Without axes it is :class:`~segxfer3d.networks.forward.NetworkForward`.

    Args:
        amp, channels_last: see there.
        axes: spatial axes: 0 is x (the patient's left and right) of a volume in RAS, the rows of an image.

    Raises:
        InputError: an axis that is not there, or twice.
    """

    def __init__(self, amp: bool = True, channels_last: bool = True, axes: Sequence[int] = ()) -> None:
        super().__init__(amp, channels_last)
        check_axes(axes)
        self.axes = tuple(axes)

    def __call__(self, inputs: Any, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """``inputs``: (N, C, *spatial); the logits (N, K, *spatial), of a network in evaluation mode."""
        total: Tensor = super().__call__(inputs, network, *args, **kwargs)
        if not self.axes:
            return total
        choices = [
            [2 + axis for axis in chosen]
            for count in range(1, len(self.axes) + 1)
            for chosen in itertools.combinations(self.axes, count)
        ]
        for chosen in choices:
            turned: Tensor = super().__call__(inputs.flip(chosen), network, *args, **kwargs)
            total = total + turned.flip(chosen)
        return total / (len(choices) + 1)
