"""nnU-Net's raw data, both versions: ``imagesTr/CASE_0000.nii.gz``, a file a channel, with ``labelsTr/CASE.nii.gz``.

``dataset.json`` names channels ("channel_names", in the first version "modality"), classes ("labels", which may be
regions with "regions_class_order", and "ignore") and the ending of all files ("file_ending"); the first version lists
cases by images without the number of a channel, the second may list them under "dataset". Images in ``imagesTs`` have
no labels. Beside what nnU-Net reads, listed cases may have "patient" and "fold", and "validation" may list those that
validate, as in :mod:`~segxfer3d.data.layouts.decathlon` (https://github.com/MIC-DKFZ/nnUNet/blob/master/documentation/dataset_format.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segxfer3d.data.case import Case, CaseSet, patient_of
from segxfer3d.data.io.volumes import volume_ending, volume_name
from segxfer3d.data.layouts.dataset_json import (
    BAD,
    NAME,
    in_words,
    lists_numbered,
    load,
    modality_of_channels,
    names_of_channels,
)
from segxfer3d.data.layouts.declared import classes_of_volumes
from segxfer3d.data.layouts.listing import refuse_other_kind
from segxfer3d.data.layouts.official import as_entries, check_official
from segxfer3d.data.layouts.request import Request, require
from segxfer3d.errors import InputError, some
from segxfer3d.spelling import on_disk, one_form, two_paths

TITLE = "nnU-Net"
SOURCE = "a folder of nnUNet_raw, such as Dataset004_Hippocampus"
DIMS = (3,)
LISTS_CASES = True

TRAINING, TEST, LABELS = "imagesTr", "imagesTs", "labelsTr"
_NUMBER = r"_(\d{4})$"


def fits(root: Path) -> bool:
    """Whether there is a ``dataset.json`` of nnU-Net."""
    return lists_numbered(root)


@dataclass
class _Found:
    """A case: number of a channel to its file, its label where it should have one, and what is said of it."""

    files: dict[int, Path] = field(default_factory=dict)
    label: Path | None = None
    said: Mapping[str, Any] = field(default_factory=dict)


def read(root: Path, request: Request) -> CaseSet:
    """The training cases (labeled) and the test cases (unlabeled).

    Raises:
        InputError: the file is missing or damaged, its cases are images, images and labels do not match, or there are
            channels that it does not name (all named, up to ten); folds and parts that cannot be kept.
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
        raise InputError(f"{path}: not nnU-Net's dataset.json ({in_words(error)})") from error
    if not volume_name(f"x{ending}"):
        refuse_other_kind(root, request.dims, request.task)
        raise InputError(f"{path}: file_ending {ending}: expected one of volumes, such as .nii.gz")
    if not found and not tests:
        _refuse_ending(path, ending)
    problems, cases = [f"{name} (in {TRAINING} and in {TEST})" for name in sorted(found.keys() & tests.keys())], []
    for name, case in {**tests, **found}.items():
        problems += _problems(root, name, case, len(names), ending)
        files = [_channel(name, case, number, ending) for number in range(max(1, len(names)))]
        patient = str(case.said.get("patient", "")) or patient_of(name, request.patient_pattern)
        fold, part = case.said.get("fold"), str(case.said.get("part", ""))
        cases.append(Case(name, files[0], case.label, patient, fold=fold, part=part, further=tuple(files[1:])))
    if problems:
        raise InputError(f"{path}: {some(problems)}")
    notes = (*check_official(path, cases), *_passed(root, cases))
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
        notes=notes,
    )


def _training(root: Path, content: Mapping[str, Any], ending: str) -> dict[str, _Found]:
    """Name to case: those that are listed, else all that have an image or a label."""
    validation = {_name_of(entry, ending): entry for entry in as_entries(content, "validation")}
    if listed := content.get("dataset"):
        found = {
            one_form(str(name)): _Found(
                {number: on_disk(root / image) for number, image in enumerate(entry["images"])},
                on_disk(root / entry["label"]),
                entry,
            )
            for name, entry in listed.items()
        }
        return _with_parts(found, validation)
    numbered = _numbered(root / TRAINING, ending)
    wanted: dict[str, Path] = {}
    for path in _files(root / LABELS, ending):
        if wanted.setdefault(_bare(path, ending), path) != path:
            raise ValueError(f"two labels of one case: {two_paths(wanted[_bare(path, ending)], path)}")
    said: dict[str, Mapping[str, Any]] = {}
    if training := content.get("training"):
        if twice := validation.keys() & {_name_of(entry, ending) for entry in training}:
            raise ValueError(f'"training" and "validation" name {some(sorted(twice), 10, ", ")}')
        more = [entry for entry in validation.values() if isinstance(entry, Mapping) and entry.get("label")]
        said = {_name_of(entry, ending): entry for entry in [*training, *more]}
        wanted = {name: on_disk(root / entry["label"]) for name, entry in said.items()}
        numbered = {name: case for name, case in numbered.items() if name in said}
    found = {}
    for name in sorted(numbered.keys() | wanted.keys()):
        label = wanted.get(name, on_disk(root / LABELS / f"{name}{ending}"))
        found[name] = _Found(numbered.get(name, _Found()).files, label, said.get(name, {}))
    return _with_parts(found, validation)


def _name_of(entry: Any, ending: str) -> str:
    """The case that an entry of a list means: by the name of its label, else of its image, less a channel's number."""
    place = entry if isinstance(entry, str) else str(entry.get("label") or entry["image"])
    name = _bare(Path(place), ending) or one_form(Path(place).name)
    return name if isinstance(entry, Mapping) and entry.get("label") else re.sub(_NUMBER, "", name)


def _with_parts(found: dict[str, _Found], validation: Mapping[str, Any]) -> dict[str, _Found]:
    """The cases, with the part of each where the file says who validates.

    Raises:
        ValueError: it names cases that are not there.
    """
    if lost := [name for name in validation if name not in found]:
        raise ValueError(f'"validation" names {some(lost, 10, ", ")}, of which there is no labeled case')
    for name, case in found.items() if validation else ():
        case.said = {**case.said, "part": "val" if name in validation else "train"}
    return found


def _numbered(folder: Path, ending: str) -> dict[str, _Found]:
    """Name to case, by the files of a folder that end in the number of a channel."""
    found: dict[str, _Found] = {}
    for path in _files(folder, ending):
        if match := re.fullmatch(rf"(.+){_NUMBER}", _bare(path, ending)):
            other = found.setdefault(match[1], _Found()).files.setdefault(int(match[2]), path)
            if other != path:
                raise ValueError(f"two files of one channel: {two_paths(other, path)}")
    return found


def _files(folder: Path, ending: str) -> list[Path]:
    """The files of an ending, in any spelling in large and small letters."""
    return sorted(path for path in folder.glob("[!.]*") if path.name.lower().endswith(ending.lower()))


def _bare(path: Path, ending: str) -> str:
    """The name of a file without the ending; empty where it has another."""
    return one_form(path.name[: -len(ending)]) if path.name.lower().endswith(ending.lower()) else ""


def _refuse_ending(path: Path, ending: str) -> None:
    """Say so where volumes have another ending than the file says."""
    for file in sorted((path.parent / TRAINING).glob("[!.]*")):
        if volume_name(file):
            raise InputError(
                f"{path}: no image in {TRAINING} is called CASE_0000{ending}; there is {file.name}: expected "
                f'"file_ending": "{volume_ending(file)}", and the number of a channel at the end of each name'
            )


def _passed(root: Path, cases: Iterable[Case]) -> tuple[str, ...]:
    """A note on volumes that are no channel of a case, by their endings or names."""
    known = {file for case in cases for file in case.files}
    folders = (root / name for name in (TRAINING, TEST))
    others = [path for folder in folders for path in sorted(folder.glob("[!.]*")) if volume_name(path)]
    others = [path for path in others if path not in known]
    example = f", for example {others[0]}" if others else ""
    return (f"{len(others)} volumes are no case's and are passed over{example}",) if others else ()


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
