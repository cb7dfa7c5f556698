"""Compare what networks have learned: linear CKA between all pairs of models at one layer, on the same random patches
of volumes or the same images.

python scripts/compare_representations.py --checkpoints runs/a/001/model.pt runs/b/001/model.pt \\
    --dataset_dir LIDC --output_dir cka
python scripts/compare_representations.py --checkpoints runs/c/001/model.pt runs/d/001/model.pt \\
    --dataset voc --target horse --dataset_dir VOC2012 --output_dir cka

Writes cka.csv (a line for each pair), cka.json (both matrices and how they came about) and the heat map (cka.png and
cka.svg). The unbiased estimate is the one to read. The biased one beside it depends on the batch size: it is the usual
full-data value only where --batch_size is at least the number of patches.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segxfer3d.data.check import check
from segxfer3d.data.layouts import find_cases
from segxfer3d.data.layouts.images import find_images
from segxfer3d.data.preprocessing.images import ImagePreprocessing
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError
from segxfer3d.interpret.cka import SMALLEST_BATCH, CKAResult, compare
from segxfer3d.interpret.features import DEFAULT_LAYER, find_layer
from segxfer3d.interpret.patches import choose_cases, volume_patches
from segxfer3d.networks import SegmentationNetwork, build
from segxfer3d.networks.blocks import Encoder
from segxfer3d.pretexts.base import unit_images
from segxfer3d.weights import checkpoint
from segxfer3d.weights import initialize as transfer


def main(arguments: Sequence[str] | None = None) -> int:
    """Run with these arguments (by default the command line's); returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--checkpoints", nargs="+", required=True, metavar="MODEL", help="model.pt of two or more runs")
    parser.add_argument("--names", nargs="+", help="one for each checkpoint (default: what tells their folders apart)")
    parser.add_argument("--dataset_dir", required=True, help="volumes or images, in any layout that the bundles read")
    parser.add_argument("--dataset", default="folder", help="which data set of images it is, for models of images")
    parser.add_argument("--target", default="", help="of a data set of images")
    parser.add_argument("--output_dir", required=True)
    parser.add_argument("--layer", default=DEFAULT_LAYER, help="name of the layer (default: the encoder's output)")
    parser.add_argument("--patches", type=int, default=256, help="number of patches, or of images at most")
    parser.add_argument(
        "--patch_size", nargs=3, type=int, metavar=("X", "Y", "Z"), help="voxels (default: what the models trained on)"
    )
    parser.add_argument("--batch_size", type=int, default=64, help="patches of which features are held at a time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--skip_bad_cases", choices=("True", "False"), default="False", help="go on without volumes that cannot be read"
    )
    options = parser.parse_args(arguments)
    try:
        _compare(options)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _compare(options: argparse.Namespace) -> None:
    from segxfer3d.report.figures.plots import (
        cka_heat_map,  # without matplotlib there is a better message than a traceback
    )
    from segxfer3d.report.figures.style import save

    output, device = Path(options.output_dir), _device(options.device)
    _check_numbers(options)
    models = _read(options.checkpoints, options.names)
    networks = {name: _network(name, model, options) for name, model in models.items()}
    preprocessing = _preprocessing(models)
    if "image_size" in preprocessing:
        if options.patch_size:
            raise InputError("--patch_size: models of images see whole images; expected none")
        patches, cases = _images(options, **preprocessing)
    else:
        volumes = VolumePreprocessing.from_dict(preprocessing)
        patches, cases = _patches(options, volumes, _patch_size(options, models, networks))
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--output_dir {output}: cannot be written ({error})") from error
    result = compare(networks, _even_batches(patches, options.batch_size), options.layer, device)
    content = {
        "names": list(result.names),
        "checkpoints": [str(path) for path in options.checkpoints],
        "layer": options.layer,
        "dataset": Path(options.dataset_dir).name,
        "cases": cases,
        "patches": result.samples,
        "patch_size": list(patches.shape[2:]),
        "batches": result.batches,
        "seed": options.seed,
        "cka": _plain(result.unbiased),
        "estimate": "unbiased (HSIC_1), mean over batches",
        "cka_biased": _plain(result.biased),
        "biased_estimate": result.biased_estimate,
    }
    _write(output, result, content)
    what = f"{result.samples} images" if patches.ndim == 4 else f"{result.samples} patches of {len(cases)} volumes"
    title = f"linear CKA of {options.layer}, unbiased\n{what}"
    figure = cka_heat_map(result.names, result.unbiased, title)
    for suffix in (".png", ".svg"):
        save(figure, output / f"cka{suffix}")
    print(_table(result))
    print(f"biased estimate in cka.csv: {result.biased_estimate}\nwritten: {output}/cka.csv, .json, .png, .svg")


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"--device: expected cpu, cuda or cuda:<n>, got {name!r}") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"--device: {name} asked for, but torch sees no GPU; --device cpu")
    return device


def _check_numbers(options: argparse.Namespace) -> None:
    for name in ("patches", "batch_size"):
        if getattr(options, name) < SMALLEST_BATCH:
            raise InputError(f"--{name} {getattr(options, name)}: expected at least {SMALLEST_BATCH}")
    if options.seed < 0:
        raise InputError(f"--seed {options.seed}: expected at least 0")
    if len(options.checkpoints) < 2:
        raise InputError("--checkpoints: expected two or more to compare")


def _read(paths: Sequence[str], names: Sequence[str] | None) -> dict[str, dict[str, Any]]:
    """Name to content of the model files."""
    names = names or short_names(paths)
    if len(names) != len(paths) or len(set(names)) < len(names):
        raise InputError(f"--names: expected {len(paths)} different names, one for each checkpoint, got {list(names)}")
    return {name: {**checkpoint.read_model(path), "path": path} for name, path in zip(names, paths, strict=True)}


def short_names(paths: Sequence[str]) -> list[str]:
    """What tells the checkpoints' paths apart: the fewest last folders, less those that all share at the end.

    Raises:
        InputError: a path is given twice.
    """
    full = [Path(path).absolute() for path in paths]
    if len(set(full)) < len(full):
        raise InputError("--checkpoints: one of them is given twice; tell them apart by --names")
    parts = [path.with_suffix("").parts for path in full]
    while len(parts) > 1 and len({part[-1] for part in parts}) == 1 and min(map(len, parts)) > 1:
        parts = [part[:-1] for part in parts]
    longest = max(map(len, parts))
    choices = (["/".join(part[-depth:]) for part in parts] for depth in range(1, longest + 1))
    return next((names for names in choices if len(set(names)) == len(names)), list(paths))


def _network(name: str, model: dict[str, Any], options: argparse.Namespace) -> SegmentationNetwork:
    network = build(model["network"])
    transfer.load_all(network, model["state_dict"], str(model["path"]))
    try:
        find_layer(network, options.layer)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    return network


def _preprocessing(models: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The one that all models share; features of differently prepared images would not compare."""
    (first, model), *others = models.items()
    for name, other in others:
        if other["preprocessing"] != model["preprocessing"]:
            different = [k for k, v in model["preprocessing"].items() if other["preprocessing"].get(k) != v]
            raise InputError(
                f"{first} and {name}: trained with different preprocessing ({', '.join(different)}); "
                "expected models that see the same images"
            )
    preprocessing: dict[str, Any] = model["preprocessing"]
    return preprocessing


def _patch_size(
    options: argparse.Namespace, models: dict[str, dict[str, Any]], networks: dict[str, SegmentationNetwork]
) -> tuple[int, int, int]:
    given = {name: tuple(model["provenance"].get("patch_size", ())) for name, model in models.items()}
    if options.patch_size:
        size = tuple(options.patch_size)
    elif len(set(given.values())) == 1 and len(next(iter(given.values()))) == 3:
        size = next(iter(given.values()))
    else:
        raise InputError(f"--patch_size: needed, the models trained on different ones ({given})")
    for name, network in networks.items():
        step = 2 ** (len(network.encoder.stages) - 1) if isinstance(network.encoder, Encoder) else 1
        if any(side < 1 or side % step for side in size):
            raise InputError(f"--patch_size {size}: expected multiples of {step}, as the network of {name} needs")
    return size[0], size[1], size[2]


def _patches(
    options: argparse.Namespace, preprocessing: VolumePreprocessing, size: tuple[int, int, int]
) -> tuple[Tensor, list[str]]:
    """The images that all networks see, and the names of the cases that they come from."""
    found = find_cases(options.dataset_dir)
    cases = [replace(case, label=None) for case in found.cases]
    chosen = choose_cases(cases, options.patches, options.seed)
    good = check(found, chosen, skip_bad=options.skip_bad_cases == "True").good
    return volume_patches(good, preprocessing, size, options.patches, options.seed), [case.name for case in good]


def _images(options: argparse.Namespace, image_size: int, channels: int) -> tuple[Tensor, list[str]]:
    """The same for networks of images: at most as many images as there are patches, in random order."""
    skip, seed = options.skip_bad_cases == "True", options.seed
    found = find_images(options.dataset, options.dataset_dir, options.target, "images", seed=seed, skip_bad=skip)
    if found.channels != channels:
        raise InputError(f"--dataset_dir: images of {found.channels} channels, the models take {channels}")
    order = torch.randperm(len(found.cases), generator=torch.Generator().manual_seed(seed))
    chosen = replace(found, cases=tuple(found.cases[i] for i in order[: options.patches]))
    good = check(chosen, skip_bad=skip).good
    if len(good) < SMALLEST_BATCH:
        raise InputError(f"--dataset_dir: {len(good)} images, expected at least {SMALLEST_BATCH}")
    dataset = ImagePreprocessing(image_size, channels).hold(good, found, labels=False, progress=True)
    return torch.stack([unit_images(item) for item in dataset]), [case.name for case in good]


def _even_batches(patches: Tensor, batch_size: int) -> tuple[Tensor, ...]:
    """Batches that differ by one patch at most, so that no last one is small; fewer and larger where CKA needs it."""
    count = -(-len(patches) // batch_size)
    while count > 1 and len(patches) // count < SMALLEST_BATCH:
        count -= 1
    return patches.tensor_split(count)


def _plain(matrix: Any) -> list[list[float | None]]:
    """For JSON, which has no NaN."""
    return [[None if value != value else value for value in row] for row in matrix.tolist()]


def _write(output: Path, result: CKAResult, content: dict[str, Any]) -> None:
    try:
        (output / "cka.json").write_text(json.dumps(content, indent=1) + "\n")
        with (output / "cka.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["first", "second", "cka", "cka_biased"])
            for i, j in itertools.combinations_with_replacement(range(len(result.names)), 2):
                rows.writerow([result.names[i], result.names[j], result.unbiased[i, j], result.biased[i, j]])
    except OSError as error:
        raise InputError(f"--output_dir {output}: cannot be written ({error})") from error


def _table(result: CKAResult) -> str:
    width = max(8, *(len(name) + 2 for name in result.names))
    lines = ["".join(f"{name:>{width}}" for name in ("", *result.names))]
    for name, row in zip(result.names, result.unbiased, strict=True):
        lines.append(f"{name:>{width}}" + "".join(f"{value:>{width}.3f}" for value in row))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
