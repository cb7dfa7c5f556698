"""The layout of KiTS (2019, 2021 and 2023): ``case_00000/imaging.nii.gz`` with ``segmentation.nii.gz`` beside it.

Labels are 1 for kidney, 2 for tumor and, since 2021, 3 for cyst (https://github.com/neheller/kits19, .../kits23). In
2021 the label by a majority is ``aggregated_MAJ_seg.nii.gz``; since then there is a folder of single annotations beside
it, by which the data sets are told apart. A case is a patient.
"""

from __future__ import annotations

from pathlib import Path

from segxfer3d.data.case import Case, CaseSet, LabelRule, patient_of
from segxfer3d.data.layouts.dataset_json import read_declared
from segxfer3d.data.layouts.declared import Declared
from segxfer3d.data.layouts.patient_folders import case_folders, has_case, name_of, refuse, volume_called
from segxfer3d.data.layouts.request import Request, require

TITLE = "KiTS"
SOURCE = "the folder of cases of https://github.com/neheller/kits19 or https://github.com/neheller/kits23"
DIMS = (3,)
BY_NAMES = True

IMAGE = "imaging"
LABELS = ("segmentation", "aggregated_MAJ_seg")
KIDNEY = {1: "kidney", 2: "tumor"}
CYSTS = {3: "cyst"}  # since 2021, which has folders of instances or segmentations


def fits(root: Path) -> bool:
    """Whether there is a folder of a case."""
    return has_case(root, _is_case)


def _is_case(folder: Path) -> bool:
    return folder.name.startswith("case_") and volume_called(folder, IMAGE) is not None


def _holds(folder: Path) -> bool:
    return volume_called(folder, IMAGE, *LABELS) is not None


def read(root: Path, request: Request) -> CaseSet:
    """All cases, labeled where there is a segmentation.

    Raises:
        InputError: no case, segmentations without image, or ``patient_pattern`` does not fit.
    """
    found = case_folders(root, lambda folder: folder.name.startswith("case_") and _holds(folder))
    lone = [volume_called(folder, *LABELS) for folder in found if not _is_case(folder)]
    refuse(root, [f"{path} (label without image)" for path in lone])
    folders = [folder for folder in found if _is_case(folder)]
    if not folders:
        require(root, ["case_00000/imaging.nii.gz"], title=TITLE, source=SOURCE)
    cases = []
    for folder in folders:
        name, image = name_of(folder, folders, root), volume_called(folder, IMAGE)
        if image is not None:
            cases.append(Case(name, image, volume_called(folder, *LABELS), patient_of(name, request.patient_pattern)))
    later = any((folder / inner).is_dir() for folder in folders for inner in ("instances", "segmentations"))
    known = KIDNEY | CYSTS if later else KIDNEY
    declared = read_declared(root) or Declared(known, LabelRule(tuple(known)))
    return CaseSet(
        root, "kits", 3, tuple(cases), declared.classes, declared.rule, modality="CT", regions=declared.regions
    )
