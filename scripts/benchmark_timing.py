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


def least_seconds(
    *works: Callable[[], Any], repeats: int = 5, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """As :func:`median_seconds`, the least of each: what other programs add to CPU time is left out."""
    for work in works:
        work()
    least = [float("inf") for _ in works]
    for _ in range(repeats):
        for number, work in enumerate(works):
            start = clock()
            work()
            least[number] = min(least[number], clock() - start)
    return least


def matrix_product(dtype: torch.dtype, size: int) -> Callable[[], Any]:
    """A product of square matrices."""
    a, b = torch.rand(size, size).to(dtype), torch.rand(size, size).to(dtype)
    return lambda: a @ b


def matrix_rate(dtype: torch.dtype, size: int = 4096) -> float:
    """GFLOP/s of a square matrix product on all cores."""
    (seconds,) = median_seconds(matrix_product(dtype, size), repeats=5)
    return 2 * size**3 / seconds / 1e9
