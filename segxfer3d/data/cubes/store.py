"""A store of pre-extracted cubes, for corpora that do not fit in memory: written once, read at random.

A folder with two files. `cubes.npy` is one array (N, X, Y, Z) of int16, cube after cube, which is read
through a memory map: one cube is one contiguous stretch of the file. `store.json` says what is in it. Voxels
are whole HU, clipped to the window, where intensities are a window of HU; where they are percentiles of the
volume (MR), [0, 1] in steps of 1/32767. That is 256 KiB for a cube of 64x64x32, 7 GiB for LUNA16.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from monai.transforms import Compose
from numpy.lib.format import write_array_header_1_0
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from segxfer3d.augment.cubes import CropRule, sample_cubes
from segxfer3d.data.case import Case
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError

INDEX = "store.json"
CUBES = "cubes.npy"
_FORMAT, _VERSION = "segxfer3d-cubes", 1
_HIGHEST = 32767


@dataclass(frozen=True)
class StoredCase:
    """Where cubes of a store come from.

    Attributes:
        case: name in its data set.
        patient: whose it is.
        fold: official fold, where there is one.
        spacing: millimeters along x, y, z of the grid that the cubes were cut from (oriented RAS).
        starts: first voxel (x, y, z) of each of its cubes on that grid.
        checksums: CRC-32 of each cube's bytes.
    """

    case: str
    patient: str
    fold: int | None
    spacing: tuple[float, ...]
    starts: list[list[int]]
    checksums: list[int]


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


def is_cube_store(folder: str | Path) -> bool:
    """Whether a folder is a cube store."""
    return (Path(folder) / INDEX).is_file()


def write_store(
    folder: str | Path,
    cases: Sequence[Case],
    preprocessing: VolumePreprocessing,
    size: tuple[int, int, int] = (64, 64, 32),
    rule: CropRule | None = None,
    cubes_per_volume: int = 32,
    seed: int = 0,
    progress: bool = False,
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
        rule: which crops are accepted; None for any.
        cubes_per_volume: cubes wanted from each case.
        seed: a whole number, at least 0.
        progress: show a bar.

    Raises:
        InputError: a knob is out of range, the folder exists, the disk is full, or there is not a single
            cube.
    """
    folder = Path(folder)
    low, high = _scale(preprocessing)
    if min(size) < 1 or cubes_per_volume < 1 or seed < 0:
        raise InputError("a cube store needs sides and cubes_per_volume of at least 1 and a seed of at least 0")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists already; expected a new folder for the cube store")
    report = StoreReport()
    transform = preprocessing.image_transform()
    partial = folder.absolute().with_name(f".{folder.absolute().name}.part")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        with (partial / CUBES).open("wb") as file:
            _write_header(file, 0, size)
            for case in tqdm(cases, desc="cubes", disable=not progress):
                try:
                    volume, spacing = _load(transform, case)
                except Exception as error:  # whatever a reader raises: one bad volume must not end a long job
                    report.bad[case.name] = _cause(error)
                    continue
                cubes, starts = sample_cubes(volume, size, rule, cubes_per_volume, _generator(seed, case.name))
                if len(cubes) == 0:
                    report.empty[case.name] = _why_empty(volume.shape, size, rule)
                    continue
                stored = np.rint(cubes * np.float32(high - low) + np.float32(low)).astype("<i2")
                file.write(stored.tobytes())
                sums = [zlib.crc32(cube) for cube in stored]
                report.cases.append(StoredCase(case.name, case.patient, case.fold, spacing, starts.tolist(), sums))
            if report.count == 0:
                reasons = [f"{name}: {why}" for name, why in (report.bad | report.empty).items()]
                raise InputError(f"not a single cube from {len(cases)} volumes; {'; '.join(reasons[:10])}")
            _write_header(file, report.count, size)
            os.fsync(file.fileno())
        index = {
            "format": _FORMAT,
            "version": _VERSION,
            "count": report.count,
            "size": list(size),
            "seed": seed,
            "rule": asdict(rule) if rule else None,
            "preprocessing": preprocessing.as_dict(),
            **asdict(report),
        }
        (partial / INDEX).write_text(json.dumps(index) + "\n")
        partial.replace(folder.absolute())
    except OSError as error:
        raise InputError(f"cannot write the cube store {folder}: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return report


def _load(transform: Compose, case: Case) -> tuple[NDArray[np.float32], tuple[float, ...]]:
    """A case's volume (X, Y, Z) in [0, 1] and its spacing."""
    loaded = transform({"image": str(case.image)})["image"]
    volume = loaded.numpy()[0]
    if not (volume.min() >= 0 and volume.max() <= 1):
        raise InputError("intensities are not numbers")
    return volume, tuple(float(side) for side in loaded.pixdim)


def _scale(preprocessing: VolumePreprocessing) -> tuple[float, float]:
    """Stored values of the intensities 0 and 1."""
    if preprocessing.intensity != "window":
        return 0, _HIGHEST
    low, high = preprocessing.window_low, preprocessing.window_high
    if not -_HIGHEST <= low < high <= _HIGHEST:
        raise InputError(f"window {low:g} to {high:g} HU: a cube store keeps whole HU from -32767 to 32767")
    return low, high


def _generator(seed: int, name: str) -> np.random.Generator:
    digest = hashlib.sha256(name.encode()).digest()[:8]
    return np.random.default_rng([seed, int.from_bytes(digest, "little")])


def _write_header(file: BinaryIO, count: int, size: tuple[int, int, int]) -> None:
    """The header of the NumPy file; its length does not depend on the count, for which NumPy leaves room."""
    file.seek(0)
    write_array_header_1_0(file, {"descr": "<i2", "fortran_order": False, "shape": (count, *size)})


def _cause(error: BaseException) -> str:
    """The first error of a chain (MONAI wraps it), in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _why_empty(shape: tuple[int, ...], size: tuple[int, int, int], rule: CropRule | None) -> str:
    if rule is not None and rule.starts(shape, size) is None:
        return f"{shape} voxels are too short for {size} inside borders of {rule.border}"
    return "no crop with so little tissue was found"


class CubeStore(Sequence[dict[str, Tensor]]):
    """The cubes of a store, as `{"image": (1, X, Y, Z) float32 in [0, 1]}`.

    A cube's checksum is compared when a process reads it for the first time. The memory map is opened by each
    process for itself, so that a store can be handed to loader workers.

    Attributes:
        folder: where it lies.
        size: voxels of a cube along x, y, z.
        preprocessing: of the volumes, as `VolumePreprocessing.as_dict` gives it.
        cases: where the cubes come from; those of a case follow each other, in this order.

    Raises:
        InputError: no store, half of one or a damaged one; when a cube is read, a damaged cube.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        path = self.folder / INDEX
        try:
            index = json.loads(path.read_text(encoding="utf-8"))
            if (index["format"], index["version"]) != (_FORMAT, _VERSION):
                raise InputError(f"{path}: not a cube store that this version reads")
            self.size: tuple[int, ...] = tuple(index["size"])
            self.preprocessing: dict[str, Any] = index["preprocessing"]
            self.cases = tuple(StoredCase(**case) for case in index["cases"])
            self._scale = _scale(VolumePreprocessing.from_dict(self.preprocessing))
            self._count = int(index["count"])
            self._sums = np.array([value for case in self.cases for value in case.checksums], dtype=np.uint32)
        except FileNotFoundError:
            raise InputError(f"{self.folder}: no cube store ({INDEX} is missing)") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path}: damaged ({type(error).__name__}: {error})") from error
        if len(self._sums) != self._count:
            raise InputError(f"{path}: damaged: it lists {len(self._sums)} cubes and counts {self._count}")
        self._rows = np.arange(self._count)
        self._known = np.zeros(self._count, dtype=bool)
        self._map: NDArray[np.int16] | None = None
        self._open()

    def _open(self) -> NDArray[np.int16]:
        if self._map is None:
            path, shape = self.folder / CUBES, (self._count, *self.size)
            try:
                opened = np.load(path, mmap_mode="r", allow_pickle=False)
                spare = path.stat().st_size - opened.offset - opened.nbytes
            except (OSError, ValueError, EOFError, AttributeError) as error:
                raise InputError(f"{path}: missing or damaged ({error})") from error
            if opened.shape != shape or opened.dtype != np.int16 or spare:
                raise InputError(f"{path}: damaged: holds {opened.dtype} {opened.shape}, expected int16 {shape}")
            self._map = opened
        return self._map

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_map": None}

    @property
    def patients(self) -> list[str]:
        """Whose cubes these are, sorted."""
        return sorted({case.patient for case in self.cases})

    def select(self, patients: Collection[str]) -> CubeStore:
        """The cubes of these patients only, for a split; patients without a cube are passed over.

        Raises:
            InputError: there is none.
        """
        ends = np.cumsum([len(case.starts) for case in self.cases])
        chosen = [i for i, case in enumerate(self.cases) if case.patient in patients]
        if not chosen:
            raise InputError(f"{self.folder}: no cube of the {len(patients)} patients that were asked for")
        part = CubeStore.__new__(CubeStore)
        part.__dict__.update(self.__dict__)
        part.cases = tuple(self.cases[i] for i in chosen)
        part._rows = np.concatenate([self._rows[ends[i] - len(self.cases[i].starts) : ends[i]] for i in chosen])
        return part

    def provenance(self) -> dict[str, Any]:
        """Where the cubes come from."""
        return {"cases": len(self.cases), "cubes": len(self), "patients": self.patients}

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        row = self._rows[index]
        stored = self._open()[row]
        if not self._known[row]:
            if zlib.crc32(stored.tobytes()) != self._sums[row]:
                raise InputError(f"{self.folder / CUBES}: cube {row} is damaged; write the store again")
            self._known[row] = True
        low, high = self._scale
        cube = stored.astype(np.float32)
        cube -= np.float32(low)
        cube /= np.float32(high - low)
        return {"image": torch.from_numpy(cube[None])}
