"""A folder for each scan, with the image and its label in it: ``p1/image.nii.gz`` and ``p1/label.nii.gz``.

An image is called ``image``, ``img``, ``scan`` or ``volume`` (or is a folder of this name with a DICOM series), its
label ``label``, ``labels``, ``mask``, ``seg`` or ``segmentation``, in any format; or it is a folder ``masks``,
``segmentations`` or ``labels`` with a mask for each class, called as the class. A ``dataset.json`` beside the folders
says what the values mean, or which of the masks are meant, and the modality; without one volumes are taken to be CT.
"""

from __future__ import annotations

from pathlib import Path

from segxfer3d.data.case import Case, CaseSet, patient_of
from segxfer3d.data.layouts.dataset_json import NOTHING, read_declared, read_modality, refuse_regions
from segxfer3d.data.layouts.patient_folders import (
    case_folders,
    has_case,
    name_of,
    refuse,
    volume_called,
    volumes_in,
    with_masks,
)
from segxfer3d.data.layouts.request import Request, require
from segxfer3d.data.layouts.segment_names import by_segments
from segxfer3d.errors import some

TITLE = "patient folders"
SOURCE = "folders with an image and a label in each, such as p1/image.nii.gz and p1/label.nii.gz,"
DIMS = (3,)
BY_NAMES = True

IMAGES = ("image", "img", "scan", "volume")
LABELS = ("label", "labels", "mask", "seg", "segmentation", "segmentation.seg", "Segmentation.seg", "image.seg")
MASKS = ("masks", "segmentations", "labels")


def fits(root: Path) -> bool:
    """Whether there is a folder with an image and a label of known names."""
    return has_case(root, lambda folder: _image(folder) is not None and _label(folder) is not None)


def _image(folder: Path) -> Path | None:
    series = (folder / name for name in IMAGES if (folder / name).is_dir() and not volumes_in(folder / name))
    return volume_called(folder, *IMAGES) or next(series, None)


def _label(folder: Path) -> Path | None:
    inner = next((folder / name for name in MASKS if (folder / name).is_dir() and volumes_in(folder / name)), None)
    return volume_called(folder, *LABELS) or inner


def read(root: Path, request: Request) -> CaseSet:
    """All scans, labeled where there is a label.

    Raises:
        InputError: no scan, labels without image, cases with masks that lack one, or ``patient_pattern`` does not fit.
    """
    found = case_folders(root, lambda folder: _image(folder) is not None or _label(folder) is not None)
    if not any(map(_image, found)):
        require(root, ["p1/image.nii.gz"], title=TITLE, source=SOURCE)
    refuse(root, [f"{_label(folder)} (label without image)" for folder in found if _image(folder) is None])
    declared = read_declared(root)
    classes, rule, regions = declared or NOTHING
    labels = {folder: label for folder in found if (label := _label(folder))}
    masks = {folder: volumes_in(label) for folder, label in labels.items() if label.is_dir()}
    names = sorted({name for each in masks.values() for name in each})
    if masks:
        refuse_regions(root, declared)
        classes = classes or dict(enumerate(names, 1))
    cases, problems = [], []
    for folder in found:
        name, image = name_of(folder, found, root), _image(folder)
        patient = patient_of(name, request.patient_pattern)
        if image is None:
            continue
        if folder not in masks:
            cases.append(Case(name, image, labels.get(folder), patient))
            continue
        case, lacking = with_masks(name, image, masks[folder], classes, folder=labels[folder], patient=patient)
        cases.append(case)
        if lacking:
            problems.append(f"{labels[folder]} (no mask of {some(lacking, 3, ', ')})")
    refuse(root, problems)
    modality = read_modality(root)
    case_set = CaseSet(
        root,
        "patients",
        3,
        tuple(cases),
        classes,
        rule,
        modality=modality or "CT",
        assumed=not modality,
        regions=regions,
    )
    return by_segments(case_set, declared=bool(declared or masks))
