"""A training step of every network: seconds in both precisions, beside the device's matrix rate, and where they go."""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from benchmark_timing import least_seconds, matrix_product
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

import segxfer3d
from segxfer3d.networks import make_network
from segxfer3d.run.devices import has_fast_bf16

CUBE = (64, 64, 32)
IMAGES = (4, 112, 112)  # in a step, and their sides
REPEATS = 3
PROFILES = 3
ROUNDS = 4  # of both builds
SIDE = 2048  # of the matrices
ENOUGH = 0.85  # of the matrix rate; below that, the step is taken apart
NETWORKS = {"genesis_unet": 3, "plain_unet": 3, "resenc_unet": 3, "conrec_unet": 2}
# names of operations, as far as they begin alike, by what they do; convolutions apart
KINDS = {
    "norms": ("aten::native_batch_norm", "aten::batch_norm", "aten::instance_norm", "aten::_batch_norm", "_Loop"),
    "activations": ("aten::threshold", "aten::clamp_min", "aten::relu", "aten::leaky_relu", "aten::sigmoid"),
    "copies": ("aten::copy_", "aten::_to_copy", "aten::cat", "aten::empty", "aten::clone", "aten::fill_", "aten::zero"),
    "pooling_and_upsampling": ("aten::max_pool", "aten::avg_pool", "aten::upsample"),
    "optimizer": (
        "Optimizer", "aten::addc", "aten::lerp", "aten::sqrt", "aten::div", "aten::mul", "aten::add", "aten::_foreach",
    ),
}  # fmt: skip
OLD_STEP = """
import json, sys, time, torch
from segxfer3d.networks import genesis_unet
try:
    from segxfer3d.run.devices import has_fast_bf16
    amp = has_fast_bf16("cpu")
except ImportError:
    from segxfer3d.runs import has_fast_bf16
    amp = int(sys.argv[1]) >= 16 and has_fast_bf16("cpu")
torch.manual_seed(0)
network = genesis_unet(width=int(sys.argv[1])).to(memory_format=torch.channels_last_3d)
x = torch.rand(1, 1, 64, 64, 32).contiguous(memory_format=torch.channels_last_3d)
optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
times = []
for _ in range(3):
    start = time.process_time()
    optimizer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=amp):
        output = network(x)
    torch.nn.functional.mse_loss(torch.sigmoid(output.float()), x).backward()
    optimizer.step()
    times.append(time.process_time() - start)
print(json.dumps([min(times[1:]), amp]))
"""


def train_step(
    width: int, amp: bool, channels_last: bool, batch: int = 2, name: str = "genesis_unet"
) -> Callable[[], None]:
    """A bare training step of a network for reconstruction: cubes, or of a network for images pictures."""
    torch.manual_seed(0)
    dims = NETWORKS[name]
    channels, sides = (1, CUBE) if dims == 3 else (3, IMAGES[1:])
    network = make_network(name, dims=dims, in_channels=channels, out_channels=channels, width=width)
    x = torch.rand(batch, channels, *sides)
    if channels_last:
        layout = torch.channels_last_3d if dims == 3 else torch.channels_last
        network = network.to(memory_format=layout)  # type: ignore[call-overload]
        x = x.contiguous(memory_format=layout)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=amp):
            output = network(x)
        torch.autograd.backward(torch.nn.functional.mse_loss(torch.sigmoid(output.float()), x))
        optimizer.step()

    return step


def step(options: argparse.Namespace) -> dict[str, float]:
    """CPU seconds of a training step (one cube of 64x64x32; of the network for images, at twice the width, four of
    112x112), the least of three, in float32 and, where it is faster here, in bf16, in turn with matrix products; share:
    what the step's multiplications would take at their rate, over what it takes. Where the faster precision has less
    than 0.85, where its time goes: of convolutions by the channels that they give, with their own share. With --old,
    the step of genesis_unet as it is by default, here and in another build, in turn."""
    figures: dict[str, float] = {}
    if options.old:
        figures |= _beside_old(options.old, options.width)
    precisions = {"float32": False} | ({"bf16": True} if has_fast_bf16("cpu") else {})
    for name, dims in NETWORKS.items():
        width, batch = (options.width, 1) if dims == 3 else (2 * options.width, IMAGES[0])
        steps = {key: train_step(width, amp, True, batch, name) for key, amp in precisions.items()}
        with FlopCounterMode(display=False) as counted:
            steps["float32"]()
        gflop = counted.get_total_flops() / 1e9
        products = [matrix_product(torch.bfloat16 if amp else torch.float32, SIDE) for amp in precisions.values()]
        taken = least_seconds(*steps.values(), *products, repeats=REPEATS, clock=time.process_time)
        seconds = dict(zip(precisions, taken, strict=False))
        rates = {key: 2e-9 * SIDE**3 / took for key, took in zip(precisions, taken[len(precisions) :], strict=True)}
        for key in precisions:
            figures |= {f"{name}_{key}_seconds": seconds[key], f"{name}_{key}_share": gflop / seconds[key] / rates[key]}
        best = min(seconds, key=lambda key: seconds[key])
        figures |= {f"{name}_gflop": gflop, f"{name}_float32_over_best": seconds["float32"] / seconds[best]}
        if gflop / seconds[best] / rates[best] < ENOUGH:
            parts = taken_apart(steps[best], seconds[best], rates[best], inputs=1 if dims == 3 else 3)
            figures |= {f"{name}_{best}_{part}": value for part, value in parts.items()}
        figures[f"matrix_gflops_{best}_{name}"] = rates[best]
    return figures


def taken_apart(step: Callable[[], None], seconds: float, rate: float, *, inputs: int) -> dict[str, float]:
    """Percent of a step that its parts take, and the share of the matrix rate that its convolutions have.

    The profiler goes by the clock, which other programs stretch: what it finds is scaled to the step's CPU seconds.

    Args:
        step: a training step.
        seconds: that it takes.
        rate: of matrix products, GFLOP/s.
        inputs: channels of the images, whose gradient nobody asks for.
    """
    times: dict[tuple[str, str], float] = {}
    gflop: dict[str, float] = {}
    for number in range(PROFILES):
        with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as found:
            step()
        for event in found.key_averages(group_by_input_shape=True):
            part = part_of(event.key, event.input_shapes)
            key, took = (part, f"{event.key}{event.input_shapes}"), event.self_cpu_time_total / 1e6
            times[key] = min(times.get(key, took), took)
            if number == 0 and event.key == "aten::convolution_backward":
                gflop[part] = gflop.get(part, 0.0) + event.count * gflop_of(event.input_shapes, inputs)
    totals: dict[str, float] = {}
    for (part, _), took in times.items():
        totals[part] = totals.get(part, 0.0) + took
    whole = sum(totals.values())
    ordered = sorted(totals, key=lambda part: -totals[part])
    result = {f"{part}_percent": 100 * totals[part] / whole for part in ordered}
    shares = {part: gflop[part] / (totals[part] / whole * seconds) / rate for part in ordered if part in gflop}
    return result | {f"{part}_share": share for part, share in shares.items()}


def part_of(name: str, shapes: Sequence[Sequence[int]]) -> str:
    """What an operation of a step belongs to."""
    if name in ("aten::mkldnn_convolution", "aten::_convolution"):
        weight = shapes[1]
        return f"convolutions_of_{weight[1] if _is_transposed(weight) else weight[0]}"
    if name == "aten::convolution_backward":
        return f"convolutions_of_{shapes[0][1]}"
    return next((kind for kind, starts in KINDS.items() if name.startswith(starts)), "rest")


def gflop_of(shapes: Sequence[Sequence[int]], inputs: int) -> float:
    """Of a convolution, forward and backward, by the shapes of its output's gradient, its input and its weight."""
    gradient, image, weight = shapes[:3]
    places = math.prod(image[2:] if _is_transposed(weight) else gradient[2:])
    passes = 2 if image[1] == inputs else 3
    return passes * 2e-9 * gradient[0] * places * math.prod(weight)


def _is_transposed(weight: Sequence[int]) -> bool:
    """Whether a weight is of a transposed convolution: the only ones with an even side."""
    return set(weight[2:]) == {2}


def _beside_old(old: Path, width: int) -> dict[str, float]:
    """The step as it is by default, in processes of both builds in turn."""
    builds = {"default_": Path(segxfer3d.__file__).parent.parent, "old_default_": Path(old).absolute()}
    least: dict[str, float] = {}
    for name, build in [*builds.items()] * ROUNDS:
        environment = {**os.environ, "PYTHONPATH": str(build)}
        words = [sys.executable, "-W", "ignore", "-c", OLD_STEP, str(width)]
        done = subprocess.run(words, cwd=build, env=environment, capture_output=True, text=True, check=True)
        seconds, amp = json.loads(done.stdout)
        key = f"{name}seconds"
        least |= {key: min(seconds, least.get(key, seconds)), f"{name}in_bf16": float(amp)}
    return least | {"times_as_fast_as_old": least["old_default_seconds"] / least["default_seconds"]}
