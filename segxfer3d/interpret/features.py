"""Features of one named layer of a network."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from segxfer3d.errors import InputError

DEFAULT_LAYER = "encoder"


class _Reached(Exception):
    """Ends a forward pass at the layer that is wanted."""

    def __init__(self, output: Any) -> None:
        self.output = output


def find_layer(network: nn.Module, layer_name: str) -> nn.Module:
    """The module of this name, for example ``encoder`` or ``decoder.stages.0``.

    Raises:
        InputError: no such layer; the message lists the children, and the names that are close.
    """
    layers: dict[str, nn.Module] = dict(network.named_modules())
    if layer_name in layers and layer_name:
        return layers[layer_name]
    children = ", ".join(name for name, _ in network.named_children())
    close = difflib.get_close_matches(layer_name, layers, n=3)
    hint = f"; close to it: {', '.join(close)}" if close else ""
    raise InputError(f"layer {layer_name!r}: expected a layer of the network (its parts: {children}){hint}")


@contextmanager
def layer_features(network: nn.Module, layer_name: str = DEFAULT_LAYER) -> Iterator[Callable[[Tensor], Tensor]]:
    """Give a function from images (N, C, *spatial) to the flat output (N, p) of a layer.

    Of a layer that returns several features (an encoder of this package: one for each stage) the last one is taken.
    The forward pass ends at the layer, so nothing behind it is computed; of a layer that is used more than once it is
    the first use. The network runs without gradients, in the mode it is in (call ``eval()`` first). A network that
    normalizes with batch statistics in evaluation sees the images of one call together.

    Args:
        network: not changed; its hook is gone when the context ends.
        layer_name: as in ``network.named_modules()``.

    Raises:
        InputError: no such layer; in the call: the layer is not used, or gives no tensor of one row for each image.

    Example:
        >>> with layer_features(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU()), "0") as features:
        ...     features(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 144])
    """

    def stop(_module: nn.Module, _inputs: Any, output: Any) -> None:
        raise _Reached(output)

    @torch.no_grad()
    def features(images: Tensor) -> Tensor:
        try:
            network(images)
        except _Reached as reached:
            output = reached.output
        else:
            raise InputError(f"layer {layer_name!r}: the network does not use it in its forward pass")
        if isinstance(output, (list, tuple)) and output:
            output = output[-1]
        if not isinstance(output, Tensor) or output.ndim < 2 or len(output) != len(images):
            what = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise InputError(f"layer {layer_name!r}: expected an output (N, ...) for N = {len(images)}, got {what}")
        return output.flatten(1)

    handle = find_layer(network, layer_name).register_forward_hook(stop)
    try:
        yield features
    finally:
        handle.remove()
