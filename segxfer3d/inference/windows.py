"""Sliding windows: how a network for patches sees a volume of any size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monai.inferers import SlidingWindowInferer
from torch import Tensor, nn

from segxfer3d.inference.mirroring import MirroredForward
from segxfer3d.networks.forward import plain


class WindowInferer(SlidingWindowInferer):
    """Sliding windows over a volume of any size, forward passes as in
    :class:`~segxfer3d.inference.mirroring.MirroredForward`.

    Where windows overlap, their logits are averaged with Gaussian weights, as MONAI does.

    Args:
        patch_size: of a window, voxels along each axis.
        overlap: share of a window that the next one covers too.
        batch_size: windows in a forward pass.
        amp: compute in bf16 where autocast does.
        channels_last: bring windows to the channels-last layout.
        progress: show a bar.
        mirror_axes: along which windows are turned around too.

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
    ) -> None:
        super().__init__(tuple(patch_size), batch_size, overlap=overlap, mode="gaussian", progress=progress)
        self.forward = MirroredForward(amp, channels_last, mirror_axes)

    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        """``inputs``: (N, C, X, Y, Z); the logits (N, K, X, Y, Z)."""
        forward = self.forward

        def window(batch: Tensor) -> Tensor:
            result: Tensor = forward(batch, network)
            return result

        logits: Tensor = super().__call__(plain(inputs, False), window, *args, **kwargs)
        return logits
