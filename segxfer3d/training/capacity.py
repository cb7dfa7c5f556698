"""What a device can take: the memory of a training, and the voxels that it trains on in a second."""

from __future__ import annotations

import os
import time

import torch
from torch import nn

from segxfer3d.data.planning.price import REFERENCE_BATCH, REFERENCE_FEATURES, REFERENCE_PATCH
from segxfer3d.networks import UNet

_GIB = 2**30
_CPU_SHARE = 0.3  # of the machine's memory; cases held in memory take up to 0.6 of it
_GPU_SHARE = 0.9  # of a GPU's; the rest is the driver's and what fragments
_STEPS = 5


def memory_of(device: torch.device) -> float:
    """GiB that training may take on a device: a share of the GPU's memory, or of the machine's."""
    if device.type == "cuda":
        return _GPU_SHARE * torch.cuda.get_device_properties(device).total_memory / _GIB
    return _CPU_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB


def voxels_per_second(device: torch.device, *, amp: bool = False, steps: int = _STEPS) -> float:
    """Voxels of patches that a device trains a small U-Net with in a second: the fastest of a few steps.

    The network is the reference of :mod:`segxfer3d.data.planning.price`, the data are noise, so that nothing but the
    device is measured; it takes about a second on one core. On a CPU the time is this process's own, shared by its
    threads: what else runs on the machine does not change a plan. Random states are left as they were.

    Args:
        device: to measure.
        amp: in bf16, as the training would.
        steps: how many, after the first, which warms up.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(0)
        stages = [[width, width] for width in REFERENCE_FEATURES]
        network = UNet(3, 1, 2, stages, stages[-2::-1]).to(device)
        image = torch.randn(REFERENCE_BATCH, 1, *REFERENCE_PATCH, device=device)
        optimizer = torch.optim.AdamW(network.parameters())
        times = [_seconds_of_step(network, optimizer, image, amp=amp) for _ in range(steps + 1)]
    return image.numel() / min(times[1:])


def _seconds_of_step(network: nn.Module, optimizer: torch.optim.Optimizer, image: torch.Tensor, *, amp: bool) -> float:
    begin = _clock(image.device)
    optimizer.zero_grad()
    with torch.autocast(image.device.type, torch.bfloat16, enabled=amp):
        logits = network(image)
    logits.float().logsumexp(1).mean().backward()
    optimizer.step()
    return _clock(image.device) - begin


def _clock(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.process_time() / torch.get_num_threads()
