"""A folder for each scan, with the image and its label in it: ``p1/image.nii.gz`` and ``p1/label.nii.gz``.

An image is called ``image``, ``img``, ``scan`` or ``volume`` (or is a folder of this name with a DICOM series), its
label ``label``, ``labels``, ``mask``, ``seg`` or ``segmentation``, in any format; or it is a folder ``masks``,
``segmentations`` or ``labels`` with a mask for each class, called as the class. A ``dataset.json`` beside the folders
says what the values mean, or which of the masks are meant, and the modality or what the channels of an image file are
called; without one volumes are taken to be CT.

Scans may lie in folders of their patients (``p1/scan1/image.nii.gz``): those are the patients then, unless they are
called as parts are (``train``, ``test``) or there is one of them only, as archives make it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segxfer3d.data.case import Case, CaseSet, patient_of
from segxfer3d.data.layouts.dataset_json import read_channel_names, read_declared, read_modality, refuse_regions
from segxfer3d.data.layouts.declared import NOTHING
from segxfer3d.data.layouts.patient_folders import (
    case_folders,
    has_case,
    masks_in,
    name_of,
    refuse,
    volumes_called,
    volumes_in,
    with_masks,
)
from segxfer3d.data.layouts.request import Request, require
from segxfer3d.data.layouts.segment_names import by_segments
from segxfer3d.data.split_file import PARTS
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


def _images(folder: Path) -> list[Path]:
    series = [folder / name for name in IMAGES if (folder / name).is_dir() and not volumes_in(folder / name)]
    return [*volumes_called(folder, *IMAGES), *series]


def _labels(folder: Path) -> list[Path]:
    inner = [folder / name for name in MASKS if (folder / name).is_dir() and volumes_in(folder / name)]
    return [*volumes_called(folder, *LABELS), *inner]


def _image(folder: Path) -> Path | None:
    return next(iter(_images(folder)), None)


def _label(folder: Path) -> Path | None:
    return next(iter(_labels(folder)), None)


def _refuse_several(root: Path, folders: Sequence[Path]) -> None:
    """A mask may be one of the brain beside a lesion's."""
    problems = []
    for folder in folders:
        for what, found in (("images of one label", _images(folder)), ("labels of one image", _labels(folder))):
            if len(found) > 1:
                problems.append(f"{' and '.join(map(str, found))} ({len(found)} {what})")
    refuse(root, problems, "; --image_pattern and --label_pattern say which are meant" if problems else "")


def _called(folders: Sequence[Path], root: Path) -> dict[Path, tuple[str, str]]:
    """What each scan is called, and its patient where that is a folder above it."""
    above = {folder: folder.parent for folder in folders if folder.parent != root}
    alone = len(set(above.values())) == 1 and len(above) == len(folders)  # what an archive makes
    return {
        folder: (_below_patient(folder, root), above[folder].name)
        if folder in above and not alone and above[folder].name.lower() not in PARTS
        else (name_of(folder, folders, root), "")
        for folder in folders
    }


def _below_patient(folder: Path, root: Path) -> str:
    """What a scan in a patient's folder is called: by both, but once where its own name begins with the patient's."""
    parts = folder.relative_to(root).parts
    rest = parts[-1].removeprefix(parts[-2])
    own = len(parts) == 2 and rest != parts[-1] and not rest[:1].isalnum()  # "p1/p10_a" is no scan of p1 by its name
    return parts[-1] if own else "_".join(parts)


def read(root: Path, request: Request) -> CaseSet:
    """All scans, labeled where there is a label.

    Raises:
        InputError: no scan, labels without image, several images or labels of a scan, cases with masks that lack one,
            or ``patient_pattern`` does not fit.
    """
    found = case_folders(root, lambda folder: _image(folder) is not None or _label(folder) is not None)
    if not any(map(_image, found)):
        require(root, ["p1/image.nii.gz"], title=TITLE, source=SOURCE)
    refuse(root, [f"{_label(folder)} (label without image)" for folder in found if _image(folder) is None])
    _refuse_several(root, found)
    declared = read_declared(root)
    classes, rule, regions = declared or NOTHING
    called = _called(found, root)
    labels = {folder: label for folder in found if (label := _label(folder))}
    masks = {folder: masks_in(label) for folder, label in labels.items() if label.is_dir()}
    names = sorted({name for each in masks.values() for name in each})
    if masks:
        refuse_regions(root, declared)
        classes = declared.masks if declared else dict(enumerate(names, 1))
    cases, problems = [], []
    for folder in found:
        (name, above), image = called[folder], _image(folder)
        patient = patient_of(name, request.patient_pattern)
        patient = above if above and patient == name and not request.patient_pattern else patient
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
    patients = sorted({above for _, above in called.values() if above})
    notes = (f"patients are the folders {some(patients, 3, ', ')}; --patient_pattern says otherwise",)
    case_set = CaseSet(
        root,
        "patients",
        3,
        tuple(cases),
        classes,
        rule,
        channel_names=read_channel_names(root),
        modality=modality or "CT",
        assumed=not modality,
        regions=regions,
        notes=notes if patients and not request.patient_pattern else (),
    )
    return by_segments(case_set, declared=bool(declared or masks))
