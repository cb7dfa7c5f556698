"""Write ``files/``, with the build that later ones have to read.

PYTHONPATH=BUILD python tests/compatibility/make_files.py BUILD/bundles --output tests/compatibility/files
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import nibabel
import torch

try:
    from . import names
    from .make_golden import machine, weights_hash, weights_of
except ImportError:  # run as a script
    import names  # type: ignore[no-redef]
    from make_golden import machine, weights_hash, weights_of  # type: ignore[no-redef]

PHANTOMS = {"patients": 6, "seed": 5}
IMAGES = {"count": 40, "seed": 5, "size": 32}
PHANTOM_DIR = "data/phantoms"
IMAGE_DIR = "data/shapes"
EVERY = {
    "max_epochs": 3, "validation_interval": 1, "amp": False, "device": "cpu", "num_workers": 0, "progress": False,
    "width": 1, "steps_per_epoch": 4,
}  # fmt: skip
VOLUMES = {**EVERY, "dataset_dir": PHANTOM_DIR, "patch_size": [32, 32, 16], "batch_size": 2}
PICTURES = {**EVERY, "dataset_dir": IMAGE_DIR, "image_size": 16, "batch_size": 8}
PRETRAINED = {
    "genesis_pretrain": ("genesis_pretrain", VOLUMES),
    "reconstruction_pretrain": ("reconstruction_pretrain", {**PICTURES, "monitor_interval": 0}),
}
# name -> bundle, options; each in two halves
STOPPED: dict[str, tuple[str, dict[str, Any]]] = {
    "stopped_genesis_finetune": (
        "genesis_finetune",
        {
            **VOLUMES, "checkpoint": "genesis_pretrain/model.pt", "init": "encoder", "label_count": 2, "overlap": 0.0,
            "lr": 0.01, "optimizer_name": "sgd", "decoder_warmup_epochs": 2,
        },
    ),
    "stopped_unet2d_finetune": (
        "unet2d_finetune",
        {
            **PICTURES, "checkpoint": "reconstruction_pretrain/model.pt", "init": "encoder", "label_count": 8,
            "test_fraction": 0.3, "validation_fraction": 0.25, "lr": 0.01,
        },
    ),
    "stopped_reconstruction_pretrain": (
        "reconstruction_pretrain",
        {
            **PICTURES, "monitor_interval": 0, "validation_fraction": 0.2, "schedule": "warmup-cosine",
            "canvas_size": 32, "interpolation": "antialiased",
        },
    ),
}  # fmt: skip
FINETUNED = {"stopped_genesis_finetune": "genesis_finetune", "stopped_unet2d_finetune": "unet2d_finetune"}
STUDY = {
    "name": "tiny",
    "description": "What does reconstruction pretraining give? Tiny, to have the files of a study.",
    "common": {
        "dataset_dir": "data/small", "pretrain_fraction": 0.2, "validation_fraction": 0.1, "test_fraction": 0.4,
        "width": 1, "patch_size": [16, 16, 16], "batch_size": 2, "amp": False, "device": "cpu",
    },
    "pretrain": {
        "genesis": {
            "config": "genesis_pretrain",
            "knobs": {"max_epochs": 1, "steps_per_epoch": 2, "validation_interval": 1, "patience": 0},
        }
    },
    "finetune": {
        "config": "genesis_finetune",
        "knobs": {"max_epochs": 3, "steps_per_epoch": 10, "validation_interval": 1, "lr": 0.1, "overlap": 0.0},
    },
    "arms": {"random": {"init": "random"}, "encoder": {"init": "encoder", "pretrain": "genesis", "scenario": "4"}},
    "budgets": [{"label_count": 2}],
    "seeds": [0, 1],
}  # fmt: skip
STORE = ("--cube_size", "16", "16", "8", "--cubes_per_volume", "2", "--crop_rule", "uniform")


class Killed(BaseException):
    """Ends a run as a kill would: nothing is tidied up."""


def write_data(folder: Path) -> None:
    """The generated data that the runs name, below ``folder``."""
    for target, written in (
        (PHANTOM_DIR, names.write_phantoms(folder / "generated", **PHANTOMS)),
        (IMAGE_DIR, names.write_images(folder / "generated", **IMAGES)),
    ):
        (folder / target).parent.mkdir(exist_ok=True)
        Path(written).rename(folder / target)
    (folder / "generated").rmdir()


def _small_volumes(source: Path, target: Path, side: int = 24) -> None:
    """Phantoms cut down around their nodules: their previews are small, too."""
    shutil.copytree(source, target)
    for label in target.glob("labelsTr/*.nii.gz"):
        image = target / "imagesTr" / label.name
        found = nibabel.load(label)
        places = found.get_fdata().nonzero()
        starts = [
            min(max(0, int(place.mean()) - side // 2), size - side)
            for place, size in zip(places, found.shape, strict=True)
        ]
        window = tuple(slice(start, start + side) for start in starts)
        for path in (image, label):
            whole = nibabel.load(path)
            nibabel.save(nibabel.Nifti1Image(whole.dataobj[window].copy(), whole.affine), path)


def _run(bundles: Path, bundle: str, folder: str, options: dict[str, Any]) -> None:
    names.run_bundle(bundles / f"{bundle}.json", output_dir=folder, **options)


def _run_until_second_state(go: Callable[[], None]) -> None:
    """Have a run die while it writes its second training state, after its line of the record."""
    save, number = torch.save, [0]

    def stop(content: Any, file: Any) -> None:
        number[0] += 1
        if number[0] == 2:
            raise Killed
        save(content, file)

    with mock.patch.object(torch, "save", stop):
        try:
            go()
        except Killed:
            return
    raise RuntimeError("the run ended before its second training state")


def cubes_hash(store: Any) -> str:
    """SHA-256 of all cubes as they are read."""
    return weights_hash({f"{i:03d}": store[i]["image"] for i in range(len(store))})


def _trainings(bundles: Path) -> dict[str, Any]:
    """Pretrained, fine-tuned and stopped runs in the current folder; gives their weights, as if none was stopped."""
    weights = {}
    for name, (bundle, options) in PRETRAINED.items():
        _run(bundles, bundle, name, options)
        weights[name] = weights_of(Path(name))
    for name, (bundle, options) in STOPPED.items():
        _run(bundles, bundle, "whole", options)
        weights[name] = weights_of(Path("whole"))
        _run_until_second_state(lambda: _run(bundles, bundle, name, options))  # noqa: B023
        for part in Path(name, "checkpoints").glob(".*"):
            part.unlink()
        if name in FINETUNED:
            shutil.move("whole", FINETUNED[name])
            weights[FINETUNED[name]] = weights[name]
        else:
            shutil.rmtree("whole")
    for name in (*PRETRAINED, *FINETUNED.values()):
        shutil.rmtree(Path(name, "checkpoints"))
        shutil.rmtree(Path(name, "tensorboard"))
        Path(name, "previews.npz").unlink(missing_ok=True)
        Path(name, "log.txt").unlink()
    return weights


def _study(bundles: Path) -> None:
    """A finished study in the current folder, without weights, and with the pictures of one seed."""
    _small_volumes(Path(PHANTOM_DIR), Path("data/small"))
    shutil.copytree(bundles, "bundles")
    Path("bundles/studies/tiny.json").write_text(json.dumps(STUDY, indent=1) + "\n", encoding="utf-8")
    with mock.patch.object(
        sys, "argv", ["segxfer3d", *names.STUDY_COMMAND, "bundles/studies/tiny.json", "-o", "study"]
    ):
        try:
            names.main()
        except SystemExit as error:
            if error.code:
                raise
    for path in [*Path("study").glob("*/*/checkpoints"), *Path("study").glob("*/*/tensorboard")]:
        shutil.rmtree(path)
    for path in [
        *Path("study").glob("*/*/model.pt"),
        *Path("study").glob("**/*.lock"),
        *Path("study").glob("*/*/log.txt"),
    ]:
        path.unlink()
    for path in Path("study").glob("finetune/*-s1/previews.npz"):
        path.unlink()
    shutil.rmtree("bundles")


def _neutral(folder: Path, bundles: Path) -> None:
    """Take this machine's paths and name out of all files."""
    for path in folder.rglob("*"):
        if path.parent.name == "tensorboard":
            path.rename(path.with_name("events.out.tfevents.1700000000.machine.1.0"))
        elif path.is_file() and path.suffix in (".json", ".txt"):
            text = path.read_text(encoding="utf-8")
            text = re.sub(r'[^"\s]*/(?=monai/bundle/__main__\.py)', "", text)
            text = text.replace(str(bundles), "bundles").replace(str(folder), "/data/example")
            path.write_text(text, encoding="utf-8")


def main() -> None:
    """Run with the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", type=Path, help="folder of the build's bundles; scripts/ lies beside it")
    parser.add_argument("--output", type=Path, required=True, help="the folder to write anew")
    options = parser.parse_args()
    bundles, output = options.bundles.resolve(), options.output.resolve()
    sys.argv = ["make_files.py"]
    logging.getLogger().setLevel(logging.INFO)
    torch.set_num_threads(1)
    print("build:", names.build())
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary).resolve()
        os.chdir(folder)
        write_data(folder)
        record = {"machine": machine(), "weights": _trainings(bundles)}
        command = [sys.executable, str(bundles.parent / "scripts" / "make_cube_store.py"), *STORE]
        _small_volumes(Path(PHANTOM_DIR), Path("data/three"))
        for path in sorted(Path("data/three").glob("*sTr/*"))[::-1]:
            if path.name[:11] not in ("phantom-001", "phantom-002", "phantom-003"):
                path.unlink()
        (Path("data/three") / "dataset.json").unlink()
        subprocess.run([*command, "--dataset_dir", "data/three", "--output_dir", "cubes"], check=True)
        record["cubes"] = cubes_hash(names.CubeStore(Path("cubes")))
        Path("record.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        _study(bundles)
        shutil.rmtree("data")
        if foreign := names.foreign_modules():
            raise SystemExit(f"two builds were mixed: {', '.join(foreign)}")
        _neutral(folder, bundles)
        shutil.rmtree(output, ignore_errors=True)
        shutil.copytree(folder, output)
        os.chdir(output)


if __name__ == "__main__":
    main()
