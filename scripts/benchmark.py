"""Measure the speed of the parts, as ratios within one run, beside the machine's arithmetic limit.

``python scripts/benchmark.py [PART ...] [--width 32] [--page docs/results/speed.md]``

Parts: corruption, views, pretext, step, engine, inference; all of them where none is named.

Every figure of a pair is taken in turn (A, B, A, B, ...) and given as the median, so that a machine whose speed drifts
changes both. The published Models Genesis generator made 26.5 cubes/s on one quiet core of a machine of this kind; a
slow, obvious version of our own stands in for it here.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
import slow_corruption
import slow_views

from segxfer3d.augment import geometry
from segxfer3d.augment.conrec_corruption import BoxCorruption, apply_corruption
from segxfer3d.augment.genesis_corruption import corrupt
from segxfer3d.augment.views import RandomViews, apply_views
from segxfer3d.data.synthetic.phantoms import synthetic_ct
from segxfer3d.inference.windows import WindowInferer
from segxfer3d.networks import conrec_unet, genesis_unet
from segxfer3d.pretexts.reconstruction import Reconstruction
from segxfer3d.run.bundle import run_bundle
from segxfer3d.run.folder import has_fast_bf16, versions

CUBE = (64, 64, 32)
PUBLISHED_CUBES_PER_SECOND = 26.5
GFLOP_STEP = 732.4  # forward and backward of one cube at width 32
GFLOP_FORWARD = 244.2


def median_seconds(*works: Callable[[], Any], repeats: int = 5) -> list[float]:
    """Median seconds of each, taken in turn after one warm-up."""
    for work in works:
        work()
    times: list[list[float]] = [[] for _ in works]
    for _ in range(repeats):
        for work, taken in zip(works, times, strict=True):
            start = time.perf_counter()
            work()
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in times]


def matrix_rate(dtype: torch.dtype, size: int = 4096) -> float:
    """GFLOP/s of a square matrix product on all cores."""
    a, b = torch.rand(size, size).to(dtype), torch.rand(size, size).to(dtype)
    (seconds,) = median_seconds(lambda: a @ b, repeats=5)
    return 2 * size**3 / seconds / 1e9


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


def views(_: argparse.Namespace) -> dict[str, float]:
    """Milliseconds of views and ConRec's corruption of 64 images on one core: the whole batch at once, and one by one
    with Pillow and NumPy; their ratio, and the growth from 64x64 to 256x256, which has 16 times the pixels."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    # As in training, where tensors of this size come and go: glibc then keeps freed memory instead of giving it back
    # to the system and fetching it again, page by page, at every call.
    torch.ones(7_500_000)
    make_views, corrupt_views = {side: RandomViews((side, side)) for side in (64, 256)}, BoxCorruption()
    results = {}
    for side, make in make_views.items():
        pixels = np.random.default_rng(0).integers(0, 256, (64, side // 8, side // 8, 3), dtype=np.uint8)
        pixels = pixels.repeat(8, 1).repeat(8, 2)
        batch = {"image": torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()}

        def whole(batch: dict[str, torch.Tensor] = batch, make: RandomViews = make) -> Any:
            view = make(batch)
            return view, corrupt_views(view.image)

        def one_by_one(pixels: np.ndarray = pixels, side: int = side) -> Any:
            made = [slow_views.view(image, side) for image in pixels]
            corrupted = [slow_views.corrupt(image) for image, _ in made]
            parts = [*zip(*made, strict=True), *zip(*corrupted, strict=True)]
            return [torch.from_numpy(np.stack(part)) for part in parts]

        seconds = median_seconds(whole, one_by_one, repeats=21 if side == 64 else 5)
        results[f"milliseconds_{side}"], results[f"slow_milliseconds_{side}"] = (1000 * s for s in seconds)
        results[f"ratio_to_slow_{side}"] = seconds[1] / seconds[0]
    results |= view_parts()
    torch.set_num_threads(threads)
    return results | {
        "growth_64_to_256": results["milliseconds_256"] / results["milliseconds_64"],
        "slow_growth_64_to_256": results["slow_milliseconds_256"] / results["slow_milliseconds_64"],
    }


def view_parts() -> dict[str, float]:
    """Where the milliseconds of the whole batch at 64x64 go, each part called again and again with its data in the
    cache; and how long it takes only to write as much as the views and their corruption do."""
    make, corrupt_views = RandomViews((64, 64)), BoxCorruption()
    image = torch.randint(0, 256, (64, 3, 64, 64), dtype=torch.uint8)
    content = geometry.whole(image)
    drawn, boxes = make.draw(content), corrupt_views.draw(64, 3, (64, 64))
    places = geometry.positions(drawn.boxes, drawn.flips, content, make.size)
    view = apply_views(image, drawn, make.size).image
    outputs = [torch.empty_like(view) for _ in range(4)]
    works: dict[str, Callable[[], Any]] = {
        "drawing": lambda: (make.draw(content), corrupt_views.draw(64, 3, (64, 64))),
        "resampling": lambda: geometry.resample(image, places, clamped=True),
        "views_without_drawing": lambda: apply_views(image, drawn, make.size),
        "corruption_without_drawing": lambda: apply_corruption(view, boxes),
        "writing_alone": lambda: [output.copy_(view) for output in outputs],
    }
    return {f"{name}_milliseconds_64": 1000 * median_seconds(work, repeats=31)[0] for name, work in works.items()}


def pretext(_: argparse.Namespace) -> dict[str, float]:
    """Seconds an image of a 2D reconstruction step, views and corruption included, and of the bare network's step, on
    16 images of 64x64 and 4 of 256x256 with the paper's width of 64; what the pretext costs over the bare step."""
    amp = has_fast_bf16("cpu")
    results: dict[str, float] = {}
    for side, images in ((64, 16), (256, 4)):
        torch.manual_seed(0)
        network = conrec_unet(out_channels=3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        made = Reconstruction(network, RandomViews((side, side)), BoxCorruption())
        batch = {"image": torch.randint(0, 256, (images, 3, side, side), dtype=torch.uint8)}
        x = (batch["image"].float() / 255).contiguous(memory_format=torch.channels_last)
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)

        def optimize(loss_of: Callable[[], torch.Tensor], optimizer: torch.optim.Optimizer = optimizer) -> None:
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=amp):
                loss = loss_of()
            loss.backward()
            optimizer.step()

        def bare(network: torch.nn.Module = network, x: torch.Tensor = x) -> torch.Tensor:
            return torch.nn.functional.mse_loss(torch.sigmoid(network(x).float()), x)

        def whole(made: Reconstruction = made, batch: dict[str, torch.Tensor] = batch) -> torch.Tensor:
            return made(batch)["loss"]

        works = [lambda loss_of=loss_of, step=optimize: step(loss_of) for loss_of in (whole, bare)]
        seconds = median_seconds(*works, repeats=7 if side == 64 else 3)
        results |= {f"seconds_{side}": seconds[0] / images, f"bare_seconds_{side}": seconds[1] / images}
        results[f"overhead_percent_{side}"] = 100 * (seconds[0] / seconds[1] - 1)
    return results | {"growth_64_to_256": results["seconds_256"] / results["seconds_64"], "width": 64}


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
        torch.nn.functional.mse_loss(torch.sigmoid(output.float()), x).backward()
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


def engine(options: argparse.Namespace) -> dict[str, float]:
    """Seconds of a step in the whole pretraining engine over a bare loop of the same steps, and the wait for data."""
    amp = options.width >= 16 and has_fast_bf16("cpu")
    steps = options.steps
    with tempfile.TemporaryDirectory() as folder:
        run_bundle(
            "bundles/genesis_pretrain.json", output_dir=f"{folder}/run/1", width=options.width, patch_size=list(CUBE),
            batch_size=2, max_epochs=3, steps_per_epoch=steps, validation_fraction=0.0, amp=amp, progress=False,
            device="cpu", keep="last", save_interval=100,
        )  # fmt: skip
        lines = [
            json.loads(line) for line in Path(f"{folder}/run/1/metrics.jsonl").read_text(encoding="utf-8").splitlines()
        ]
    bare = train_step(options.width, amp, True)
    (seconds,) = median_seconds(bare, repeats=steps)
    # the first epoch compiles and warms up
    whole = statistics.median(line["seconds"] for line in lines[1:]) / steps
    rate = max(matrix_rate(torch.float32), matrix_rate(torch.bfloat16, 4096) if amp else 0.0)
    return {
        "bare_seconds": seconds,
        "engine_seconds": whole,
        "overhead_percent": 100 * (whole / seconds - 1),
        "limit_seconds": 2 * GFLOP_STEP * (options.width / 32) ** 2 / rate,
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


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, float]]] = {
    "corruption": corruption, "views": views, "pretext": pretext, "step": step, "engine": engine,
    "inference": inference,
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the files asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--steps", type=int, default=8, help="steps of the engine's epoch")
    parser.add_argument("--shape", type=int, nargs=3, default=[512, 512, 300], help="of the synthetic CT")
    parser.add_argument("--page", type=Path, help="Markdown page to write, with a JSON file of the same name beside it")
    options = parser.parse_args(arguments)
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown part {', '.join(sorted(unknown))}; expected {', '.join(PARTS)}")
    results: dict[str, Any] = {}
    for name in options.parts:
        figures = PARTS[name](options)
        results[name] = {"width": figures.pop("width", options.width), "machine": versions(), "figures": figures}
        print(name)
        for key, value in figures.items():
            print(f"  {key:<40}{value:>12.4g}")
        if options.page:
            write_page(options.page, results)


def write_page(page: Path, results: dict[str, Any]) -> None:
    """Write the figures; parts that were measured by an earlier call stay."""
    record = page.with_suffix(".json")
    known = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    known |= results
    page.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(known, indent=1) + "\n")
    lines = ["# Speed", "", "Written by `python scripts/benchmark.py PART --width W --page docs/results/speed.md`."]
    for name, part in known.items():
        machine = part["machine"]
        lines += ["", f"## {name}", "", " ".join((PARTS[name].__doc__ or "").split()), ""]
        lines += [
            f"Width {part['width']}; {machine['processor']}, {machine['threads']} threads, torch {machine['torch']}."
        ]
        lines += ["", "| figure | value |", "| --- | --- |"]
        lines += [f"| {key.replace('_', ' ')} | {value:.4g} |" for key, value in part["figures"].items()]
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
