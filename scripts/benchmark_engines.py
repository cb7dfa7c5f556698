"""Seconds of a window by each engine that is installed, in both precisions, on one thread and on two; and how far what
it says is from torch's."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from benchmark_timing import median_seconds
from torch import Tensor

from segxfer3d.data.synthetic.phantoms import synthetic_ct
from segxfer3d.inference.engines import engines
from segxfer3d.inference.engines.network import EngineNetwork
from segxfer3d.inference.model import load_model
from segxfer3d.networks import SegmentationNetwork, genesis_unet

WINDOW = (64, 64, 32)


def engine_windows(options: argparse.Namespace) -> dict[str, float]:
    """Seconds of a window of 64x64x32 by torch (channels last) and by every engine that is installed, in float32 and in
    bfloat16 where it has that, taken in turn: of the processor on one thread, of the clock on two; seconds of
    compiling; the largest difference of its logits from torch's in float32 and the share of voxels whose class differs
    (logit above 0), on a window of a CT phantom. The network is the one of --model, or one of random weights."""
    network = _network(options)
    window = _window(network)
    with torch.no_grad():
        exact = EngineNetwork(network, None, amp=False)(window)
    figures = {"largest_logit": float(exact.abs().max()), "width": float(network.encoder.channels[0])}
    threads = torch.get_num_threads()
    for number in (1, 2):
        torch.set_num_threads(number)
        ready: dict[str, Callable[[], Any]] = {}
        for name, computed in _computed(network).items():
            with torch.no_grad():
                logits = computed(window)
            ready[name] = partial(computed, window)
            if number == 1:
                figures |= _difference(name, logits, exact)
                figures |= {f"{name}_compile_seconds": computed.compile_seconds} if computed.engine else {}
        with torch.no_grad():
            clock = time.process_time if number == 1 else time.perf_counter
            seconds = median_seconds(*ready.values(), repeats=options.repeats, clock=clock)
        figures |= {f"{name}_seconds_{number}_threads": s for name, s in zip(ready, seconds, strict=True)}
        figures |= {f"{n}_share_of_torch_{number}_threads": s / seconds[0] for n, s in zip(ready, seconds, strict=True)}
    torch.set_num_threads(threads)
    return figures


def _network(options: argparse.Namespace) -> SegmentationNetwork:
    if options.model:
        return load_model(options.model).network
    torch.manual_seed(0)
    return genesis_unet(width=options.width).to(memory_format=torch.channels_last_3d).eval()  # type: ignore[call-overload, no-any-return]


def _window(network: SegmentationNetwork) -> Tensor:
    shape = WINDOW[: network.encoder.spatial_dims]
    ct = torch.from_numpy(synthetic_ct((96, 96, 48)).astype(np.float32))
    cut = ct[: WINDOW[0], : WINDOW[1], : WINDOW[2]] if len(shape) == 3 else ct[: WINDOW[0], : WINDOW[1], 24]
    return ((cut + 1000) / 2000).clamp_(0, 1).expand(1, network.encoder.in_channels, *shape).contiguous()


def _computed(network: SegmentationNetwork) -> dict[str, EngineNetwork]:
    """Torch first."""
    known = {"torch": None, **{n: e for n, e in engines().items() if not e.absent(torch.device("cpu"))}}
    return {
        f"{name}_{precision}": EngineNetwork(network, engine, amp=precision == "bfloat16")
        for name, engine in known.items()
        for precision in ("float32", "bfloat16")
        if precision == "float32" or engine is None or engine.precision == precision
    }


def _difference(name: str, logits: Tensor, exact: Tensor) -> dict[str, float]:
    return {
        f"{name}_largest_difference": float((logits - exact).abs().max()),
        f"{name}_voxels_of_another_class": float(((logits > 0) != (exact > 0)).float().mean()),
    }
