"""Scans with a segmentation of 3D Slicer beside each: ``p1/ct.nrrd`` and ``p1/ct.seg.nrrd``, or any other name.

A segmentation is of the volume whose name it has before ``.seg``, or of the only volume in its folder, which may be a
DICOM series (https://slicer.readthedocs.io/en/latest/developer_guide/modules/segmentations.html). Segments are classes
by their names, see :mod:`~segxfer3d.data.layouts.segment_names`.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from segxfer3d.data.case import Case, CaseSet, patient_of
from segxfer3d.data.io.segments import ENDING, without_mark
from segxfer3d.data.layouts.dataset_json import read_channel_names, read_declared, read_modality, refuse_regions
from segxfer3d.data.layouts.declared import NOTHING
from segxfer3d.data.layouts.files_below import folders_below
from segxfer3d.data.layouts.patient_folders import refuse
from segxfer3d.data.layouts.request import Request, require
from segxfer3d.data.layouts.segment_names import by_segments
from segxfer3d.data.layouts.volume_files import FoundVolumes, find_volumes, modality_of

TITLE = "3D Slicer"
SOURCE = "volumes with a segmentation (.seg.nrrd) beside each"
DIMS = (3,)
BY_NAMES = True

_PATTERN = r"\.(?i:seg)$"  # of paths without the ending of a volume
_DEPTHS = ("", "*/", "*/*/")


def fits(root: Path) -> bool:
    """Whether there is a segmentation of 3D Slicer in a folder that holds something else, too."""
    found = (path for depth in _DEPTHS for path in root.glob(f"{depth}*") if path.name.lower().endswith(ENDING))
    return any(_has_scan(path.parent) for path in found)


def _has_scan(folder: Path) -> bool:
    """Whether something beside segmentations lies in a folder that is not of labels by its name."""
    if folder.name.lower().startswith(("label", "mask", "seg")):
        return False
    files = (path.name.lower() for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return any(not name.endswith((ENDING, ".json", ".txt", ".mrml")) for name in files)


def read(root: Path, request: Request) -> CaseSet:
    """All volumes, labeled where there is a segmentation.

    Raises:
        InputError: no segmentation, one without volume, two of one volume, or ``patient_pattern`` does not fit.
    """
    if not any(name.lower().endswith(ENDING) for names in folders_below(root).files.values() for name in names):
        require(root, ["p1/Segmentation.seg.nrrd"], title=TITLE, source=SOURCE)
    found = find_volumes(root, series=request.series, label_pattern=_PATTERN)
    labels = _labels_of(found)
    cases = []
    for name, path in found.paths.items():
        patient = patient_of(name, request.patient_pattern)
        if not request.patient_pattern and patient == name:
            folder, _, rest = found.places[name].partition("/")
            patient = found.volumes[name].patient or (folder if rest else name)
        cases.append(Case(name, path, labels.get(name), patient))
    declared = read_declared(root)
    refuse_regions(root, declared)
    classes, rule, _ = declared or NOTHING
    modality = modality_of(found.volumes.values(), root) or read_modality(root)
    case_set = CaseSet(
        root,
        "slicer",
        3,
        tuple(cases),
        classes,
        label_rule=rule,
        channel_names=read_channel_names(root),
        modality=modality or "CT",
        assumed=not modality,
        notes=found.notes,
    )
    return by_segments(case_set, declared=bool(classes))


def _labels_of(found: FoundVolumes) -> dict[str, Path]:
    """Name of a volume to its segmentation.

    Raises:
        InputError: segmentations without volume, or two of one.
    """
    by_place = {place: name for name, place in found.places.items()}
    inside: dict[str, list[str]] = defaultdict(list)
    for name, place in found.places.items():
        inside[place if found.paths[name].is_dir() else place.rpartition("/")[0]].append(name)
    labels: dict[str, Path] = {}
    problems = []
    for place, path in found.labels.items():
        alone = inside[place.rpartition("/")[0]]
        name = by_place.get(without_mark(place)) or (alone[0] if len(alone) == 1 else "")
        if not name:
            problems.append(f"{path} (label without image)")
        elif labels.setdefault(name, path) != path:
            problems.append(f"{labels[name]} and {path} (two labels of one image)")
    refuse(found.root, problems)
    return labels
