"""Cubes around the nodules of LUNA16, with the consensus of the LIDC-IDRI radiologists as their labels: what
``segxfer3d data luna16`` does.

How nodules and their masks are found says :mod:`segxfer3d.data.lidc.consensus`; a cube's label holds all nodules that
reach into it, not only its own. Neither LUNA16 nor the XML files name the patient. LUNA16 has one series a patient, so
the series UID stands for the patient, and the subset is the fold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from segxfer3d import documents, files
from segxfer3d.data.case import Case
from segxfer3d.data.io.nifti import write_nifti
from segxfer3d.data.io.volumes import Volume, read_volume
from segxfer3d.data.layouts import Request, luna16
from segxfer3d.data.lidc.annotations import index_readings, read_reading
from segxfer3d.data.lidc.consensus import Nodule, consensus_nodules
from segxfer3d.errors import InputError, some
from segxfer3d.schema.kinds import OBJECT, TEXT, Entries, ListOf

AIR = -1000  # HU

_RECORD = Entries({"nodules": ListOf(Entries({"name": TEXT}))})  # of a patient


@dataclass(frozen=True)
class Nodules:
    """Cubes that were written.

    Attributes:
        folder: where they lie.
        patients: how many are done, those of earlier calls included.
        nodules: how many cubes they have.
        bad: patient -> why it cannot be used, of those of this call.
    """

    folder: Path
    patients: int
    nodules: int
    bad: dict[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """In words."""
        return f"{self.folder}: {self.nodules} nodules of {self.patients} patients; could not be used: {len(self.bad)}"


def prepare_luna16(
    luna_dir: str | Path,
    xml_dir: str | Path,
    *,
    output_dir: str | Path,
    cube_size: Sequence[int] = (64, 64, 32),
    min_readers: int = 3,
    progress: bool = False,
) -> Nodules:
    """Cut a cube around every nodule.

    Written are NIfTI cubes in the layout of the Medical Segmentation Decathlon, which the bundles read, and
    ``nodules.csv`` with a row for each. Patients already done are passed over when the same is called again; those that
    cannot be used are given back, and the others are kept.

    Args:
        luna_dir: LUNA16, with ``subset0`` to ``subset9`` or some of them (https://luna16.grand-challenge.org).
        xml_dir: the radiologists' XML files, at any depth (the page of LIDC-IDRI at The Cancer Imaging Archive).
        output_dir: a new folder, or one that was begun with the same options.
        cube_size: voxels along x, y, z.
        min_readers: readers who must have marked a nodule.
        progress: show a bar.

    Raises:
        InputError: an argument is out of range, no volumes, no annotations, a folder that holds something else, or no
            nodule at all.
    """
    if len(cube_size) != 3 or min(cube_size) < 1:
        raise InputError(f"cube_size: expected three whole numbers of at least 1, got {list(cube_size)}")
    if min_readers < 1:
        raise InputError(f"min_readers: expected at least 1, got {min_readers}")
    cases, output = _volumes(Path(luna_dir)), Path(output_dir)
    if not Path(xml_dir).is_dir():
        raise InputError(f"xml_dir {xml_dir}: no such folder")
    readings, damaged = index_readings(Path(xml_dir))
    if not readings:
        raise InputError(f"xml_dir {xml_dir}: no LIDC-IDRI annotations of CT in it")
    _begin(output, {"cube_size": list(cube_size), "min_readers": min_readers})
    bad: dict[str, str] = {}
    for case in tqdm(cases, desc="patients", disable=not progress):
        if _is_done(output, case.name):
            continue
        try:
            paths = readings.get(case.name, [])
            if len(paths) != 1:
                raise InputError(_why_no_reading(paths, damaged, Path(xml_dir)))
            _prepare_patient(case, paths[0], output, cube_size, min_readers)
        except InputError as error:
            bad[case.name] = str(error)
    patients, nodules = _finish(output, bad)
    return Nodules(output, patients, nodules, bad)


def _why_no_reading(paths: Sequence[Path], damaged: Mapping[Path, str], xml_dir: Path) -> str:
    if paths:
        return f"different annotation files of one series: {some(paths)}"
    why = f"no annotations of this series in {xml_dir}"
    unread = some(f"{path} ({error})" for path, error in damaged.items())
    return f"{why}; files that cannot be read: {unread}" if unread else why


def _volumes(luna_dir: Path) -> tuple[Case, ...]:
    if not luna_dir.is_dir():
        raise InputError(f"luna_dir {luna_dir}: no such folder")
    cases = luna16.read(luna_dir, Request()).cases if luna16.fits(luna_dir) else ()
    if not cases:
        raise InputError(f"luna_dir {luna_dir}: no volumes in it, expected subset0 to subset9 with .mhd and .raw files")
    return cases


def _begin(output: Path, options: dict[str, Any]) -> None:
    """Make the folder, or see that it was begun with the same options: cubes of two kinds must not mix."""
    path = output / "options.json"
    if path.is_file():
        before = documents.read(path, OBJECT, written=True)
        if before != options:
            raise InputError(f"output_dir {output}: was begun with {before}, not {options}; take another folder")
    elif output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"output_dir {output}: expected a new or empty folder, or one that was begun like this")
    for part in ("imagesTr", "labelsTr", "patients"):
        files.make_folder(output / part)
    files.write_json(path, options)


def _is_done(output: Path, name: str) -> bool:
    """A patient's record is written after its cubes."""
    record = output / "patients" / f"{name}.json"
    if not record.is_file():
        return False
    names = [nodule["name"] for nodule in documents.read(record, _RECORD, written=True)["nodules"]]
    return all((output / part / f"{name}.nii.gz").is_file() for part in ("imagesTr", "labelsTr") for name in names)


def _prepare_patient(case: Case, xml: Path, output: Path, size: Sequence[int], min_readers: int) -> None:
    reading = read_reading(xml)
    rows: list[dict[str, Any]] = []
    # most volumes take longer to read than all else, and many have too few readers with a nodule
    if len({annotation.reader for annotation in reading.annotations}) >= min_readers:
        volume = read_volume(case.image)
        nodules = consensus_nodules(reading, volume.array.shape, volume.affine, min_readers)
        for number, nodule in enumerate(nodules, 1):
            row = _describe(nodule, volume, f"{case.name}_{number:02d}", case)
            _write_cube(output, row, volume, nodules, size)
            rows.append(row)
    record = {"patient": case.patient, "study": reading.study, "nodules": rows}
    files.write_json(output / "patients" / f"{case.name}.json", record)


def _describe(nodule: Nodule, volume: Volume, name: str, case: Case) -> dict[str, Any]:
    """A row of nodules.csv; world coordinates are RAS+ (LUNA16's own lists have x and y of the opposite sign)."""
    center = nodule.region.center()
    world = volume.affine[:3, :3] @ center + volume.affine[:3, 3]
    axes = ("x", "y", "z")
    return {
        "name": name,
        "patient": case.patient,
        "fold": case.fold,
        **{f"center_{axis}": round(value) for axis, value in zip(axes, center.tolist(), strict=True)},
        **{f"center_{axis}_mm": round(value, 3) for axis, value in zip(axes, world.tolist(), strict=True)},
        "diameter_mm": round(2 * nodule.region.radius(volume.spacing), 3),
        "readers": nodule.readers,
    }


def _write_cube(
    output: Path, row: dict[str, Any], volume: Volume, nodules: Sequence[Nodule], size: Sequence[int]
) -> None:
    start = cube_start([row[f"center_{axis}"] for axis in "xyz"], size, volume.array.shape)
    affine = volume.affine.copy()
    affine[:3, 3] += volume.affine[:3, :3] @ start
    label = np.zeros(tuple(size), np.uint8)
    for nodule in nodules:
        label |= nodule.region.within(start, size).astype(np.uint8)
    for part, array in (("imagesTr", cut_cube(volume.array, start, size)), ("labelsTr", label)):
        write_nifti(output / part / f"{row['name']}.nii.gz", array, affine)


def cube_start(center: Sequence[int], size: Sequence[int], shape: Sequence[int]) -> list[int]:
    """First voxel of a cube: around the center, moved into the volume; where that is too short, around the volume."""
    return [
        min(max(c - s // 2, 0), n - s) if n >= s else -((s - n) // 2)
        for c, s, n in zip(center, size, shape, strict=True)
    ]


def cut_cube(array: NDArray[Any], start: Sequence[int], size: Sequence[int]) -> NDArray[np.int16]:
    """The cube (X, Y, Z) from this voxel on, in HU; air where it reaches out of the volume."""
    cube = np.full(tuple(size), AIR, np.int16)
    ends = [min(first + s, n) for first, s, n in zip(start, size, array.shape, strict=True)]
    taken = array[tuple(slice(max(first, 0), end) for first, end in zip(start, ends, strict=True))]
    to = tuple(slice(max(-first, 0), max(-first, 0) + n) for first, n in zip(start, taken.shape, strict=True))
    limits = np.iinfo(np.int16)
    cube[to] = np.clip(np.rint(taken), limits.min, limits.max)
    return cube


def _finish(output: Path, bad: Mapping[str, str]) -> tuple[int, int]:
    """List all patients done so far; returns their number and that of the nodules."""
    places = sorted((output / "patients").glob("*.json"))
    records = [documents.read(path, _RECORD, written=True) for path in places]
    rows = [row for record in records for row in record["nodules"]]
    if not rows:
        why = f"; cannot be used: {some(f'{name}: {problem}' for name, problem in bad.items())}" if bad else ""
        raise InputError(f"{output}: no nodules were found in the {len(records)} patients done{why}")
    files.write_rows(output / "nodules.csv", rows)
    entries = [
        {
            "image": f"./imagesTr/{row['name']}.nii.gz",
            "label": f"./labelsTr/{row['name']}.nii.gz",
            "patient": row["patient"],
            "fold": row["fold"],
        }
        for row in rows
    ]
    description = {
        "name": "LUNA16 nodules",
        "description": "cubes around nodules of LUNA16; labels: consensus of the LIDC-IDRI radiologists",
        "reference": "https://luna16.grand-challenge.org, https://doi.org/10.7937/K9/TCIA.2015.LO9QL9SX",
        "licence": "CC BY 3.0 (LIDC-IDRI), CC BY 4.0 (LUNA16)",
        "tensorImageSize": "3D",
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "nodule"},
        "numTraining": len(entries),
        "numTest": 0,
        "training": entries,
        "test": [],
    }
    files.write_json(output / "dataset.json", description)
    return len(records), len(entries)
