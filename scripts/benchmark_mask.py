"""A whole CT to a written mask: ours, an earlier build, and nnU-Net's predictor with the same network."""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, Protocol

import nibabel
import numpy as np
import torch
from benchmark_mask_data import fine_phantom, write, write_training

import segxfer3d
from segxfer3d.errors import InputError
from segxfer3d.networks import build
from segxfer3d.run.precision import FASTER, bf16_speedup
from segxfer3d.weights import checkpoint

OURS = Path(segxfer3d.__file__).parent.parent
PATIENTS = 5  # that train
CT = 11  # seed of a phantom of three nodules, which did not train
PART = 75  # planes of the part
CLASSES = 60
STEPS = 20  # of two cubes in an epoch
_TRAINED = {
    "init": "random", "pretrain_config": "", "batch_size": 2, "steps_per_epoch": STEPS, "validation_fraction": 0.0,
    "test_fraction": 0.0,
}  # fmt: skip
_OURS = {"recipe": "paper", "network": "genesis_unet", "patch_size": [64, 64, 32]}


class Used(NamedTuple):
    """What a process used: CPU and wall seconds, and its peak memory in GiB."""

    cpu: float
    wall: float
    peak: float


class Way(Protocol):
    """Segments an image into a folder."""

    def __call__(self, image: Path, folder: Path, /, *, threads: int = 1) -> Used: ...


def mask(options: argparse.Namespace) -> dict[str, float]:
    """A phantom CT of --shape with lungs and nodules, from its file to a written mask by `infer`, with a Models Genesis
    network of --width that trained for --epochs of 20 steps on other phantoms: CPU and wall seconds on one thread and
    peak memory of the process, start included; in bf16 where this processor is at least 1.2 times as fast in it, by
    torch and, where that is installed, by OpenVINO; with --old, the same of another build, its mask's dice with ours,
    and how many times as fast ours is, on a part of 75 planes (in turn, twice each) and on the whole CT (once each,
    with --whole); with --nnunet, a Python that has nnU-Net, the same windows by its predictor, in float32. Memory is
    that of one class, and, with --whole, of 60."""
    folder = (options.scratch or Path(tempfile.gettempdir()) / "segxfer3d-mask").resolve()
    model, ct, part = _prepared(folder, options)
    speedup = bf16_speedup("cpu")
    amp = speedup >= FASTER
    ways: dict[str, Way] = {"ours": partial(infer, OURS, model, amp=amp)}
    if find_spec("openvino"):
        ways["ours_openvino"] = partial(infer, OURS, model, amp=amp, engine="openvino")
    if options.old:
        ways["old"] = partial(infer, options.old.resolve(), model)
    figures = _compared("part", ways, part, folder, 2 if options.old else 1)
    if options.nnunet:
        rival = run([str(options.nnunet), str(Path(__file__).parent / "rival_predictor.py"), model, part,
                     folder / "rival" / "part_mask.nii.gz"])  # fmt: skip
        figures |= _figures("part nnunet", rival)
        figures["part_nnunet_times_faster"] = rival.cpu / figures["part_ours_cpu_seconds"]
        figures["part_nnunet_dice"] = dice(folder / "ours" / "part_mask.nii.gz", folder / "rival" / "part_mask.nii.gz")
    if options.whole:
        figures |= _compared("whole", ways, ct, folder, 1)
        many = _of_many(model, folder / "many.pt")
        figures |= _figures(f"whole ours {CLASSES} classes", infer(OURS, many, ct, folder / "many", amp=amp))
    figures |= _on_two_threads(ways, part, folder)
    return figures | {"bf16_speedup": speedup, "width": options.width}


def _on_two_threads(ways: Mapping[str, Way], image: Path, folder: Path) -> dict[str, float]:
    """Wall seconds of the part on two threads, once each."""
    taken = {way: work(image, folder / "two", threads=2).wall for way, work in ways.items()}
    return {f"part_{way}_two_threads_wall_seconds": seconds for way, seconds in taken.items()}


def _compared(name: str, ways: Mapping[str, Way], image: Path, folder: Path, repeats: int) -> dict[str, float]:
    """Each way in turn, so many times: medians."""
    taken: dict[str, list[Used]] = {way: [] for way in ways}
    for _ in range(repeats):
        for way, work in ways.items():
            taken[way].append(work(image, folder / way))
    figures: dict[str, float] = {}
    medians = {way: Used(*map(statistics.median, zip(*used, strict=True))) for way, used in taken.items()}
    for way, used in medians.items():
        figures |= _figures(f"{name} {way}", used)
    for way in [way for way in medians if way != "old"] if "old" in medians else []:
        figures[f"{name}_{way}_times_faster"] = medians["old"].cpu / medians[way].cpu
        masks = [folder / one / f"{image.name.removesuffix('.nii.gz')}_mask.nii.gz" for one in ("old", way)]
        figures[f"{name}_{way}_dice_with_old"] = dice(*masks)
    return figures


def _figures(name: str, used: Used) -> dict[str, float]:
    name = name.replace(" ", "_")
    return {
        f"{name}_cpu_seconds": used.cpu,
        f"{name}_wall_seconds": used.wall,
        f"{name}_peak_gib": used.peak,
    }


def _prepared(folder: Path, options: argparse.Namespace) -> tuple[Path, Path, Path]:
    """The trained model, the CT and its part, made once."""
    model, ct, part = folder / "run" / "model.pt", folder / "whole.nii.gz", folder / "part.nii.gz"
    if not ct.is_file():
        image, label = fine_phantom(options.shape, CT)
        middle = max(0, int(label.sum((0, 1)).argmax()) - PART // 2)
        write(part, image[:, :, middle : middle + PART])
        write(ct, image)
    if not model.is_file():
        build_ = options.old.resolve() if options.old else OURS
        values = {**_TRAINED, **({} if options.old else _OURS), "width": options.width, "max_epochs": options.epochs}
        values |= {"dataset_dir": write_training(folder / "training", PATIENTS), "output_dir": model.parent}
        run(command(build_, "genesis_finetune", values), build=build_)
    return model, ct, part


def infer(build_: Path, model: Path, image: Path, folder: Path, *, threads: int = 1, **knobs: object) -> Used:
    """Segment a volume by a build's bundle ``infer``, in a process of its own."""
    shutil.rmtree(folder, ignore_errors=True)
    values = {"input": image, "checkpoint": model, "output_dir": folder, **knobs}
    return run(command(build_, "infer", values), build=build_, threads=threads)


def command(build_: Path, bundle: str, values: Mapping[str, object]) -> list[str | Path]:
    knobs = {"device": "cpu", "progress": False, **values}
    start: list[str | Path] = [sys.executable, "-m", "monai.bundle", "run", "--config_file"]
    return [*start, build_ / "bundles" / f"{bundle}.json", *(f"--{name}={value}" for name, value in knobs.items())]


def run(command: Sequence[str | Path], *, build: Path = OURS, threads: int = 1) -> Used:
    """What a command uses.

    Raises:
        InputError: it fails; with the last of what it said.
    """
    environment = {**os.environ, "PYTHONPATH": str(build), "OMP_NUM_THREADS": str(threads)}
    started = time.perf_counter()
    with (
        tempfile.TemporaryDirectory() as empty,  # where no build lies: Python looks for modules here first
        subprocess.Popen(
            [str(part) for part in command],
            env=environment,
            cwd=empty,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise InputError(said.decode(errors="replace")[-2000:])
    return Used(usage.ru_utime + usage.ru_stime, time.perf_counter() - started, usage.ru_maxrss / 2**20)


def _of_many(model: Path, path: Path) -> Path:
    """A model with the same features and 60 random classes."""
    content = checkpoint.read_model(model)
    definition = {**content["network"], "arguments": {**content["network"]["arguments"], "out_channels": CLASSES}}
    torch.manual_seed(0)
    weights = build(definition).state_dict()
    weights |= {name: value for name, value in content["state_dict"].items() if not name.startswith("head.")}
    classes = {number: f"class {number}" for number in range(1, CLASSES + 1)}
    checkpoint.write_model(path, weights, definition, content["preprocessing"], classes, content["provenance"])
    return path


def dice(first: Path, second: Path) -> float:
    """Of two masks."""
    a, b = (np.asarray(nibabel.load(path).dataobj) > 0 for path in (first, second))
    return float(2 * (a & b).sum() / max(1, a.sum() + b.sum()))
