"""The layout of the Medical Segmentation Decathlon: a ``dataset.json`` that lists images and labels.

Entries of "training" are ``{"image": path, "label": path}``; beside the official keys an entry may have "patient",
"fold" and "name" (by default that of the first file). Entries of "validation" are a validation part of the data set's
own; entries of "test" have no labels. Paths are relative to the folder. An image of several channels, which "modality"
names, is one file, its channels last, or a list of files. An image may be a folder with a DICOM series, which says
patient and modality where the entry does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from segxfer3d.data.case import Case, CaseSet, patient_of
from segxfer3d.data.io.dicom import scan_of
from segxfer3d.data.io.volumes import volume_name
from segxfer3d.data.layouts.dataset_json import (
    BAD,
    NAME,
    in_words,
    lists_cases,
    load,
    modality_of_channels,
    names_of_channels,
)
from segxfer3d.data.layouts.declared import classes_of_volumes
from segxfer3d.data.layouts.listing import refuse_other_kind, volumes_below
from segxfer3d.data.layouts.official import as_entries, check_official, with_parts
from segxfer3d.data.layouts.request import Request, require
from segxfer3d.data.layouts.volume_files import FoundVolume, modality_of
from segxfer3d.errors import InputError, some
from segxfer3d.spelling import on_disk

TITLE = "the Medical Segmentation Decathlon"
SOURCE = "an archive of one of its tasks, such as Task04_Hippocampus.tar of http://medicaldecathlon.com"
DIMS = (3,)
LISTS_CASES = True


def fits(root: Path) -> bool:
    """Whether there is a ``dataset.json`` that lists cases."""
    return lists_cases(root)


def read(root: Path, request: Request) -> CaseSet:
    """The training cases (labeled) and the test cases (unlabeled) of ``root/dataset.json``.

    Raises:
        InputError: the file is missing or damaged, or lists images without labels or files that are not there (all
            named, up to ten).
    """
    require(root, [NAME], title=TITLE, source=SOURCE)
    path = root / NAME
    try:
        content = load(path)
        training = with_parts(
            [(_entry(item), True) for item in content["training"]],
            [_entry(item) for item in as_entries(content, "validation")],
        )
        test = [(_entry(item), False) for item in content.get("test", [])]
        declared = classes_of_volumes(content.get("labels", {}), content.get("regions_class_order"))
        names = names_of_channels(content)
    except BAD as error:
        if not volumes_below(root):
            refuse_other_kind(root, request.dims, request.task)
        raise InputError(f"{path}: not a Decathlon dataset.json ({in_words(error)})") from error
    cases, problems = [], []
    scans: dict[str, FoundVolume] = {}
    for entry, labeled in training + test:
        listed = entry["image"]
        image, *further = [on_disk(root / name) for name in ([listed] if isinstance(listed, str) else listed)]
        label = on_disk(root / entry["label"]) if labeled and entry.get("label") else None
        if not any(path.exists() for path in (image, *further)):  # the check names what only lacks some channels
            problems.append(f"{image} (label without image)" if label and label.exists() else f"{image} (no such file)")
        if labeled and not (label and label.exists()):
            problems.append(f"{label or image} ({'no such file' if label else 'image without label'})")
        name = str(entry.get("name", "")) or name_of_files(image, further)
        if (scan := _scan(image)) is not None:
            scans[name] = scan
        patient = str(entry.get("patient", "")) or _patient(name, scans.get(name), request.patient_pattern)
        part = entry.get("part", "")
        cases.append(Case(name, image, label, patient, fold=entry.get("fold"), part=part, further=tuple(further)))
    if problems:
        raise InputError(f"{path}: lists what is not there: {some(problems)}")
    notes = check_official(path, cases)
    modality = modality_of_channels(content.get("modality", content.get("channel_names", {})))
    if modality == "unknown" and scans:
        modality = modality_of(scans.values(), root)
    return CaseSet(
        root,
        "decathlon",
        3,
        tuple(cases),
        *declared[:2],
        regions=declared.regions,
        channel_names=names,
        modality=modality,
        notes=notes,
    )


def name_of_files(image: Path, further: Sequence[Path]) -> str:
    """What a case is called that no name is given, by the files of its channels."""
    name = volume_name(image) or image.name
    return name.removesuffix("_0000") if further else name


def _scan(image: Path) -> FoundVolume | None:
    """What DICOM says of an image; None for other formats, and for a series that the check will refuse."""
    if not image.is_dir():
        return None
    with suppress(InputError):
        header = scan_of(image).first
        return FoundVolume(image, header.patient, header.modality)
    return None


def _patient(name: str, scan: FoundVolume | None, pattern: str) -> str:
    """The pattern says it, else a known naming, DICOM, or the name."""
    patient = patient_of(name, pattern)
    return patient if pattern or patient != name or scan is None else scan.patient or name


def _entry(item: Any) -> dict[str, Any]:
    entry = {"image": item} if isinstance(item, str) else dict(item)
    paths = entry["image"] if isinstance(entry["image"], list) else [entry["image"]]
    if not paths or not all(isinstance(path, str) for path in paths):
        raise TypeError(f"an image should be a path, or a list of one for each channel, not {entry['image']}")
    return entry
