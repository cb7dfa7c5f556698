"""Which precision a device computes faster in: measured, because names of instructions do not tell.

Of processors with AVX-512's bf16 instructions and no matrix units, one took half the time of float32 for a training
step in bf16, another 1.5 times as long; a processor without them emulates bf16, many times slower.
"""

from __future__ import annotations

import time
from functools import lru_cache

import torch
from torch import Tensor

FASTER = 1.2  # times, from which bf16 is worth its rounding
_CHANNELS, _SIDE = 16, 16  # of what is convolved: a layer in the middle of a small network
_REPEATS = 5
_HOPELESS = 3.0  # times slower at the first try: that is emulation, whose repeats would take long


@lru_cache
def bf16_speedup(device: str) -> float:
    """How many times faster a convolution, forward and backward, is under bf16 autocast than in float32.

    The shortest of a few interleaved tries of each, so that other programs on the device hardly matter; about 30 ms on
    a core, once in a process. Global random numbers are left as they are.

    Args:
        device: its name, such as ``cpu`` or ``cuda:0``.

    Returns:
        float32's time as a multiple of bf16's; what bf16 is not faster at is below 1.
    """
    place = torch.device(device)
    generator = torch.Generator().manual_seed(0)
    shape, kernel = (2, _CHANNELS, _SIDE, _SIDE, _SIDE), (_CHANNELS, _CHANNELS, 3, 3, 3)
    image, weight = (
        torch.randn(size, generator=generator).to(place, memory_format=torch.channels_last_3d).requires_grad_()
        for size in (shape, kernel)
    )
    for amp in (False, True):  # what the first of each kind prepares is not counted
        _seconds(image, weight, amp=amp)
    first = [_seconds(image, weight, amp=amp) for amp in (False, True)]
    if first[1] > _HOPELESS * first[0]:
        return float(round(first[0] / first[1], 2))
    tries = [first, *([_seconds(image, weight, amp=amp) for amp in (False, True)] for _ in range(_REPEATS - 1))]
    whole, half = (min(each) for each in zip(*tries, strict=True))
    return float(round(whole / half, 2))


def _seconds(image: Tensor, weight: Tensor, *, amp: bool) -> float:
    """Of one convolution and its gradients, by the clock."""
    device = image.device.type
    _wait(device)
    start = time.perf_counter()
    with torch.autocast(device, torch.bfloat16, enabled=amp):
        convolved = torch.nn.functional.conv3d(image, weight, padding=1)
    torch.autograd.grad(convolved.sum(), (image, weight))
    _wait(device)
    return time.perf_counter() - start


def _wait(device: str) -> None:
    """For what the device still computes."""
    if device == "cuda":
        torch.cuda.synchronize()
