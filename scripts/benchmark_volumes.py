"""Speed of cubes' corruption, a training step and inference on volumes."""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import slow_corruption
import torch
from benchmark_timing import matrix_rate, median_seconds

from segxfer3d.augment.genesis_corruption import corrupt
from segxfer3d.data.synthetic.phantoms import synthetic_ct
from segxfer3d.inference.windows import WindowInferer
from segxfer3d.networks import genesis_unet
from segxfer3d.run.devices import has_fast_bf16

CUBE = (64, 64, 32)
PUBLISHED_CUBES_PER_SECOND = 26.5
GFLOP_STEP = 732.4  # forward and backward of one cube at width 32
GFLOP_FORWARD = 244.2


def corruption(_: argparse.Namespace) -> dict[str, float]:
    """Cubes of a chest-CT phantom a second on one core: compiled, and slow and obvious."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    volume = ((synthetic_ct((256, 256, 128)).astype(np.float32) + 1000) / 2000).clip(0, 1)
    starts = np.stack([rng.integers(0, side - n, 64) for side, n in zip(volume.shape, CUBE, strict=True)], axis=1)
    cubes = np.stack([volume[tuple(slice(s, s + n) for s, n in zip(start, CUBE, strict=True))] for start in starts])
    few = cubes[:4]
    seeds = np.arange(64, dtype=np.uint64)
    fast, slow = median_seconds(
        lambda: corrupt(cubes, seeds), lambda: [slow_corruption.corrupt(cube, rng) for cube in few], repeats=7
    )
    torch.set_num_threads(threads)
    return {
        "cubes_per_second": 64 / fast,
        "slow_cubes_per_second": 4 / slow,
        "ratio_to_slow": (64 / fast) / (4 / slow),
        "ratio_to_published_on_a_quiet_machine": 64 / fast / PUBLISHED_CUBES_PER_SECOND,
    }


def train_step(width: int, amp: bool, channels_last: bool, batch: int = 2) -> Callable[[], None]:
    """A bare training step of the reconstruction network."""
    torch.manual_seed(0)
    network = genesis_unet(width=width)
    x = torch.rand(batch, 1, *CUBE)
    if channels_last:
        network = network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        x = x.contiguous(memory_format=torch.channels_last_3d)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=amp):
            output = network(x)
        torch.autograd.backward(torch.nn.functional.mse_loss(torch.sigmoid(output.float()), x))
        optimizer.step()

    return step


def step(options: argparse.Namespace) -> dict[str, float]:
    """Seconds a cube of the training step in four settings, and the share of the machine's matrix-product rate.

    Where the processor only emulates bf16 the two bf16 settings would take minutes a step: they are left out, and the
    limit is the float32 rate.
    """
    batch = 2
    names = {
        "float32": (False, False), "bf16": (True, False), "float32_channels_last": (False, True),
        "bf16_channels_last": (True, True),
    }  # fmt: skip
    # with AVX-512's instructions alone bf16 is no gain, but can be measured
    fast_bf16 = has_fast_bf16("cpu") or bool(torch.cpu.get_capabilities().get("avx512_bf16"))
    names = {name: setting for name, setting in names.items() if fast_bf16 or not setting[0]}
    seconds = median_seconds(*(train_step(options.width, *setting, batch) for setting in names.values()), repeats=3)
    gflop = GFLOP_STEP * (options.width / 32) ** 2
    rates = {"float32": matrix_rate(torch.float32), "bf16": matrix_rate(torch.bfloat16, 4096 if fast_bf16 else 512)}
    result = {f"{name}_seconds_per_cube": s / batch for name, s in zip(names, seconds, strict=True)}
    best, rate = min(seconds) / batch, max(rates.values())
    return result | {
        "best_over_float32": seconds[0] / batch / best,
        "matrix_gflops_float32": rates["float32"],
        "matrix_gflops_bf16": rates["bf16"],
        "limit_seconds_per_cube": gflop / rate,
        "share_of_matrix_rate": gflop / best / rate,
    }


def inference(options: argparse.Namespace) -> dict[str, float]:
    """Sliding windows over a synthetic CT: seconds per million voxels and peak memory of the process."""
    shape = tuple(options.shape)
    network = genesis_unet(width=options.width).to(memory_format=torch.channels_last_3d).eval()  # type: ignore[call-overload]
    volume = torch.from_numpy(synthetic_ct(shape).astype(np.float32))[None, None]
    volume = ((volume + 1000) / 2000).clamp_(0, 1)
    inferer = WindowInferer(CUBE, batch_size=2, amp=options.width >= 16 and has_fast_bf16("cpu"), progress=True)
    windows = 0

    def count(_: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        nonlocal windows
        windows += len(inputs[0])

    network.register_forward_pre_hook(count)
    start = time.perf_counter()
    with torch.no_grad():
        inferer(volume, network)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    voxels = float(np.prod(shape))
    rate = max(matrix_rate(torch.float32), matrix_rate(torch.bfloat16, 4096) if has_fast_bf16("cpu") else 0.0)
    return {
        "seconds": seconds,
        "seconds_per_million_voxels": seconds / voxels * 1e6,
        "limit_seconds": windows * GFLOP_FORWARD * (options.width / 32) ** 2 / rate,
        "peak_memory_gib": peak,
    }
