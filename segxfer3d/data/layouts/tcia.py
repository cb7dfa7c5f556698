"""DICOM trees of The Cancer Imaging Archive and of the Imaging Data Commons: a folder a series, patients above it.

TCIA's downloader (https://wiki.cancerimagingarchive.net/display/NBIA) writes ``metadata.csv`` and folders such as
``LIDC-IDRI/LIDC-IDRI-0001/01-01-2000-.../3000566.000000-03192/1-001.dcm``; IDC's (idc-index) writes
``collection/patient/study UID/CT_series UID``. Every series that is a volume is an unlabeled case of its DICOM's
patient. Segmentations (SEG) and structures (RTSTRUCT) are recognized and named, and not read as labels.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from segxfer3d.data.case import Case, CaseSet, patient_of
from segxfer3d.data.layouts.files_below import is_of_system
from segxfer3d.data.layouts.request import Request, require
from segxfer3d.data.layouts.volume_files import find_volumes, modality_of

TITLE = "TCIA or IDC"
SOURCE = "a download of https://www.cancerimagingarchive.net or https://imaging.datacommons.cancer.gov"
DIMS = (3,)

_SERIES = re.compile(
    r"\d+\.\d{6}-.*\d{5}"  # NBIA's: number, description, the end of the UID
    r"|[A-Z]{2,10}_\d+(?:\.\d+){4,}"  # IDC's: modality and UID
)
_DEPTH = 5  # folders between the data set's and a series
_LABELS = {"SEG": "segmentations (SEG)", "RTSTRUCT": "structures (RTSTRUCT)"}


def fits(root: Path) -> bool:
    """Whether there is a folder that is called as these archives call a series."""
    return any(_SERIES.fullmatch(path.name) for path in _folders(root, _DEPTH))


def _folders(folder: Path, depth: int) -> Iterator[Path]:
    """Folders below a folder, those that hold no folder last; only the first few of each level are looked at."""
    try:
        inner = [path for path in folder.iterdir() if path.is_dir() and not is_of_system(path.name)]
    except OSError:
        return
    yield from inner
    for path in inner[:3] if depth > 1 else ():
        yield from _folders(path, depth - 1)


def read(root: Path, request: Request) -> CaseSet:
    """All series that are volumes, unlabeled.

    Raises:
        InputError: no series, several modalities, or ``patient_pattern`` does not fit; see also
            :func:`~segxfer3d.data.layouts.volume_files.find_volumes`.
    """
    if not fits(root):
        require(root, ["collection/patient/study/CT_1.2.3.4.5"], title=TITLE, source=SOURCE)
    found = find_volumes(root, series=request.series, image_pattern=request.image_pattern)
    cases = []
    for name, path in found.paths.items():
        patient = patient_of(name, request.patient_pattern) if request.patient_pattern else found.volumes[name].patient
        cases.append(Case(name, path, patient=patient or name))
    kinds = Counter(why.rpartition(" ")[2] for why in found.passed.values() if why.startswith("of modality "))
    named = [f"{kinds[kind]} {words}" for kind, words in _LABELS.items() if kinds[kind]]
    notes = (f"{' and '.join(named)} lie there, which are not read as labels yet",) if named else ()
    modality = modality_of(found.volumes.values(), root) or "unknown"
    return CaseSet(root, "tcia", 3, tuple(cases), modality=modality, notes=(*notes, *found.notes))
