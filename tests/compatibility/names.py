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
    "ImageCase": ("segxfer3d.data.image_case", "segxfer3d.data.image_cases"),
    "split_by_patient": ("segxfer3d.data.split", "segxfer3d.data.splits"),
    "take_labels": ("segxfer3d.data.split", "segxfer3d.data.splits"),
    "Split": ("segxfer3d.data.split", "segxfer3d.data.splits"),
    "split_images": ("segxfer3d.data.image_split", "segxfer3d.data.image_splits"),
    "hold_out": ("segxfer3d.data.image_split", "segxfer3d.data.image_splits"),
    "labeled_count": ("segxfer3d.data.image_split", "segxfer3d.data.image_splits"),
    "ImageSplit": ("segxfer3d.data.image_split", "segxfer3d.data.image_splits"),
    "CubeStore": ("segxfer3d.data.cubes.store", "segxfer3d.data.cube_store"),
    "write_report": ("segxfer3d.report.page",),
    "read_previews": ("segxfer3d.evaluation.previews", "segxfer3d.previews"),
    "main": ("segxfer3d.cli",),
}
PARTS = ("pretrain", "train", "validation", "test")


def __getattr__(name: str) -> Any:
    if name not in PLACES:
        raise AttributeError(name)
    for place in PLACES[name]:
        if _exists(place):
            return getattr(import_module(place), name)
    raise AttributeError(f"{name}: in none of {', '.join(PLACES[name])}")


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
    return [name for name, module in loaded.items() if not Path(str(module.__file__)).resolve().is_relative_to(build())]


def _get(name: str) -> Any:
    return __getattr__(name)


def volume_case(name: str, patient: str, labeled: bool, fold: int | None = None) -> Any:
    """A case of a volume that is in no file."""
    return _get("Case")(name, Path(name), Path(f"{name}-label") if labeled else None, patient, fold)


def image_case(name: str, group: str = "", part: str = "") -> Any:
    """A case of an image that is in no file."""
    return _get("ImageCase")(name, Path(name), Path(f"{name}-mask"), group=group, part=part)


def volume_split(cases: Sequence[Any], pretrain: float, validation: float, test: float, seed: int) -> Any:
    """Volumes split by patient."""
    return _get("split_by_patient")(
        cases, pretrain_fraction=pretrain, validation_fraction=validation, test_fraction=test, seed=seed
    )


def volume_labels(train: Sequence[Any], seed: int, fraction: float | None = None, count: int | None = None) -> Any:
    """The cases of the training part whose labels are used."""
    return _get("take_labels")(train, label_fraction=fraction, label_count=count, seed=seed)


def image_split(cases: Sequence[Any], seed: int, **options: Any) -> Any:
    """Images split into a few to train on and all the others."""
    return _get("split_images")(cases, seed=seed, **options)


def image_hold_out(cases: Sequence[Any], fraction: float, seed: int) -> tuple[Sequence[Any], Sequence[Any]]:
    """The other images, and a share that is set apart."""
    return _get("hold_out")(cases, fraction, seed)


def image_label_count(fraction: float, number: int) -> int:
    """How many of ``number`` images a fraction is."""
    return _get("labeled_count")(fraction, number)


def split_again(kind: str, parts: dict[str, list[str]], cases: Sequence[Any]) -> Any:
    """The split that a ``split.json`` tells, of volumes (by patient) or images (by name)."""
    return _get({"volumes": "Split", "images": "ImageSplit"}[kind]).from_dict(parts, cases)


def recorded_split(folder: Path) -> Any:
    """What a run wrote down of its split; None where it wrote nothing."""
    return _json(folder / "split.json")


def recorded_labels(folder: Path) -> Any:
    """What a run wrote down of the labels it drew; None where it wrote nothing."""
    return _json(folder / "labels.json")


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
