"""Compare what networks have learned: linear CKA between all pairs of models at one layer, on the same random patches
of volumes or the same images.

``cka.csv`` (a line for each pair) and ``cka.json`` (both matrices and how they came about) are written;
:mod:`segxfer3d.report.figures.cka` draws the second. The unbiased estimate is the one to read. The biased one beside it
depends on the batch size: it is the usual full-data value only where the batch is at least as large as the number of
patches.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segxfer3d import documents, files
from segxfer3d.config.learning import recipe_in
from segxfer3d.data import preprocessing as preprocessings
from segxfer3d.data.case import NOUNS
from segxfer3d.data.layouts import OtherKindError, Request, find_cases
from segxfer3d.data.preprocessing.images import ImagePreprocessing
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError
from segxfer3d.interpret.cka import SMALLEST_BATCH, CKAResult, compare
from segxfer3d.interpret.features import DEFAULT_LAYER, find_layer
from segxfer3d.jobs.compare_samples import SKIP_OPTION, images_of, patches_of
from segxfer3d.networks import SegmentationNetwork, build, refuse_size
from segxfer3d.run.devices import find_device
from segxfer3d.study.recipes import mixture
from segxfer3d.weights import checkpoint
from segxfer3d.weights.initialize import load_all

UNTRAINED = "untrained"
Models = Mapping[str, Mapping[str, Any]]  # name to content of a model.pt


def compare_representations(
    checkpoints: Sequence[Path | str],
    *,
    dataset_dir: Path | str,
    output_dir: Path | str,
    names: Sequence[str] = (),
    dataset: str = "",
    target: str = "",
    layer: str = DEFAULT_LAYER,
    patches: int = 256,
    patch_size: Sequence[int] = (),
    batch_size: int = 64,
    seed: int = 0,
    device: str = "cpu",
    skip_bad_cases: bool = False,
    mixed_recipes: bool = False,
    untrained: bool = False,
) -> CKAResult:
    """Linear CKA of every pair of models, written as ``cka.csv`` and ``cka.json``.

    Args:
        checkpoints: ``model.pt`` of two or more runs; the folder of a study stands for those of its pretrainings.
        dataset_dir: volumes or images, in any layout that the bundles read.
        output_dir: where the files are written.
        names: one for each checkpoint; by default what tells their folders apart.
        dataset: name of the layout; by default the one that fits.
        target: of a data set of images.
        layer: name of the layer; by default the encoder's output.
        patches: how many, or of images at most how many.
        patch_size: voxels along x, y, z; by default what the models trained on. Images are seen whole.
        batch_size: patches of which features are held at a time.
        seed: of the choice of cases and patches.
        device: where the networks run.
        skip_bad_cases: go on without cases that cannot be read.
        mixed_recipes: fine-tunings of different recipes are meant.
        untrained: compare with a network of random weights (from ``seed``) too, built as the first model's.

    Returns:
        both estimates.

    Raises:
        InputError: models that cannot be compared, data that cannot be read, or files that cannot be written.
    """
    if any(Path(path).is_dir() for path in checkpoints):
        checkpoints, found = _of_studies(checkpoints)
        names = names or found
    _check_numbers(len(checkpoints) + untrained, {"patches": patches, "batch_size": batch_size}, seed)
    where = find_device(device)
    models = _read(checkpoints, names)
    if not mixed_recipes:
        _check_recipes(models)
    networks = {name: _network(name, model, layer) for name, model in models.items()}
    if untrained:
        networks[UNTRAINED] = _untrained(models, networks, seed)
    prepare = _shared_preprocessing(models)
    request = Request(
        layout=dataset, dims=prepare.dims, task="images", target=target, seed=seed, skip_bad=skip_bad_cases,
        skip_option=SKIP_OPTION,
    )  # fmt: skip
    try:
        case_set = find_cases(dataset_dir, request)
    except OtherKindError as error:
        raise InputError(f"the checkpoints are models of {NOUNS[prepare.dims]}; {error.content}") from error
    if isinstance(prepare, ImagePreprocessing):
        if patch_size:
            raise InputError("patch_size: models of images see whole images; expected none")
        samples, cases = images_of(prepare, case_set, patches, seed, skip_bad_cases)
    else:
        size = _patch_size(patch_size, models, networks)
        samples, cases = patches_of(prepare, case_set, size, patches, seed, skip_bad_cases)
    output = Path(output_dir)
    files.make_folder(output)
    result = compare(networks, _even_batches(samples, batch_size), layer, where)
    origin = {
        "checkpoints": [str(path) for path in checkpoints],
        "layer": layer,
        "dataset": Path(dataset_dir).name,
        "cases": cases,
        "patches": result.samples,
        "patch_size": list(samples.shape[2:]),
        "batches": result.batches,
        "seed": seed,
    }
    _write(output, result, origin)
    return result


def _of_studies(paths: Sequence[Path | str]) -> tuple[list[Path], list[str]]:
    """Each folder of a study replaced by the models of its pretrainings, and the names of all.

    Raises:
        InputError: a folder that has none.
    """
    found: dict[Path, str] = {}
    for path in map(Path, paths):
        models = sorted(path.glob("pretrain/*/model.pt")) if path.is_dir() else [path]
        if not models:
            raise InputError(
                f"{path}: holds no pretraining of a study that is done; expected such a folder or a model.pt"
            )
        # the folder of a pretraining is its name and its identity
        found |= {model: model.parent.name.rpartition("-")[0] or model.parent.name for model in models}
    several = len(set(found.values())) < len(found)
    return list(found), short_names(list(found)) if several else list(found.values())


def _untrained(models: Models, networks: Mapping[str, SegmentationNetwork], seed: int) -> SegmentationNetwork:
    """A network as the first model's, before any training.

    Raises:
        InputError: a model has its name.
    """
    if UNTRAINED in networks:
        raise InputError(f"names: {UNTRAINED} is the name of the network without training, expected another")
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return build(next(iter(models.values()))["network"])


def short_names(paths: Sequence[Path | str]) -> list[str]:
    """What tells the checkpoints' paths apart: the fewest last folders, less those that all share at the end.

    Raises:
        InputError: a path is given twice.
    """
    full = [Path(path).absolute() for path in paths]
    if len(set(full)) < len(full):
        raise InputError("checkpoints: one of them is given twice; tell them apart by --names")
    parts = [path.with_suffix("").parts for path in full]
    while len(parts) > 1 and len({part[-1] for part in parts}) == 1 and min(map(len, parts)) > 1:
        parts = [part[:-1] for part in parts]
    longest = max(map(len, parts))
    choices = (["/".join(part[-depth:]) for part in parts] for depth in range(1, longest + 1))
    return next((names for names in choices if len(set(names)) == len(names)), list(map(str, paths)))


def _check_numbers(checkpoints: int, counts: Mapping[str, int], seed: int) -> None:
    for name, count in counts.items():
        if count < SMALLEST_BATCH:
            raise InputError(f"{name} {count}: expected at least {SMALLEST_BATCH}")
    if seed < 0:
        raise InputError(f"seed {seed}: expected at least 0")
    if checkpoints < 2:
        raise InputError("checkpoints: expected two or more to compare")


def _read(paths: Sequence[Path | str], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Name to content of the model files."""
    names = names or short_names(paths)
    if len(names) != len(paths) or len(set(names)) < len(names):
        raise InputError(f"names: expected {len(paths)} different ones, one for each checkpoint, got {list(names)}")
    return {name: {**checkpoint.read_model(path), "path": path} for name, path in zip(names, paths, strict=True)}


def _check_recipes(models: Models) -> None:
    """Refuse fine-tunings of different recipes; a model without ``run.json`` beside it may be of any."""
    recipes = []
    for name, model in models.items():
        try:
            knobs = documents.own(Path(model["path"]).with_name("run.json"))["knobs"]
        except InputError:
            continue
        if "init" in knobs:
            recipes.append((name, recipe_in(knobs)))
    if several := mixture(recipes):
        raise InputError(f"fine-tunings of different recipes: {several}; expected one recipe, or --mixed-recipes")


def _network(name: str, model: Mapping[str, Any], layer: str) -> SegmentationNetwork:
    network = build(model["network"])
    load_all(network, model["state_dict"], str(model["path"]))
    try:
        find_layer(network, layer)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    return network


def _shared_preprocessing(models: Models) -> ImagePreprocessing | VolumePreprocessing:
    """The one that all models share; features of differently prepared images would not compare."""
    (first, model), *others = models.items()
    for name, other in others:
        if other["preprocessing"] != model["preprocessing"]:
            different = [k for k, v in model["preprocessing"].items() if other["preprocessing"].get(k) != v]
            raise InputError(
                f"{first} and {name}: trained with different preprocessing ({', '.join(different)}); "
                "expected models that see the same images"
            )
    return preprocessings.from_dict(model["preprocessing"])


def _patch_size(
    asked: Sequence[int], models: Models, networks: Mapping[str, SegmentationNetwork]
) -> tuple[int, int, int]:
    trained = {name: tuple(model["provenance"].get("patch_size", ())) for name, model in models.items()}
    size = tuple(asked) or next(iter(trained.values()))
    if not asked and len(set(trained.values())) > 1:
        raise InputError(f"patch_size: needed, the models trained on different ones ({trained})")
    if len(size) != 3:
        raise InputError(f"patch_size {size}: expected three numbers of voxels")
    for network in networks.values():
        refuse_size(network, size)
    return size[0], size[1], size[2]


def _even_batches(samples: Tensor, batch_size: int) -> tuple[Tensor, ...]:
    """Batches that differ by one sample at most, so that no last one is small; fewer and larger where CKA needs it."""
    count = -(-len(samples) // batch_size)
    while count > 1 and len(samples) // count < SMALLEST_BATCH:
        count -= 1
    return samples.tensor_split(count)


def _write(output: Path, result: CKAResult, origin: Mapping[str, Any]) -> None:
    content = {
        "names": list(result.names),
        **origin,
        "cka": _plain(result.unbiased),
        "estimate": "unbiased (HSIC_1), mean over batches",
        "cka_biased": _plain(result.biased),
        "biased_estimate": result.biased_estimate,
    }
    files.write_json(output / "cka.json", content)
    pairs = itertools.combinations_with_replacement(range(len(result.names)), 2)
    rows = [
        {
            "first": result.names[i],
            "second": result.names[j],
            "cka": result.unbiased[i, j],
            "cka_biased": result.biased[i, j],
        }
        for i, j in pairs
    ]
    files.write_rows(output / "cka.csv", rows)


def _plain(matrix: Any) -> list[list[float | None]]:
    """For JSON, which has no NaN."""
    return [[None if value != value else value for value in row] for row in matrix.tolist()]
