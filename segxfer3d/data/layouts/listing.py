"""Find the volumes below a folder, whatever their format."""

from __future__ import annotations

import os
from pathlib import Path

from segxfer3d.data.io.volumes import volume_name
from segxfer3d.errors import InputError

_DICOM = ("", ".dcm", ".ima")


def volumes_below(folder: Path) -> dict[str, Path]:
    """Map names to volumes: files of a known format at any depth, and folders that hold DICOM files.

    A name is the path below ``folder`` without the ending, its parts joined by "_". Hidden files are passed over.

    Raises:
        InputError: two volumes of one name, such as ``a.nii.gz`` beside ``a.mhd``.
    """
    found: dict[str, Path] = {}
    for place, subfolders, files in os.walk(folder):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        here = Path(place)
        paths = [here / name for name in sorted(files) if not name.startswith(".")]
        volumes = [path for path in paths if volume_name(path)]
        if not volumes and any(_is_dicom(path) for path in paths):
            volumes = [here]
        for path in volumes:
            name = "_".join([*path.relative_to(folder).parts[:-1], volume_name(path)])
            if name in found:
                raise InputError(f"{folder}: two volumes are called {name}: {found[name]} and {path}")
            found[name] = path
    return found


def _is_dicom(path: Path) -> bool:
    """Whether a file carries the mark of the DICOM file format (PS3.10): "DICM" after 128 bytes."""
    if path.suffix.lower() not in _DICOM:
        return False
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"
