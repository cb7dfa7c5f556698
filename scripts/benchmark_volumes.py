"""Speed of cubes' corruption and of inference on volumes."""

from __future__ import annotations

import argparse
import resource
import time
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
GFLOP_FORWARD = 244.2  # of one cube at width 32


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


def inference(options: argparse.Namespace) -> dict[str, float]:
    """Sliding windows over a synthetic CT: seconds per million voxels and peak memory of the process."""
    shape = tuple(options.shape)
    network = genesis_unet(width=options.width).to(memory_format=torch.channels_last_3d).eval()  # type: ignore[call-overload]
    volume = torch.from_numpy(synthetic_ct(shape).astype(np.float32))[None, None]
    volume = ((volume + 1000) / 2000).clamp_(0, 1)
    inferer = WindowInferer(CUBE, batch_size=2, amp=has_fast_bf16("cpu"), progress=True)
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
