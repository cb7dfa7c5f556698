"""A network as a graph of operations: traced by torch, and as ONNX."""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from segxfer3d.networks import SegmentationNetwork
from segxfer3d.networks.norms import BatchNorm

IMAGE, LOGITS = "image", "logits"  # what the input and the output are called


def takes_batch_statistics(network: nn.Module) -> bool:
    """Whether in evaluation too a network normalizes by statistics of the batch that it sees.

    What it says of a window then depends on the windows beside it, and an engine that takes them one by one, or a user
    of an exported file, would get something else. Instance norm has no such, for its statistics are those of a window.
    """
    return any(
        isinstance(module, nn.modules.batchnorm._BatchNorm)
        and ((isinstance(module, BatchNorm) and module.batch_statistics) or module.running_mean is None)
        for module in network.modules()
    )


def contiguous(network: SegmentationNetwork) -> SegmentationNetwork:
    """A copy in evaluation mode, on its device, whose weights lie as other programs want them."""
    copied = copy.deepcopy(network).eval().requires_grad_(False)
    return copied.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload, no-any-return]


@contextmanager
def quiet() -> Iterator[None]:
    """Without the exporters' warnings: of their successors, of sides that they keep, of norms that they take for
    trained ones."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        yield


def traced(network: SegmentationNetwork, example: Tensor) -> Any:
    """The operations that an example passes, as a module of TorchScript.

    Args:
        network: in evaluation mode.
        example: (1, C, *spatial) float32 on its device.
    """
    with quiet():
        # without its own check, which takes as long as all else: what comes of it is compared with the network
        return torch.jit.trace(contiguous(network), example.contiguous(), check_trace=False)  # type: ignore[no-untyped-call]


def onnx_bytes(network: SegmentationNetwork, example: Tensor) -> bytes:
    """A network as ONNX, whose batch and sides are free; sides have to be divisible by the network's ``divisors``.

    By torch's exporter that traces. The one that goes through ``torch.export`` took 2 to 13 s on one core for each
    network of this package where this one takes 0.4 s at most, and it refuses free sides of the ResNets (torch 2.13).

    Args:
        network: in evaluation mode.
        example: (1, C, *spatial) float32 on its device.
    """
    axes = {0: "batch", **{2 + axis: name for axis, name in zip(range(example.ndim - 2), "xyz", strict=False)}}
    written = io.BytesIO()
    with quiet():
        torch.onnx.export(
            contiguous(network),
            (example.contiguous(),),
            cast(Any, written),  # which it takes, whatever its annotation says
            dynamo=False,
            input_names=[IMAGE],
            output_names=[LOGITS],
            dynamic_axes={IMAGE: axes, LOGITS: axes},
        )
    return written.getvalue()
