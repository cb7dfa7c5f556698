"""The layout of TotalSegmentator's data: a folder a case, ``s0001/ct.nii.gz`` with ``segmentations/liver.nii.gz`` and a
mask for every other structure; of MR ``mri.nii.gz`` (https://doi.org/10.5281/zenodo.10047292).

The masks of a case are one label, with the structures as classes in the order of their names. A ``dataset.json`` beside
the folders chooses some and says their values: ``{"labels": {"liver": 1, "spleen": 2}}``; only their files are read.
"""

from __future__ import annotations

from pathlib import Path

from segxfer3d.data.case import CaseSet, LabelRule, patient_of
from segxfer3d.data.layouts.dataset_json import read_declared, refuse_regions
from segxfer3d.data.layouts.patient_folders import (
    case_folders,
    has_case,
    masks_in,
    name_of,
    refuse,
    volume_called,
    with_masks,
)
from segxfer3d.data.layouts.request import Request, require
from segxfer3d.errors import InputError, some

TITLE = "TotalSegmentator"
SOURCE = "Totalsegmentator_dataset of https://doi.org/10.5281/zenodo.10047292, or folders like its own"
DIMS = (3,)
BY_NAMES = True

MASKS = "segmentations"
IMAGES = {"ct": "CT", "mri": "MR"}


def fits(root: Path) -> bool:
    """Whether there is a folder with an image and a folder of masks."""
    return has_case(root, _is_case)


def _is_case(folder: Path) -> bool:
    return (folder / MASKS).is_dir() and volume_called(folder, *IMAGES) is not None


def read(root: Path, request: Request) -> CaseSet:
    """All cases, labeled where there are masks.

    Raises:
        InputError: no case, masks without image, CT and MR in one data set, a structure that some cases have no mask
            of, or ``patient_pattern`` does not fit.
    """
    found = case_folders(root, lambda folder: (folder / MASKS).is_dir() or volume_called(folder, *IMAGES) is not None)
    folders = [folder for folder in found if volume_called(folder, *IMAGES)]
    refuse(root, [f"{folder / MASKS} (labels without image)" for folder in found if folder not in folders])
    if not folders:
        require(root, [f"s0001/ct.nii.gz with s0001/{MASKS}"], title=TITLE, source=SOURCE)
    images = {folder: image for folder in folders if (image := volume_called(folder, *IMAGES))}
    kinds = sorted({IMAGES[image.name.split(".")[0].lower()] for image in images.values()})
    if len(kinds) > 1:
        raise InputError(f"{root}: cases of {' and of '.join(kinds)}; expected one modality in a data set")
    masks = {folder: masks_in(folder / MASKS) for folder in folders}
    names = sorted({name for found in masks.values() for name in found})
    declared = read_declared(root)
    refuse_regions(root, declared)
    classes = declared.masks if declared else dict(enumerate(names, 1))
    if strange := [name for name in classes.values() if name.casefold() not in {each.casefold() for each in names}]:
        raise InputError(f"{root}: no mask of {some(strange, 5, ', ')}; there are {some(names, 10, ', ')}")
    cases, problems = [], []
    for folder in folders:
        name = name_of(folder, folders, root)
        patient = patient_of(name, request.patient_pattern)
        case, lacking = with_masks(name, images[folder], masks[folder], classes, folder=folder / MASKS, patient=patient)
        cases.append(case)
        if case.label and lacking:
            problems.append(f"{folder / MASKS} (no mask of {some(lacking, 3, ', ')}, which other cases have)")
    refuse(root, problems)
    return CaseSet(
        root, "totalsegmentator", 3, tuple(cases), classes, label_rule=LabelRule(tuple(classes)), modality=kinds[0]
    )
