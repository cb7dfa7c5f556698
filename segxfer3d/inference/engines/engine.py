"""What a file of an engine says of it; :mod:`segxfer3d.inference.engines` finds all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from segxfer3d.errors import installed_with
from segxfer3d.networks import SegmentationNetwork

# (N, C, *spatial) float32 to logits (N, K, *spatial) float32, on one device
Forward = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Engine:
    """What computes a network in place of torch; its file ends with one of these, called ``ENGINE``.

    Attributes:
        name: of the option ``engine``.
        title: what it is, in words.
        extra: of ``pyproject.toml``, that installs it; empty for none.
        packages: that it imports.
        devices: types of device that it computes on.
        precision: with ``amp``, of what it computes: ``bfloat16``, or ``float32`` where it cannot.
        convert: makes a graph, for windows of any size, of a network and an example, (1, C, *spatial) float32 on the
            network's device. This and the next one may raise whatever the engine raises.
        compile: makes a graph ready for windows of the size of an example; with ``amp`` in ``precision``, else in
            float32, with as many threads as torch has.
        needs: what else is missing on a device, in words; empty where nothing is.
    """

    name: str
    title: str
    extra: str
    packages: tuple[str, ...]
    devices: tuple[str, ...]
    precision: str
    convert: Callable[[SegmentationNetwork, Tensor], Any]
    compile: Callable[[Any, Tensor, bool], Forward]
    needs: Callable[[torch.device], str] = lambda device: ""

    def absent(self, device: torch.device) -> str:
        """Why it cannot be used here, in words; empty where it can."""
        if missing := [package for package in self.packages if find_spec(package) is None]:
            way = installed_with(self.extra) if self.extra else f"pip install {' '.join(missing)}"
            return f"{' and '.join(missing)} not installed ({way})"
        if device.type not in self.devices:
            return f"computes on {' or '.join(self.devices)}, not on {device.type}"
        return self.needs(device)
