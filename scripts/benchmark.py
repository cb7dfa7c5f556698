"""Measure the speed of the parts, as ratios within one run, beside the machine's arithmetic limit.

``python scripts/benchmark.py [PART ...] [--width 32] [--page docs/results/speed.md]``

Parts: corruption, augmentation, views, pretext, step, engine, engines, inference, reading, start, main, demo, images,
report, store, mask, saving, hashing, first_mask; all where none is named.

Every figure of a pair is taken in turn (A, B, A, B, ...) and given as the median, so that a machine whose speed drifts
changes both. The published Models Genesis generator made 26.5 cubes/s on one quiet core of a machine of this kind; a
slow, obvious version of our own stands in for it here.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from benchmark_augmentation import augmentation
from benchmark_demo import demo
from benchmark_engine import engine
from benchmark_engines import engine_windows
from benchmark_first_mask import first_mask
from benchmark_hashing import hashing
from benchmark_images import pretext, views
from benchmark_main import main_command
from benchmark_mask import mask
from benchmark_old_images import old_images
from benchmark_reading import reading
from benchmark_report import report
from benchmark_saving import saving
from benchmark_start import start
from benchmark_step import step
from benchmark_store import store
from benchmark_volumes import corruption, inference

from segxfer3d.run.devices import versions

PARTS: dict[str, Callable[[argparse.Namespace], dict[str, float]]] = {
    "corruption": corruption, "augmentation": augmentation, "views": views, "pretext": pretext, "step": step,
    "engine": engine, "engines": engine_windows, "inference": inference, "reading": reading, "start": start,
    "main": main_command, "demo": demo, "images": old_images, "report": report, "store": store, "mask": mask,
    "saving": saving, "hashing": hashing, "first_mask": first_mask,
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the files asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--model", type=Path, help="model.pt that engines computes; random without it")
    parser.add_argument("--repeats", type=int, default=5, help="of engines")
    parser.add_argument("--small", type=int, default=8, help="width of the networks of engine")
    parser.add_argument("--shape", type=int, nargs=3, default=[512, 512, 300], help="of the synthetic CT")
    parser.add_argument("--old", type=Path, help="folder of another build, which runs beside ours where a part says so")
    parser.add_argument("--pets", type=Path, help="folder of Oxford-IIIT Pets, which images reads and holds")
    parser.add_argument("--cases", type=int, nargs=2, default=[40, 200], help="CTs that store trains on, of")
    parser.add_argument("--volume", type=int, nargs=3, default=[270, 270, 100], help="voxels; and beside")
    parser.add_argument("--full", type=int, default=0, help="CTs of --shape; none without")
    parser.add_argument("--cubes", type=int, default=4, help="of a CT in an epoch of pretraining; published: 32")
    parser.add_argument(
        "--scratch", type=Path, help="folder for what store and saving write: 10 GB, and 0.6 GB a CT of --full"
    )
    parser.add_argument("--epochs", type=int, default=13, help="of 20 steps that the network of mask trains")
    parser.add_argument("--whole", action="store_true", help="have mask segment the whole CT too")
    parser.add_argument("--nnunet", type=Path, help="a Python with nnU-Net, which mask runs beside")
    parser.add_argument("--page", type=Path, help="Markdown page to write, with a JSON file of the same name beside it")
    parser.add_argument("--note", default="", help="for the page: how it was measured, as far as that is not plain")
    options = parser.parse_args(arguments)
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown part {', '.join(sorted(unknown))}; expected {', '.join(PARTS)}")
    results: dict[str, Any] = {}
    for name in options.parts:
        figures = PARTS[name](options)
        results[name] = {
            "width": figures.pop("width", options.width), "machine": versions(), "load": os.getloadavg()[2],
            "note": options.note, "figures": figures,
        }  # fmt: skip
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
        load = f"; load {part['load']:.1f} in the last 15 minutes" if "load" in part else ""
        processor, threads = machine["processor"], machine["threads"]
        width = f"Width {part['width']}; " if part["width"] else ""
        lines += [f"{width}{processor}, {threads} threads, torch {machine['torch']}{load}."]
        lines += ["", part["note"]] if part.get("note") else []
        lines += ["", "| figure | value |", "| --- | --- |"]
        lines += [f"| {key.replace('_', ' ')} | {value:.4g} |" for key, value in part["figures"].items()]
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
