"""Where this build keeps what the compatibility tests call: nothing else here imports segxfer3d.

Each name has the places where builds had it, the newest first; the first place that exists is taken. So the same files
run on the build that wrote ``golden.json`` and on today's.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

BUNDLES = Path(__file__).parents[2] / "bundles"
STUDY_COMMAND = ("study", "run")  # of the command line, before the study file

PLACES = {
    "run_bundle": ("segxfer3d.run.bundle", "segxfer3d.bundle"),
    "read_model": ("segxfer3d.weights.checkpoint", "segxfer3d.checkpoint"),
    "write_phantoms": ("segxfer3d.data.synthetic.phantoms", "segxfer3d.data.phantoms"),
    "write_images": ("segxfer3d.data.synthetic.images", "segxfer3d.data.generated_images"),
    "Case": ("segxfer3d.data.case", "segxfer3d.data.cases"),
    "ImageCase": ("segxfer3d.data.image_cases",),
    "by_patient": ("segxfer3d.data.split",),
    "split_by_patient": ("segxfer3d.data.splits",),
    "take_labels": ("segxfer3d.data.split_draws", "segxfer3d.data.splits"),
    "few_of_all": ("segxfer3d.data.split",),
    "split_images": ("segxfer3d.data.image_splits",),
    "hold_out": ("segxfer3d.data.split_draws", "segxfer3d.data.image_splits"),
    "labeled_count": ("segxfer3d.data.split_draws", "segxfer3d.data.image_splits"),
    "Split": ("segxfer3d.data.split", "segxfer3d.data.splits"),
    "ImageSplit": ("segxfer3d.data.image_splits",),
    "CubeStore": ("segxfer3d.data.cubes.store", "segxfer3d.data.cube_store"),
    "build_network": ("segxfer3d.networks",),
    "write_report": ("segxfer3d.report.page",),
    "read_previews": ("segxfer3d.evaluation.previews", "segxfer3d.previews"),
    "main": ("segxfer3d.cli",),
}
RENAMED = {"build_network": "build"}
PARTS = ("pretrain", "train", "validation", "test")


def __getattr__(name: str) -> Any:
    if name not in PLACES:
        raise AttributeError(name)
    for place in PLACES[name]:
        if _exists(place) and hasattr(import_module(place), RENAMED.get(name, name)):
            return getattr(import_module(place), RENAMED.get(name, name))
    raise AttributeError(f"{name}: in none of {', '.join(PLACES[name])}")


def _has(name: str) -> bool:
    """Whether this build has it: what it lacks has another name, and is called in another way, in others."""
    return any(_exists(place) for place in PLACES[name])


def _exists(place: str) -> bool:
    """Whether this build has a module; an editable install would offer another build's, which an import would take."""
    path = build().joinpath(*place.split(".")[1:])
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def build() -> Path:
    """The package's folder."""
    return Path(str(import_module("segxfer3d").__file__)).resolve().parent


def foreign_modules() -> list[str]:
    """Modules of the package that were imported from another build's folder."""
    loaded = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "segxfer3d"}
    files = {name: getattr(module, "__file__", None) for name, module in loaded.items()}  # old names have none
    return [name for name, file in files.items() if file and not Path(file).resolve().is_relative_to(build())]


def _get(name: str) -> Any:
    return __getattr__(name)


def volume_case(name: str, patient: str, labeled: bool, fold: int | None = None) -> Any:
    """A case of a volume that is in no file."""
    return _get("Case")(name, Path(name), Path(f"{name}-label") if labeled else None, patient, fold=fold)


def image_case(name: str, group: str = "", part: str = "") -> Any:
    """A case of an image that is in no file."""
    if _has("ImageCase"):
        return _get("ImageCase")(name, Path(name), Path(f"{name}-mask"), group=group, part=part)
    return _get("Case")(name, Path(name), Path(f"{name}-mask"), patient=group, part=part)


def volume_split(cases: Sequence[Any], pretrain: float, validation: float, test: float, seed: int) -> Any:
    """Volumes split by patient."""
    fractions = {"pretrain_fraction": pretrain, "validation_fraction": validation, "test_fraction": test}
    if _has("split_by_patient"):
        return _get("split_by_patient")(cases, **fractions, seed=seed)
    return _get("by_patient")(cases, **fractions, split_seed=seed, labels=False)


def volume_labels(train: Sequence[Any], seed: int, fraction: float | None = None, count: int | None = None) -> Any:
    """The cases of the training part whose labels are used."""
    return _get("take_labels")(train, label_fraction=fraction, label_count=count, seed=seed)


def image_split(cases: Sequence[Any], seed: int, **options: Any) -> Any:
    """Images split into a few to train on and all the others."""
    if _has("split_images"):
        return _get("split_images")(cases, seed=seed, **options)
    return _get("few_of_all")(cases, seed=seed, split_seed=seed, **options)


def image_hold_out(cases: Sequence[Any], fraction: float, seed: int) -> tuple[Sequence[Any], Sequence[Any]]:
    """The other images, and a share that is set apart."""
    return _get("hold_out")(cases, fraction, seed=seed)


def image_label_count(fraction: float, number: int) -> int:
    """How many of ``number`` images a fraction is."""
    return _get("labeled_count")(fraction, number)


def split_again(kind: str, parts: dict[str, list[str]], cases: Sequence[Any]) -> Any:
    """The split that a ``split.json`` tells, of volumes (by patient) or images (by name)."""
    name = "ImageSplit" if kind == "images" and _has("ImageSplit") else "Split"
    return _get(name).from_dict(parts, cases)


def recorded_split(folder: Path) -> Any:
    """What a run wrote down of its split; None where it wrote nothing."""
    return _json(folder / "split.json")


def recorded_labels(folder: Path) -> Any:
    """What a run wrote down of the labels it drew; None where it wrote nothing."""
    return _json(folder / "labels.json")


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
