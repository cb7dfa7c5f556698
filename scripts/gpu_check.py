"""Measure one device within minutes: training steps, a whole CT to a written mask, and peak memory.

``python scripts/gpu_check.py [--device cuda:0] [--minutes 8] [--page docs/results/gpu.md]``

Without a GPU it measures the processor, with smaller sizes, so that it is known to work; the page then says so first.
A part begins where the time that is left is likely to be enough for it; one that fails says why, and the next begins.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from torch import nn

from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.data.synthetic.phantoms import synthetic_ct
from segxfer3d.inference.model import load_model
from segxfer3d.inference.predictions import write_prediction
from segxfer3d.networks import make_network
from segxfer3d.run.devices import versions
from segxfer3d.weights import checkpoint

GIB = 2**30
Row = dict[str, Any]


@dataclass(frozen=True)
class Sizes:
    """What is measured: channels of the finest level, voxels of a patch, patches of a step, timed steps, voxels of the
    CT, and the seconds that a way of training and a whole CT are likely to take."""

    width: int
    patch: tuple[int, int, int]
    batch: int
    steps: int
    shape: tuple[int, int, int]
    step_seconds: float
    ct_seconds: float


GPU = Sizes(32, (64, 64, 32), 6, 20, (512, 512, 300), 12.0, 60.0)
CPU = Sizes(8, (32, 32, 16), 2, 3, (128, 128, 64), 10.0, 40.0)
TINY = Sizes(2, (16, 16, 16), 1, 1, (32, 32, 24), 1.0, 1.0)
NETWORKS = ("genesis_unet", "plain_unet", "resenc_unet")


@dataclass(frozen=True)
class Way:
    """How a step is computed."""

    name: str
    amp: bool = False
    channels_last: bool = False
    compile: str = ""  # mode of torch.compile


WAYS = (
    Way("float32"),
    Way("float32, channels last", channels_last=True),
    Way("bf16", amp=True),
    Way("bf16, channels last", amp=True, channels_last=True),
)
GPU_WAYS = (
    Way("bf16, channels last, torch.compile", amp=True, channels_last=True, compile="default"),
    Way("bf16, channels last, CUDA graphs", amp=True, channels_last=True, compile="reduce-overhead"),
)


class Check:
    """Rows of figures of one device, within a time.

    Args:
        device: to measure.
        sizes: of what.
        seconds: in all.
    """

    def __init__(self, device: torch.device, sizes: Sizes, seconds: float) -> None:
        self.device = device
        self.sizes = sizes
        self.end = time.monotonic() + seconds
        self.rows: list[Row] = []

    def run(self) -> list[Row]:
        """All parts for which there is time."""
        ways = (*WAYS, *(GPU_WAYS if self.device.type == "cuda" else ()))
        for amp in (False, True):
            self._part("bf16" if amp else "float32", "matrix product", 1.0, partial(self._matrix, amp))
        for amp in (False, True):
            how = "bf16" if amp else "float32"
            self._part(how, "whole CT to a mask", self.sizes.ct_seconds, partial(self._whole, amp))
        for network in NETWORKS:
            for way in ways:
                seconds = self.sizes.step_seconds * (5 if way.compile else 1)
                self._part(way.name, f"step of {network}", seconds, partial(self._steps, network, way))
        return self.rows

    def _part(self, how: str, what: str, seconds: float, work: Callable[[], Row]) -> None:
        row: Row = {"what": what, "how": how}
        if time.monotonic() + seconds > self.end:
            row["left out"] = "no time left"
        else:
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats(self.device)
            try:
                row |= work() | {"peak_gib": self._peak()}
            except (RuntimeError, ValueError) as error:  # out of memory, or what this device or build cannot do
                row["left out"] = (str(error).splitlines() or [type(error).__name__])[0][:200]
        self.rows.append(row)
        print(json.dumps(row), flush=True)

    def _peak(self) -> float:
        """GiB: of this part on a GPU, of the process so far on a processor."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / GIB
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB

    def _seconds(self, work: Callable[[], object], times: int) -> float:
        """Of one, after the first."""
        work()
        self._wait()
        start = time.perf_counter()
        for _ in range(times):
            work()
        self._wait()
        return (time.perf_counter() - start) / times

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _matrix(self, amp: bool) -> Row:
        side = 128 * self.sizes.width
        dtype = torch.bfloat16 if amp else torch.float32
        a, b = (torch.rand(side, side, device=self.device).to(dtype) for _ in range(2))
        seconds = self._seconds(lambda: a @ b, self.sizes.steps)
        return {"seconds": seconds, "gflops": 2e-9 * side**3 / seconds}

    def _steps(self, name: str, way: Way) -> Row:
        torch.manual_seed(0)
        network: nn.Module = make_network(name, dims=3, in_channels=1, out_channels=1, width=self.sizes.width)
        network = network.to(self.device)
        layout = torch.channels_last_3d if way.channels_last else torch.contiguous_format
        network = network.to(memory_format=layout)  # type: ignore[call-overload]
        image = torch.rand(self.sizes.batch, 1, *self.sizes.patch, device=self.device).contiguous(memory_format=layout)
        target = (image > 0.5).float()
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
        if way.compile:
            network.compile(mode=way.compile)

        def step() -> None:
            optimizer.zero_grad()
            with torch.autocast(self.device.type, torch.bfloat16, enabled=way.amp):
                logits = network(image)
            torch.autograd.backward(nn.functional.binary_cross_entropy_with_logits(logits.float(), target))
            optimizer.step()

        if way.compile:
            for _ in range(2):  # that of the graphs is recorded by the second
                step()
        seconds = self._seconds(step, self.sizes.steps)
        return {"seconds": seconds, "voxels_per_second": image.numel() / seconds}

    def _whole(self, amp: bool) -> Row:
        sizes = self.sizes
        with tempfile.TemporaryDirectory(prefix="segxfer3d-gpu-check-") as place:
            folder = Path(place)
            affine = np.diag([-0.7, -0.7, 1.0, 1.0])
            nibabel.save(nibabel.Nifti1Image(synthetic_ct(sizes.shape), affine), folder / "ct.nii.gz")
            torch.manual_seed(0)
            network = make_network("plain_unet", dims=3, in_channels=1, out_channels=1, width=sizes.width)
            checkpoint.write_model(
                folder / "model.pt", network.state_dict(), network.definition, VolumePreprocessing().as_dict(),
                {1: "nodule"}, {"patch_size": list(sizes.patch)},
            )  # fmt: skip
            start = time.perf_counter()
            model = load_model(folder / "model.pt", device=self.device, amp=amp, batch_size=sizes.batch)
            taken = []
            for _ in range(2):
                prediction = next(model.predict_each([folder / "ct.nii.gz"], probabilities=False))
                write_prediction(folder, prediction)
                self._wait()
                taken.append(time.perf_counter() - start)
        seconds = taken[1] - taken[0]
        return {"first_seconds": taken[0], "seconds": seconds, "voxels_per_second": np.prod(sizes.shape) / seconds}


def lines_of(rows: Sequence[Row], about: dict[str, Any], sizes: Sizes) -> Iterator[str]:
    """Of the page."""
    gpu = about["device"] != "cpu"
    yield "# Speed on one GPU" if gpu else "# Speed of gpu_check.py on a processor: these are no figures of a GPU"
    yield ""
    yield "Written by `python scripts/gpu_check.py --page PAGE`: a training step after the first (forward, backward,"
    yield "AdamW; patches that lie on the device), and a CT phantom from its file to the file of its mask, by a"
    yield "plain_unet of random weights; first: with loading the model and what a device prepares once."
    yield f"Memory: the most that {'was allocated in the part' if gpu else 'the process had so far'}."
    yield ""
    yield f"{about['name']}, torch {about['machine']['torch']}; width {sizes.width}, {sizes.batch} patches of "
    yield f"{'x'.join(map(str, sizes.patch))} a step, a CT of {'x'.join(map(str, sizes.shape))}."
    yield ""
    columns = ("seconds", "first_seconds", "voxels_per_second", "gflops", "peak_gib")
    yield f"| what | how | {' | '.join(name.replace('_', ' ') for name in columns)} |"
    yield f"| --- | --- |{' --- |' * len(columns)}"
    for row in rows:
        figures = [f"{row[name]:.4g}" if name in row else "" for name in columns]
        figures[0] = row.get("left out", figures[0])
        yield f"| {row['what']} | {row['how']} | {' | '.join(figures)} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the page asked for, with the rows beside it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda:0" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--tiny", action="store_true", help="sizes that say nothing but that it works")
    parser.add_argument("--page", type=Path)
    options = parser.parse_args(arguments)
    device = torch.device(options.device)
    sizes = TINY if options.tiny else GPU if device.type == "cuda" else CPU
    rows = Check(device, sizes, 60 * options.minutes).run()
    machine = versions()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else machine["processor"]
    about = {"device": device.type, "name": name, "machine": machine}
    if options.page:
        options.page.parent.mkdir(parents=True, exist_ok=True)
        options.page.with_suffix(".json").write_text(
            json.dumps({**about, "rows": rows}, indent=1, default=float) + "\n"
        )
        options.page.write_text("\n".join(lines_of(rows, about, sizes)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
