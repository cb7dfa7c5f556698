"""Which precision a device computes faster in: measured, because names of instructions do not tell.

Of processors with AVX-512's bf16 instructions and no matrix units, one took half the time of float32 for a training
step in bf16, another 1.5 times as long; a processor without them emulates bf16, many times slower.

``python -m segxfer3d.run.precision [DEVICE]`` prints what is chosen for a device, as JSON: a study asks once, for all
of its trainings.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from segxfer3d.config import amp
from segxfer3d.config.groups import Run
from segxfer3d.config.options import Options

FASTER = 1.2  # times, from which bf16 is worth its rounding
_NEAR = (1.1, 1.35)  # what is so near to that is tried more often
_FIRST_TRIES, _TRIES, _MORE_TRIES = 2, 5, 20
_CHANNELS = 16  # of what is convolved, in and out: a layer in the middle of a small network
_SIDE = 16  # of it, which takes 2 to 5 ms on a core
_FIRST_SIDE = 8  # what is emulated takes 10 ms for this one, and 200 for the other
_GPU_CHANNELS, _GPU_SIDE = 32, 64  # less would time how fast kernels are started
_HOPELESS = 0.5  # times as fast at the first size: that is emulation

_known: dict[str, float] = {}


def bf16_speedup(device: str) -> float:
    """How many times faster a convolution, forward and backward, is under bf16 autocast than in float32.

    The shortest of a few interleaved tries of each. On a CPU they run on one thread and are timed by what that thread
    computes, which other programs hardly change: by the clock, two threads beside other programs came out 0.02 to 167
    times as fast. On a GPU it is the clock. Some 40 ms on a core, once in a process; random numbers and the number of
    threads are left as they were.

    Args:
        device: its name, such as ``cpu`` or ``cuda:0``.

    Returns:
        float32's time as a multiple of bf16's; what bf16 is not faster at is below 1.
    """
    if device not in _known:
        _known[device] = round(_measured(torch.device(device)), 2)
    return _known[device]


def measured(device: str) -> float | None:
    """What :func:`bf16_speedup` gave in this process; None where nobody asked."""
    return _known.get(device)


def chosen(options: Options) -> dict[str, Any]:
    """What a job computes in, and the measurement where that chose it: not a hand, nor an environment variable."""
    by_measurement = "amp" not in options.by_hand and amp.said() is None
    speedup = measured(options[Run].device) if by_measurement else None
    return {"amp": options[Run].amp, "bf16_speedup": speedup}


def can_be_asked(device: str) -> bool:
    """Whether a name is that of a device that may have bf16 of its own: not one that is not there, which whoever opens
    it refuses, nor a GPU that would emulate it."""
    try:
        kind = torch.device(device).type
    except RuntimeError:
        return False
    if kind != "cuda":
        return kind == "cpu"
    return torch.cuda.is_available() and bool(torch.cuda.is_bf16_supported(including_emulation=False))


def _measured(device: torch.device) -> float:
    if device.type == "cuda":
        return _ratio(device, _GPU_CHANNELS, _GPU_SIDE)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        first = _ratio(device, _CHANNELS, _FIRST_SIDE, _FIRST_TRIES, _FIRST_TRIES)
        return first if first < _HOPELESS else _ratio(device, _CHANNELS, _SIDE)
    finally:
        torch.set_num_threads(threads)


def _ratio(device: torch.device, channels: int, side: int, tries: int = _TRIES, most: int = _MORE_TRIES) -> float:
    """Float32's least time over bf16's, of tries in turn: up to the most where the ratio is near what decides."""
    step = _convolution(device, channels, side)
    for in_bf16 in (False, True):  # what the first of each kind prepares is not counted
        step(in_bf16)
    whole, half, ratio = float("inf"), float("inf"), 1.0
    for number in range(most):
        if number >= tries and not _NEAR[0] < ratio < _NEAR[1]:
            break
        whole, half = min(whole, step(False)), min(half, step(True))
        ratio = whole / half
    return ratio


def _convolution(device: torch.device, channels: int, side: int) -> Callable[[bool], float]:
    """(whether in bf16) -> seconds of a convolution in three dimensions and its gradients."""
    generator = torch.Generator().manual_seed(0)
    image, weight = (
        torch.randn(shape, generator=generator).to(device, memory_format=torch.channels_last_3d).requires_grad_()
        for shape in ((2, channels, side, side, side), (channels, channels, 3, 3, 3))
    )
    return lambda amp: _seconds(image, weight, amp=amp)


def _seconds(image: Tensor, weight: Tensor, *, amp: bool) -> float:
    """Of one convolution and its gradients, which a CPU computes in the thread that asks for them."""
    device = image.device
    gpu = device.type == "cuda"
    clock = time.perf_counter if gpu else time.thread_time
    if gpu:
        torch.cuda.synchronize(device)
    start = clock()
    with torch.autocast(device.type, torch.bfloat16, enabled=amp):
        convolved = torch.nn.functional.conv3d(image, weight, padding=1)
    torch.autograd.grad(convolved.sum(), (image, weight))
    if gpu:
        torch.cuda.synchronize(device)
    return clock() - start


def main() -> None:
    """Print the choice for the device that is named, or for the one that bundles take by default."""
    default = "cuda" if torch.cuda.is_available() else "cpu"
    device = sys.argv[1] if len(sys.argv) > 1 else default
    asked = can_be_asked(device)
    speedup = bf16_speedup(device) if asked else None
    there = asked or (torch.cuda.is_available() and device.startswith("cuda"))  # a GPU may have no bf16
    print(json.dumps({"there": there, "amp": speedup is not None and speedup >= FASTER, "bf16_speedup": speedup}))


if __name__ == "__main__":
    main()
