"""The layout of BraTS: a folder a scan, with four MR images and a label whose names begin as the folder's.

Since 2023 ``BraTS-GLI-00000-000/BraTS-GLI-00000-000-t1n.nii.gz``, ``-t1c``, ``-t2w``, ``-t2f`` and ``-seg``, where the
last number is that of the scan of a patient (https://www.synapse.org/brats); until 2021
``BraTS2021_00000/BraTS2021_00000_t1.nii.gz``, ``_t1ce``, ``_t2``, ``_flair`` and ``_seg``. Labels are 1 for the
necrotic core, 2 for edema, and 3 (until 2021: 4) for enhancing tumor. A ``dataset.json`` beside the folders may name
others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from segxfer3d.data.case import Case, CaseSet, LabelRule, patient_of
from segxfer3d.data.io.volumes import volume_ending
from segxfer3d.data.layouts.dataset_json import read_declared
from segxfer3d.data.layouts.declared import Declared
from segxfer3d.data.layouts.patient_folders import case_folders, has_case, masks_in, name_of, volumes_in
from segxfer3d.data.layouts.request import Request, require
from segxfer3d.errors import InputError
from segxfer3d.spelling import one_form

TITLE = "BraTS"
SOURCE = "the training data of a year of https://www.synapse.org/brats"
DIMS = (3,)
BY_NAMES = True

LABEL = "seg"
NAMES = {
    "-": {"t1n": "T1", "t1c": "T1 contrast", "t2w": "T2", "t2f": "FLAIR"},
    "_": {"t1": "T1", "t1ce": "T1 contrast", "t2": "T2", "flair": "FLAIR"},
}
CLASSES = {
    "-": {1: "necrotic core", 2: "edema", 3: "enhancing tumor"},
    "_": {1: "necrotic core", 2: "edema", 4: "enhancing tumor"},
}
_TIMED = re.compile(r"(BraTS-[A-Za-z0-9]+-\d+)-\d+")  # a patient, and the number of the scan


def fits(root: Path) -> bool:
    """Whether there is a folder with an image that is called as the folder and a known contrast."""
    return has_case(root, lambda folder: bool(_style(folder)))


def _style(folder: Path) -> str:
    """What stands before a contrast in the names of a folder's files; empty where no file is called so."""
    found = {name.lower() for name in volumes_in(folder)}
    stem = one_form(folder.name)
    return next(
        (mark for mark, names in NAMES.items() if any(f"{stem}{mark}{name}".lower() in found for name in names)), ""
    )


def _refuse_fewer(root: Path, folders: Sequence[Path], mark: str) -> None:
    """Other data have files of such names, too.

    Raises:
        InputError: a channel of BraTS that no scan has; the message says how those that are there are read.
    """
    names = [
        (f"{one_form(folder.name)}{mark}".lower(), {name.lower() for name in volumes_in(folder)}) for folder in folders
    ]
    known = [channel for channel in NAMES[mark] if any(f"{stem}{channel}" in there for stem, there in names)]
    lacking = [f"{mark}{channel}" for channel in NAMES[mark] if channel not in known]
    if not lacking:
        return
    labeled = any(f"{stem}{LABEL}" in there for stem, there in names)
    way = [
        f"--channel_pattern '{mark}({'|'.join(known)})$'"
        if known[1:]
        else f"--image_pattern '{mark}{known[0]}$' --modality MR"
    ]
    way += [f"--label_pattern '{mark}{LABEL}$'"] if labeled else []
    raise InputError(
        f"{root}: files called as BraTS calls them, but no scan has {', '.join(lacking)}; the others are read by "
        f"--dataset folder {' '.join(way)} (values of labels beside 1 are named in a dataset.json)"
    )


def read(root: Path, request: Request) -> CaseSet:
    """All scans with their four channels, labeled where there is a label. Where a scan lacks a channel, the file that
    it should have is among its own, so that the check names it.

    Raises:
        InputError: no scan, names of both kinds, a channel that no scan has, or ``patient_pattern`` does not fit.
    """
    folders = case_folders(root, lambda folder: bool(_style(folder)))
    if not folders:
        require(root, ["BraTS-GLI-00000-000/BraTS-GLI-00000-000-t1n.nii.gz"], title=TITLE, source=SOURCE)
    styles = sorted({_style(folder) for folder in folders})
    if len(styles) > 1:
        raise InputError(f"{root}: scans that are called as since 2023 and as before; expected one kind")
    (mark,) = styles
    _refuse_fewer(root, folders, mark)
    cases, others = [], []
    for folder in folders:
        files = {name.lower(): path for name, path in masks_in(folder).items()}
        stem = f"{one_form(folder.name)}{mark}".lower()
        known = {channel: files.get(f"{stem}{channel}") for channel in NAMES[mark]}
        ending = next((volume_ending(path) for path in known.values() if path), "")
        first, *further = (path or folder / f"{folder.name}{mark}{channel}{ending}" for channel, path in known.items())
        own = {f"{stem}{name}" for name in (*NAMES[mark], LABEL)}
        others += [path for name, path in files.items() if name not in own]
        name = name_of(folder, folders, root)
        patient = patient_of(name, request.patient_pattern)
        if not request.patient_pattern and (timed := _TIMED.fullmatch(folder.name)):
            patient = timed.group(1)
        cases.append(Case(name, first, files.get(f"{stem}{LABEL}"), patient, further=tuple(further)))
    notes = (f"{len(others)} volumes are no channel and no label, for example {others[0]}",) if others else ()
    declared = read_declared(root) or Declared(CLASSES[mark], LabelRule(tuple(CLASSES[mark])))
    return CaseSet(
        root,
        "brats",
        3,
        tuple(cases),
        declared.classes,
        declared.rule,
        regions=declared.regions,
        channel_names=tuple(NAMES[mark].values()),
        modality="MR",
        notes=notes,
    )
