"""Speed of views, their corruption and a pretext on images."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import slow_views
import torch
from benchmark_timing import median_seconds

from segxfer3d.augment import geometry
from segxfer3d.augment.conrec_corruption import BoxCorruption, apply_corruption
from segxfer3d.augment.views import RandomViews, apply_views
from segxfer3d.networks import conrec_unet
from segxfer3d.pretexts.reconstruction import Reconstruction
from segxfer3d.run.devices import has_fast_bf16


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
            drawn = [slow_views.view(image, side) for image in pixels]
            corrupted = [slow_views.corrupt(image) for image, _ in drawn]
            parts = [*zip(*drawn, strict=True), *zip(*corrupted, strict=True)]
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
        teacher = Reconstruction(network, RandomViews((side, side)), BoxCorruption())
        batch = {"image": torch.randint(0, 256, (images, 3, side, side), dtype=torch.uint8)}
        x = (batch["image"].float() / 255).contiguous(memory_format=torch.channels_last)
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)

        def optimize(loss_of: Callable[[], torch.Tensor], optimizer: torch.optim.Optimizer = optimizer) -> None:
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=amp):
                loss = loss_of()
            torch.autograd.backward(loss)
            optimizer.step()

        def bare(network: torch.nn.Module = network, x: torch.Tensor = x) -> torch.Tensor:
            output: torch.Tensor = network(x)
            return torch.nn.functional.mse_loss(torch.sigmoid(output.float()), x)

        def whole(teacher: Reconstruction = teacher, batch: dict[str, torch.Tensor] = batch) -> torch.Tensor:
            loss: torch.Tensor = teacher(batch)["loss"]
            return loss

        works = [lambda loss_of=loss_of, step=optimize: step(loss_of) for loss_of in (whole, bare)]
        seconds = median_seconds(*works, repeats=7 if side == 64 else 3)
        results |= {f"seconds_{side}": seconds[0] / images, f"bare_seconds_{side}": seconds[1] / images}
        results[f"overhead_percent_{side}"] = 100 * (seconds[0] / seconds[1] - 1)
    return results | {"growth_64_to_256": results["seconds_256"] / results["seconds_64"], "width": 64}
