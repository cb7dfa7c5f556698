"""Cut a cube around every lung nodule of LUNA16, with the consensus of the LIDC-IDRI radiologists as its label.

python scripts/prepare_luna16.py --luna_dir LUNA16 --xml_dir LIDC-XML-only --output_dir luna16-nodules

LUNA16 (subset0 to subset9) and the archive of XML files are downloaded by hand, from luna16.grand-challenge.org and
from the page of LIDC-IDRI at The Cancer Imaging Archive. Written are NIfTI cubes in the layout of the Medical
Segmentation Decathlon, which the bundles read, and nodules.csv with a row for each. How nodules and their masks are
found says segxfer3d.data.lidc.consensus; a cube's label holds all nodules that reach into it, not only its own.

Neither LUNA16 nor the XML files name the patient. LUNA16 has one series a patient, so the series UID stands for the
patient, and the subset is the fold.

Patients already done are passed over when the same command runs again. Those that cannot be used are listed at the
end, and the exit status is 1; the others are kept.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from segxfer3d.data.case import Case
from segxfer3d.data.io.volumes import Volume, read_volume
from segxfer3d.data.layouts import Request, luna16
from segxfer3d.data.lidc.annotations import index_readings, read_reading
from segxfer3d.data.lidc.consensus import Nodule, consensus_nodules
from segxfer3d.errors import InputError, some

AIR = -1000  # HU


def main(arguments: Sequence[str] | None = None) -> int:
    """Run with these arguments (by default the command line's); returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--luna_dir", required=True, type=Path, help="folder with subset0 to subset9, or some of them")
    parser.add_argument("--xml_dir", required=True, type=Path, help="folder with the XML files, at any depth")
    parser.add_argument("--output_dir", required=True, type=Path, help="new folder, or one that this script began")
    parser.add_argument("--cube_size", nargs=3, type=_count, default=[64, 64, 32], metavar=("X", "Y", "Z"))
    parser.add_argument("--min_readers", type=_count, default=3, help="readers who must have marked a nodule (3)")
    options = parser.parse_args(arguments)
    try:
        return _prepare(options)
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text}")
    return number


def _prepare(options: argparse.Namespace) -> int:
    cases = _volumes(options.luna_dir)
    if not options.xml_dir.is_dir():
        raise InputError(f"--xml_dir {options.xml_dir}: no such folder")
    found, damaged = index_readings(options.xml_dir)
    if not found:
        raise InputError(f"--xml_dir {options.xml_dir}: no LIDC-IDRI annotations of CT in it")
    output: Path = options.output_dir
    _begin(output, {"cube_size": options.cube_size, "min_readers": options.min_readers})
    bad: dict[str, str] = {}
    for case in tqdm(cases, desc="patients"):
        if _is_done(output, case.name):
            continue
        try:
            files = found.get(case.name, [])
            if len(files) != 1:
                raise InputError(_why_not_one(files, damaged, options.xml_dir))
            _prepare_patient(case, files[0], options)
        except InputError as error:
            bad[case.name] = str(error)
    for name, why in bad.items():
        print(f"cannot be used: {name}: {why}", file=sys.stderr)
    patients, cubes = _finish(output)
    print(f"{output}: {cubes} nodules of {patients} patients; could not be used: {len(bad)}")
    return 1 if bad else 0


def _why_not_one(files: Sequence[Path], damaged: Mapping[Path, str], xml_dir: Path) -> str:
    if files:
        return f"different annotation files of one series: {some([str(path) for path in files])}"
    why = f"no annotations of this series in {xml_dir}"
    unread = some([f"{path} ({error})" for path, error in damaged.items()])
    return f"{why}; files that cannot be read: {unread}" if unread else why


def _volumes(luna_dir: Path) -> tuple[Case, ...]:
    if not luna_dir.is_dir():
        raise InputError(f"--luna_dir {luna_dir}: no such folder")
    cases = luna16.read(luna_dir, Request()).cases if luna16.fits(luna_dir) else ()
    if not cases:
        raise InputError(
            f"--luna_dir {luna_dir}: no volumes in it, expected subset0 to subset9 with .mhd and .raw files"
        )
    return cases


def _begin(output: Path, options: dict[str, Any]) -> None:
    """Make the folder, or see that it was begun with the same options: cubes of two kinds must not mix."""
    path = output / "options.json"
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        if before != options:
            raise InputError(f"--output_dir {output}: was begun with {before}, not {options}; take another folder")
    elif output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"--output_dir {output}: expected a new or empty folder, or one that this script began")
    for part in ("imagesTr", "labelsTr", "patients"):
        (output / part).mkdir(parents=True, exist_ok=True)
    _write_json(path, options)


def _is_done(output: Path, name: str) -> bool:
    """A patient's record is written after its cubes."""
    record = output / "patients" / f"{name}.json"
    if not record.is_file():
        return False
    names = [nodule["name"] for nodule in json.loads(record.read_text(encoding="utf-8"))["nodules"]]
    return all((output / part / f"{name}.nii.gz").is_file() for part in ("imagesTr", "labelsTr") for name in names)


def _prepare_patient(case: Case, xml: Path, options: argparse.Namespace) -> None:
    reading = read_reading(xml)
    rows: list[dict[str, Any]] = []
    # most volumes take longer to read than all else, and many have too few readers with a nodule
    if len({annotation.reader for annotation in reading.annotations}) >= options.min_readers:
        volume = read_volume(case.image)
        nodules = consensus_nodules(reading, volume.array.shape, volume.affine, options.min_readers)
        for number, nodule in enumerate(nodules, 1):
            row = _describe(nodule, volume, f"{case.name}_{number:02d}", case)
            _write_cube(options.output_dir, row, volume, nodules, options.cube_size)
            rows.append(row)
    record = {"patient": case.patient, "study": reading.study, "nodules": rows}
    _write_json(options.output_dir / "patients" / f"{case.name}.json", record)


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
        path = output / part / f"{row['name']}.nii.gz"
        temporary = path.with_name(f".part-{path.name}")
        nibabel.save(nibabel.Nifti1Image(array, affine), temporary)
        temporary.replace(path)


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


def _finish(output: Path) -> tuple[int, int]:
    """List all patients done so far; returns their number and that of the nodules."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((output / "patients").glob("*.json"))]
    rows = [row for record in records for row in record["nodules"]]
    if not rows:
        raise InputError(f"{output}: no nodules were found in the {len(records)} patients done")
    temporary = output / ".nodules.csv.part"
    with temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    temporary.replace(output / "nodules.csv")
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
    _write_json(output / "dataset.json", description)
    return len(records), len(entries)


def _write_json(path: Path, content: Any) -> None:
    temporary = path.with_name(f".part-{path.name}")
    temporary.write_text(json.dumps(content, indent=1) + "\n")
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main())
