"""nnU-Net's raw data, both versions: ``imagesTr/CASE_0000.nii.gz``, a file a channel, with ``labelsTr/CASE.nii.gz``.

``dataset.json`` names channels ("channel_names", in the first version "modality"), classes ("labels", which may be
regions with "regions_class_order", and "ignore") and the ending of all files ("file_ending"); the first version lists
cases by images without the number of a channel, the second may list them under "dataset". Images in ``imagesTs`` have
no labels (https://github.com/MIC-DKFZ/nnUNet/blob/master/documentation/dataset_format.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segxfer3d.data.case import Case, CaseSet, patient_of
from segxfer3d.data.io.volumes import volume_name
from segxfer3d.data.layouts.dataset_json import (
    BAD,
    NAME,
    classes_of_volumes,
    lists_numbered,
    load,
    modality_of_channels,
    names_of_channels,
)
from segxfer3d.data.layouts.listing import refuse_other_kind
from segxfer3d.data.layouts.request import Request, require
from segxfer3d.errors import InputError, some

TITLE = "nnU-Net"
SOURCE = "a folder of nnUNet_raw, such as Dataset004_Hippocampus"
DIMS = (3,)

TRAINING, TEST, LABELS = "imagesTr", "imagesTs", "labelsTr"


def fits(root: Path) -> bool:
    """Whether there is a ``dataset.json`` of nnU-Net."""
    return lists_numbered(root)


@dataclass
class _Found:
    """A case: number of a channel to its file, and its label where it should have one."""

    files: dict[int, Path] = field(default_factory=dict)
    label: Path | None = None


def read(root: Path, request: Request) -> CaseSet:
    """The training cases (labeled) and the test cases (unlabeled).

    Raises:
        InputError: the file is missing or damaged, its cases are images, or images and labels do not match, or there
            are channels that it does not name (all named, up to ten).
    """
    require(root, [NAME], title=TITLE, source=SOURCE)
    path = root / NAME
    try:
        content = load(path)
        declared = classes_of_volumes(content["labels"], content.get("regions_class_order"))
        names = names_of_channels(content)
        ending = str(content.get("file_ending", ".nii.gz"))
        found, tests = _training(root, content, ending), _numbered(root / TEST, ending)
    except BAD as error:
        raise InputError(f"{path}: not nnU-Net's dataset.json ({type(error).__name__}: {error})") from error
    if not volume_name(f"x{ending}"):
        refuse_other_kind(root, request.dims, request.task)
        raise InputError(f"{path}: file_ending {ending}: expected one of volumes, such as .nii.gz")
    problems, cases = [], []
    for name, case in {**found, **tests}.items():
        problems += _problems(root, name, case, len(names), ending)
        files = [_channel(name, case, number, ending) for number in range(max(1, len(names)))]
        patient = patient_of(name, request.patient_pattern)
        cases.append(Case(name, files[0], case.label, patient, further=tuple(files[1:])))
    if problems:
        raise InputError(f"{path}: {some(problems)}")
    modality = modality_of_channels(content.get("channel_names", content.get("modality", {})))
    return CaseSet(
        root,
        "nnunet",
        3,
        tuple(cases),
        *declared[:2],
        channel_names=names,
        modality=modality,
        regions=declared.regions,
    )


def _training(root: Path, content: Mapping[str, Any], ending: str) -> dict[str, _Found]:
    """Name to case: those that are listed, else all that have an image or a label."""
    if listed := content.get("dataset"):
        return {
            str(name): _Found(
                {number: root / image for number, image in enumerate(entry["images"])}, root / entry["label"]
            )
            for name, entry in listed.items()
        }
    found = _numbered(root / TRAINING, ending)
    wanted = {path.name.removesuffix(ending): path for path in (root / LABELS).glob(f"[!.]*{ending}")}
    if training := content.get("training"):
        labels = {Path(entry["label"]).name.removesuffix(ending): root / entry["label"] for entry in training}
        found = {name: found.get(name, _Found()) for name in labels}
        wanted = labels
    for name in sorted(found.keys() | wanted.keys()):
        found.setdefault(name, _Found()).label = wanted.get(name, root / LABELS / f"{name}{ending}")
    return found


def _numbered(folder: Path, ending: str) -> dict[str, _Found]:
    """Name to case, by the files of a folder that end in the number of a channel."""
    found: dict[str, _Found] = {}
    for path in sorted(folder.glob(f"[!.]*{ending}")):
        if match := re.fullmatch(r"(.+)_(\d{4})", path.name.removesuffix(ending)):
            found.setdefault(match[1], _Found()).files[int(match[2])] = path
    return found


def _channel(name: str, case: _Found, number: int, ending: str) -> Path:
    """The file of a channel; where it should be, if it is missing, which the check says of all such cases."""
    folder = next((path.parent for path in case.files.values()), Path())
    return case.files.get(number, folder / f"{name}_{number:04}{ending}")


def _problems(root: Path, name: str, case: _Found, channels: int, ending: str) -> list[str]:
    """What of a case does not belong together."""
    if not case.files:
        return [f"{root / TRAINING / f'{name}_0000{ending}'} (label without image)"]
    problems = [
        f"{path} (channel {number}, but {NAME} names {max(1, channels)})"
        for number, path in case.files.items()
        if number >= max(1, channels)
    ]
    if case.label is not None and not case.label.exists():
        problems.append(f"{case.label} (no such file)")
    return problems
