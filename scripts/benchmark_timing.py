"""What every part of the benchmark measures with."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch


def median_seconds(
    *works: Callable[[], Any], repeats: int = 5, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Median seconds of each, taken in turn after one warm-up, by a clock: the wall's, or ``time.process_time``."""
    for work in works:
        work()
    times: list[list[float]] = [[] for _ in works]
    for _ in range(repeats):
        for work, taken in zip(works, times, strict=True):
            start = clock()
            work()
            taken.append(clock() - start)
    return [statistics.median(taken) for taken in times]


def matrix_rate(dtype: torch.dtype, size: int = 4096) -> float:
    """GFLOP/s of a square matrix product on all cores."""
    a, b = torch.rand(size, size).to(dtype), torch.rand(size, size).to(dtype)
    (seconds,) = median_seconds(lambda: a @ b, repeats=5)
    return 2 * size**3 / seconds / 1e9
