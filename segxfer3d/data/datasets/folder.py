"""Any folder of volumes: images and labels in two folders, matched by name, or volumes alone."""

from __future__ import annotations

from pathlib import Path

from segxfer3d.data.cases import Case, CaseSet, check_unique, patient_of
from segxfer3d.data.readers import is_dicom_folder, is_volume, stem
from segxfer3d.errors import InputError

IMAGE_FOLDERS = ("imagesTr", "images", "image")
LABEL_FOLDERS = ("labelsTr", "labels", "label", "masks", "mask")


def read(root: Path, patient_pattern: str = "") -> CaseSet:
    """Cases of a folder.

    Where it has an images and a labels folder, every image needs a label of the same name and the other way round
    (nnU-Net's ``_0000`` at the end of an image's name is passed over). Otherwise every volume in it, and every
    folder in it that holds a DICOM series, is an unlabeled case. The modality is taken to be CT.

    Raises:
        InputError: nothing to read, images without labels or labels without images (all named, up to ten).
    """
    images = next((root / name for name in IMAGE_FOLDERS if (root / name).is_dir()), None)
    labels = next((root / name for name in LABEL_FOLDERS if (root / name).is_dir()), None)
    if images is None:
        cases = [Case(name, path, None, patient_of(name, patient_pattern)) for name, path in _volumes(root)]
        if not cases:
            raise InputError(f"{root}: no volumes (.nii, .nii.gz, .mhd, .mha, .nrrd or DICOM folders)")
        check_unique(root, cases)
        return CaseSet(root, "folder", tuple(cases), {}, "CT")
    found = _volumes(images)
    if not found:
        raise InputError(f"{images}: no volumes (.nii, .nii.gz, .mhd, .mha, .nrrd or DICOM folders)")
    label_files = dict(_volumes(labels)) if labels is not None else {}
    names = {name: (name if name in label_files else name.removesuffix("_0000")) for name, _ in found}
    cases = [
        Case(name, path, label_files.get(names[name]), patient_of(name, patient_pattern)) for name, path in found
    ]
    check_unique(root, cases)
    if labels is not None:
        problems = [f"{case.image.name} (image without label)" for case in cases if case.label is None]
        problems += [f"{label_files[n].name} (label without image)" for n in label_files if n not in names.values()]
        if problems:
            more = f"; and {len(problems) - 10} more" if len(problems) > 10 else ""
            raise InputError(f"{root}: images and labels do not match by name: {'; '.join(problems[:10])}{more}")
    return CaseSet(root, "folder", tuple(cases), {1: "foreground"} if labels is not None else {}, "CT")


def _volumes(folder: Path) -> list[tuple[str, Path]]:
    """``(name, path)`` of the volumes directly in a folder (or the folder itself, if it is a DICOM series)."""
    found = [(stem(path), path) for path in sorted(folder.iterdir()) if path.is_file() and is_volume(path)]
    found += [(path.name, path) for path in sorted(folder.iterdir()) if path.is_dir() and is_dicom_folder(path)]
    if not found and is_dicom_folder(folder):
        found = [(folder.name, folder)]
    return found
