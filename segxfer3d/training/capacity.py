"""What a device can take: the memory of a training, and the voxels that it trains on in a second; and a plan within."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from segxfer3d import machine
from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.planning import Plan, make_plan, take_fingerprint
from segxfer3d.data.planning.price import REFERENCE_BATCH, REFERENCE_FEATURES, REFERENCE_PATCH, REFERENCE_STRIDES
from segxfer3d.data.preprocessing.loaded_volumes import KeptVolumes
from segxfer3d.networks import make_network
from segxfer3d.training.length import CLOCKS, clock_of

_GIB = 2**30
_CPU_SHARE = 0.3  # of the machine's memory; cases held in memory take up to 0.6 of it
_GPU_SHARE = 0.9  # of a GPU's; the rest is the driver's and what fragments
_STEPS = 5


@dataclass(frozen=True)
class Capacity:
    """What a training may take of a device.

    Attributes:
        memory: GiB.
        voxels_per_second: of patches, see :func:`voxels_per_second`; None where no minutes ask for it.
    """

    memory: float
    voxels_per_second: float | None = None


def plan_for(
    device: torch.device,
    cases: Sequence[Case],
    case_set: CaseSet,
    *,
    network: str,
    amp: bool,
    minutes: float | None = None,
    memory: float | None = None,
    fixed: Mapping[str, Any] | None = None,
    sources: Mapping[str, str] | None = None,
    kept: KeptVolumes | None = None,
    progress: bool = False,
) -> tuple[Plan, Capacity]:
    """Plan a training within what a device can take, whose speed is measured where minutes are given.

    Args:
        device: that would train.
        cases: whose labels train.
        case_set: whose they are.
        network: see :func:`~segxfer3d.data.planning.make_plan`, as ``amp``, ``fixed`` and
            ``sources``.
        minutes: of training; None: as long as it takes.
        memory: GiB; None: the device's.
        kept: cases that are not read again.
        progress: show a bar.

    Raises:
        InputError: as :func:`~segxfer3d.data.planning.make_plan`.
    """
    room = Capacity(
        memory_of(device) if memory is None else memory,
        None if minutes is None else voxels_per_second(device, amp=amp),
    )
    plan = make_plan(
        take_fingerprint(cases, case_set, kept=kept, progress=progress),
        memory=room.memory,
        minutes=minutes,
        voxels_per_second=room.voxels_per_second,
        network=network,
        amp=amp,
        fixed=fixed,
        sources=sources,
    )
    return plan, room


def memory_of(device: torch.device) -> float:
    """GiB that training may take on a device: a share of the GPU's memory, or of the machine's."""
    if device.type == "cuda":
        return _GPU_SHARE * torch.cuda.get_device_properties(device).total_memory / _GIB
    return _CPU_SHARE * machine.memory() / _GIB


def voxels_per_second(device: torch.device, *, amp: bool = False, steps: int = _STEPS) -> float:
    """Voxels of patches that a device trains a small U-Net with in a second: the fastest of a few steps.

    The network is the reference of :mod:`segxfer3d.data.planning.price`, the data are noise, so that nothing but the
    device is measured, in channels-last layout as bundles train by default; it takes about a second on one core. The
    clock is that of :func:`~segxfer3d.training.length.find_length`: on one thread the processor's, so that what else
    runs on the machine does not change a plan. Random states are left as they were.

    Args:
        device: to measure.
        amp: in bf16, as the training would.
        steps: how many, after the first, which warms up.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(0)
        network: nn.Module = make_network(
            "plain_unet",
            dims=3,
            in_channels=1,
            out_channels=2,
            width=REFERENCE_FEATURES[0],
            features=REFERENCE_FEATURES,
            strides=REFERENCE_STRIDES,
        ).to(device)
        network = network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        image = torch.randn(REFERENCE_BATCH, 1, *REFERENCE_PATCH, device=device)
        image = image.contiguous(memory_format=torch.channels_last_3d)
        optimizer = torch.optim.AdamW(network.parameters())
        times = [_seconds_of_step(network, optimizer, image, amp=amp) for _ in range(steps + 1)]
    return image.numel() / min(times[1:])


def _seconds_of_step(network: nn.Module, optimizer: torch.optim.Optimizer, image: torch.Tensor, *, amp: bool) -> float:
    clock = CLOCKS[clock_of(image.device)]
    _finish(image.device)
    begin = clock()
    optimizer.zero_grad()
    with torch.autocast(image.device.type, torch.bfloat16, enabled=amp):
        logits = network(image)
    logits.float().logsumexp(1).mean().backward()
    optimizer.step()
    _finish(image.device)
    return clock() - begin


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
