"""TorchScript: one file that torch loads without this package, in Python and C++; any size that the network takes."""

from __future__ import annotations

import itertools
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segxfer3d.errors import InputError
from segxfer3d.export.target import Target, Work
from segxfer3d.inference.engines.engine import Forward
from segxfer3d.inference.engines.graphs import contiguous, quiet

FILE = "model.ts"
METADATA = "metadata.json"  # among the extra files of a script, as MONAI has it


class Mirrored(nn.Module):
    """A network that sees each window turned around too, and gives the mean of its logits, as
    :class:`~segxfer3d.inference.mirroring.MirroredForward` does from outside.

    Args:
        network: gives logits.
        axes: spatial axes along which windows are turned.
    """

    def __init__(self, network: nn.Module, axes: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.turns = [
            [2 + axis for axis in chosen]
            for count in range(1, len(axes) + 1)
            for chosen in itertools.combinations(axes, count)
        ]

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *spatial) to logits (N, K, *spatial)."""
        total: Tensor = self.network(x)
        for turn in self.turns:
            total = total + torch.flip(self.network(torch.flip(x, turn)), turn)
        return total / (len(self.turns) + 1)


class WithBackground(nn.Module):
    """A network of classes each on its own, with a background first that has them all below 0.5 lose to it: the highest
    channel is the class of a voxel, as programs expect that know of softmax only.

    Args:
        network: gives logits of which the sigmoid is a probability.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *spatial) to logits (N, 1 + K, *spatial)."""
        logits: Tensor = self.network(x)
        # its sigmoid is two steps of float32 below 0.5, which is enough for a class
        return torch.cat([torch.full_like(logits[:, :1], -2.4e-7), logits], 1)


def scripted(work: Work, *, whole: bool = False) -> Any:
    """The network of a model as TorchScript, in evaluation mode.

    Args:
        work: that is done.
        whole: turn windows around inside, where the model's file says so, and give a background first.

    Raises:
        InputError: a network that TorchScript cannot compile.
    """
    inference = work.model.inference
    network: nn.Module = contiguous(work.model.network)
    if whole and inference.mirror_axes:
        network = Mirrored(network, inference.mirror_axes)
    if whole and inference.activation == "sigmoid":
        network = WithBackground(network)
    with quiet():
        try:
            return torch.jit.script(network.eval())
        except Exception as error:  # of many kinds
            lines = [line for line in str(error).splitlines() if line.strip()]
            raise InputError(f"{work.model.path}: TorchScript cannot compile the network ({lines[0][:200]})") from error


def save(script: Any, path: Path, extra: Mapping[str, Any]) -> None:
    """Write a script with plain values as files inside it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(script, str(path), {name: json.dumps(value, indent=1) for name, value in extra.items()})


def load(path: Path) -> Any:
    """A script from its file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]


def _write(work: Work, folder: Path) -> None:
    save(scripted(work), folder / FILE, {METADATA: work.about})


def _run(folder: Path) -> Forward:
    script = load(folder / FILE)

    def forward(batch: Tensor) -> Tensor:
        with torch.no_grad():
            logits: Tensor = script(batch)
        return logits

    return forward


TARGET = Target("torchscript", "TorchScript", _write, run=_run)
