"""Writing a cube store: cubes cut from all volumes of a data set, once."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib.format import write_array_header_1_0
from numpy.typing import NDArray
from tqdm import tqdm

from segxfer3d import files
from segxfer3d.augment.cubes import CropRule, sample_cubes
from segxfer3d.data.case import Case
from segxfer3d.data.content_hash import voxels_hash
from segxfer3d.data.cubes.store import CUBES, FORMAT, INDEX, OF_CHANNELS, VERSION, StoredCase, stored_scales
from segxfer3d.data.preprocessing.loaded_channels import require_channels
from segxfer3d.data.preprocessing.loaded_volumes import load_volume
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing, transformed
from segxfer3d.errors import InputError, some


@dataclass
class StoreReport:
    """What became of the cases of a new store.

    Attributes:
        cases: those that have cubes.
        bad: name -> what is wrong, of those that could not be read.
        empty: name -> why there is no cube, of the others.
    """

    cases: list[StoredCase] = field(default_factory=list)
    bad: dict[str, str] = field(default_factory=dict)
    empty: dict[str, str] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Number of cubes."""
        return sum(len(case.starts) for case in self.cases)


def write_store(
    folder: str | Path,
    cases: Sequence[Case],
    *,
    preprocessing: VolumePreprocessing,
    size: tuple[int, int, int] = (64, 64, 32),
    rule: CropRule | None = None,
    cubes_per_volume: int = 32,
    seed: int = 0,
    progress: bool = False,
    data: str = "",
) -> StoreReport:
    """Cut cubes from volumes and write them to a new store, which appears whole or not at all.

    A case that cannot be read is left out and reported, and so is one without a cube: under a rule because it
    is too short or too full of tissue. The cubes of a case depend on its name and the seed, not on the other
    cases.

    Args:
        folder: of the store; must not exist, or be empty.
        cases: volumes to cut cubes from.
        preprocessing: of every volume, before the cubes are cut.
        size: voxels of a cube along x, y, z.
        rule: which crops are accepted, by the first channel; None for any.
        cubes_per_volume: cubes wanted from each case.
        seed: a whole number, at least 0.
        progress: show a bar.
        data: what checkpoints call the data set; empty where it is none.

    Raises:
        InputError: an argument is out of range, the folder exists, the disk is full, or there is not a single
            cube.
    """
    folder = Path(folder)
    stored_scales(preprocessing)
    shape = (preprocessing.channels, *size) if preprocessing.channels > 1 else size
    if min(size) < 1 or cubes_per_volume < 1 or seed < 0:
        raise InputError("a cube store needs sides and cubes_per_volume of at least 1 and a seed of at least 0")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists already; expected a new folder for the cube store")
    report = StoreReport()
    with files.new_folder(folder) as partial:
        with (partial / CUBES).open("wb") as file:
            _write_header(file, 0, shape)
            for case in tqdm(cases, desc="cubes", disable=not progress):
                _write_cubes(file, case, report, preprocessing, size, rule, cubes_per_volume, seed)
            if report.count == 0:
                reasons = [f"{name}: {why}" for name, why in (report.bad | report.empty).items()]
                raise InputError(f"not a single cube from {len(cases)} volumes; {some(reasons)}")
            _write_header(file, report.count, shape)
            os.fsync(file.fileno())
        index = {
            "format": FORMAT,
            "version": VERSION if preprocessing.channels == 1 else OF_CHANNELS,
            "count": report.count,
            "size": list(size),
            "seed": seed,
            "rule": asdict(rule) if rule else None,
            "preprocessing": preprocessing.as_dict(),
            **asdict(report),
            "data": data,
            "listed": [
                {
                    "case": case.name,
                    "patient": case.patient,
                    "fold": case.fold,
                    "part": case.part,
                    "labeled": case.label is not None,
                }
                for case in cases
            ],
        }
        files.write_text(partial / INDEX, json.dumps(index) + "\n")
    return report


def _write_cubes(
    file: BinaryIO,
    case: Case,
    report: StoreReport,
    preprocessing: VolumePreprocessing,
    size: tuple[int, int, int],
    rule: CropRule | None,
    count: int,
    seed: int,
) -> None:
    """Add the cubes of one case to the file, and what became of it to the report."""
    try:
        volume, spacing, content = _load(preprocessing, case)
    except Exception as error:  # whatever a reader raises: one bad volume must not end a long job
        report.bad[case.name] = _cause(error)
        return
    cubes, starts = sample_cubes(volume, size, rule, count, _generator(seed, case.name))
    if len(cubes) == 0:
        report.empty[case.name] = _why_empty(volume.shape[-3:], size, rule)
        return
    stored = np.empty(cubes.shape, "<i2")
    for number, (low, high) in enumerate(stored_scales(preprocessing)):
        at = (slice(None), number) if volume.ndim == 4 else ()
        stored[at] = np.rint(cubes[at] * np.float32(high - low) + np.float32(low))
    file.write(stored.tobytes())
    sums = [zlib.crc32(cube) for cube in stored]
    report.cases.append(StoredCase(case.name, case.patient, case.fold, spacing, starts.tolist(), sums, content))


def _load(preprocessing: VolumePreprocessing, case: Case) -> tuple[NDArray[np.float32], tuple[float, ...], str]:
    """A case's volume (X, Y, Z), of several channels (C, X, Y, Z), in [0, 1], its spacing, and its fingerprint."""
    read = load_volume(case, label=False)
    content = voxels_hash(read.channels)
    require_channels(case, read.channels, preprocessing.channels, preprocessing.channel_names)
    loaded = transformed(preprocessing.image_transform(), case, read, ["image"])["image"]
    volume = loaded.numpy()
    if not (volume.min() >= 0 and volume.max() <= 1):
        raise InputError("intensities are not numbers")
    return volume if len(volume) > 1 else volume[0], tuple(float(side) for side in loaded.pixdim), content


def _generator(seed: int, name: str) -> np.random.Generator:
    digest = hashlib.sha256(name.encode()).digest()[:8]
    return np.random.default_rng([seed, int.from_bytes(digest, "little")])


def _write_header(file: BinaryIO, count: int, shape: tuple[int, ...]) -> None:
    """The header of the NumPy file; its length does not depend on the count, for which NumPy leaves room."""
    file.seek(0)
    write_array_header_1_0(file, {"descr": "<i2", "fortran_order": False, "shape": (count, *shape)})


def _cause(error: BaseException) -> str:
    """The first error of a chain (MONAI wraps it), in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _why_empty(shape: tuple[int, ...], size: tuple[int, int, int], rule: CropRule | None) -> str:
    if rule is not None and rule.starts(shape, size) is None:
        return f"{shape} voxels are too short for {size} inside borders of {rule.border}"
    return "no crop with so little tissue was found"
