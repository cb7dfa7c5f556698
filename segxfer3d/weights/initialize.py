"""Transfer: which parts of a network start pretrained, and which stay frozen.

A part is a prefix of the state dict: ``encoder``, ``decoder`` (the skip convolutions with it) or ``head``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from segxfer3d.config.initializations import INITIALIZATIONS, SCENARIOS, frozen_parts, loaded_parts, needs_checkpoint
from segxfer3d.errors import InputError, some
from segxfer3d.networks import PARTS, SegmentationNetwork
from segxfer3d.networks.deep_supervision import AUXILIARY
from segxfer3d.weights.stem import fit_stem

__all__ = [
    "INITIALIZATIONS",
    "SCENARIOS",
    "TransferReport",
    "initialize",
    "load_all",
    "loaded_parts",
    "needs_checkpoint",
]


@dataclass(frozen=True)
class TransferReport:
    """What a transfer did: every tensor of the network is loaded or left, every one of the checkpoint used or not.

    ``stem`` says what was done to kernels for another number of channels, see :mod:`segxfer3d.weights.stem`.
    """

    init: str
    source: str
    loaded: list[str]
    left: list[str]
    used: list[str]
    unused: list[str]
    frozen: list[str]
    stem: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for ``transfer.json``."""
        return {name: value for name, value in asdict(self).items() if name != "stem" or value}

    def summary(self) -> str:
        """One line for the log."""
        words = []
        for part in PARTS:
            loaded = sum(name.startswith(f"{part}.") for name in self.loaded)
            total = loaded + sum(name.startswith(f"{part}.") for name in self.left)
            state = f"{loaded}/{total} tensors loaded" if loaded else "random"
            words.append(f"{part} {state}{', frozen' if part in self.frozen else ''}")
        origin = f" (from {self.source})" if self.loaded else ""
        stem = f"; {self.stem}" if self.stem else ""
        return f"init {self.init}: {'; '.join(words)}{origin}{stem}"


def initialize(
    network: SegmentationNetwork, init: str, state_dict: Mapping[str, Tensor] | None = None, source: str = ""
) -> TransferReport:
    """Load the parts that ``init`` names from ``state_dict`` into ``network``, and freeze those it freezes.

    ``whole`` loads the head only where all its shapes fit (a network with another number of classes keeps its own). The
    stem of an encoder is made to fit another number of channels where one of them is one.

    Args:
        network: changed in place; what is not loaded stays as it was drawn.
        init: one of :data:`INITIALIZATIONS`.
        state_dict: of a network with the same keys; not needed where nothing is loaded.
        source: where it comes from, for messages.

    Raises:
        InputError: an unknown ``init``, no ``state_dict`` where one is needed, or a tensor of a requested part that is
            missing, misshapen or not finite; nothing is loaded then.
    """
    parts, frozen = loaded_parts(init), frozen_parts(init)
    if parts and state_dict is None:
        raise InputError(f"init {init}: needs a checkpoint (--checkpoint runs/.../model.pt)")
    tensors, stem = fit_stem(state_dict or {}, network.state_dict() if parts else {}, network.encoder.in_channels)
    if init == "whole" and not _shapes_fit(network, "head", tensors):
        parts = ("encoder", "decoder")
    report = _load(network, init, parts, tensors, source, frozen)
    network.freeze(frozen)
    return replace(report, stem=stem)


def load_all(network: SegmentationNetwork, state_dict: Mapping[str, Tensor], source: str = "") -> TransferReport:
    """Load every part, as evaluation and inference do.

    Raises:
        InputError: a missing or misshapen tensor, or one that is not finite.
    """
    return _load(network, "whole", PARTS, dict(state_dict), source, ())


def _shapes_fit(network: SegmentationNetwork, part: str, tensors: Mapping[str, Tensor]) -> bool:
    """Whether no tensor of ``part`` is misshapen; a missing one is no question of shape, loading refuses it."""
    expected = {key: tensor for key, tensor in network.state_dict().items() if key.startswith(f"{part}.")}
    return all(tensors[key].shape == tensor.shape for key, tensor in expected.items() if key in tensors)


def _load(
    network: SegmentationNetwork,
    init: str,
    parts: tuple[str, ...],
    tensors: dict[str, Tensor],
    source: str,
    frozen: tuple[str, ...],
) -> TransferReport:
    weights = network.state_dict()
    prefixes = tuple(f"{part}." for part in parts)
    wanted = [key for key in weights if key.startswith(prefixes)] if prefixes else []
    # heads of coarser levels are for training alone: one that trained without them lacks nothing
    wanted = [key for key in wanted if key in tensors or not key.startswith(AUXILIARY)]
    problems = [f"{key} is missing" for key in wanted if key not in tensors]
    problems += [
        f"{key} has shape {tuple(tensors[key].shape)}, the network {tuple(weights[key].shape)}"
        for key in wanted
        if key in tensors and tensors[key].shape != weights[key].shape
    ]
    if problems:
        raise InputError(
            f"checkpoint {source or 'given'} does not fit the {'+'.join(parts)} of this network "
            f"(another width or stem?): {some(problems, 3)}"
        )
    if broken := [key for key in wanted if not bool(torch.isfinite(tensors[key]).all())]:
        raise InputError(
            f"checkpoint {source or 'given'}: {some(broken, 3, ', ')}: not finite; its training had failed"
        )
    with torch.no_grad():
        for key in wanted:
            weights[key].copy_(tensors[key])
    used = set(wanted)
    return TransferReport(
        init=init,
        source=source,
        loaded=wanted,
        left=[key for key in weights if key not in used],
        used=wanted,
        unused=[key for key in tensors if key not in used],
        frozen=list(frozen),
    )
