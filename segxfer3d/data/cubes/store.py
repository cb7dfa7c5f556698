"""A store of pre-extracted cubes, for corpora that do not fit in memory: written once, read at random.

A folder with two files. `cubes.npy` is one array (N, X, Y, Z) of int16, cube after cube, which is read
through a memory map: one cube is one contiguous stretch of the file. `store.json` says what is in it. Voxels
are whole HU, clipped to the window, where intensities are a window of HU; where they are percentiles of the
volume (MR), [0, 1] in steps of 1/32767. That is 256 KiB for a cube of 64x64x32, 7 GiB for LUNA16. Cubes of several
channels are (N, C, X, Y, Z), each channel stored by its own rule.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segxfer3d import documents, files
from segxfer3d.data.case import Case
from segxfer3d.data.preprocessing.intensities import UNIT
from segxfer3d.data.preprocessing.kinds import VOLUMES
from segxfer3d.data.preprocessing.scale import Scale
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError
from segxfer3d.schema.kinds import FLAG, NUMBER, OBJECT, TEXT, WHOLE, Entries, Kind, ListOf, number, optional

INDEX = "store.json"
CUBES = "cubes.npy"
FORMAT, VERSION, OF_CHANNELS = "segxfer3d-cubes", 1, 2  # what one channel is written as, and several
HIGHEST = 32767


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
        content: what the volume showed, see :func:`~segxfer3d.data.content_hash.voxels_hash`; empty where an earlier
            version wrote the store.
    """

    case: str
    patient: str
    fold: int | None
    spacing: tuple[float, ...]
    starts: list[list[int]]
    checksums: list[int]
    content: str = ""


_CHECKSUM = number("a checksum", 0, 2**32 - 1, whole=True)
_CASE: dict[str, Kind] = {
    "case": TEXT,
    "patient": TEXT,
    "fold": optional(WHOLE),
    "spacing": ListOf(NUMBER, 3),
    "starts": ListOf(ListOf(WHOLE, 3)),
    "checksums": ListOf(_CHECKSUM),
}
_LISTED: dict[str, Kind] = {
    "case": TEXT,
    "patient": TEXT,
    "fold": optional(WHOLE),
    "part": TEXT,
    "labeled": FLAG,
}
_INDEX = Entries(
    {
        "format": TEXT,
        "version": WHOLE,
        "count": number("a whole number of at least 0", 0, whole=True),
        "size": ListOf(number("a whole number from 1 to 8192", 1, 8192, whole=True), 3),
        "preprocessing": VOLUMES,
        "cases": ListOf(Entries(_CASE, {"content": TEXT})),
    },
    {"data": TEXT, "listed": ListOf(Entries(_LISTED)), "bad": OBJECT},  # what earlier versions did not write
)


def is_cube_store(folder: str | Path) -> bool:
    """Whether a folder is a cube store."""
    return (Path(folder) / INDEX).is_file()


def stored_scales(preprocessing: VolumePreprocessing) -> list[tuple[float, float]]:
    """Stored values of the intensities 0 and 1, of each channel.

    Raises:
        InputError: HU, or intensities, that a store cannot keep.
    """
    return [_stored(scale) for scale in preprocessing.scales]


def _stored(scale: Scale) -> tuple[float, float]:
    if scale.intensity not in UNIT:
        raise InputError(
            f"intensity {scale.intensity}: a cube store keeps what lies in [0, 1]; expected {' or '.join(UNIT)}"
        )
    if scale.intensity != "window":
        return 0, HIGHEST
    low, high = scale.clip
    if not -HIGHEST <= low < high <= HIGHEST:
        raise InputError(f"window {low:g} to {high:g} HU: a cube store keeps whole HU from -32767 to 32767")
    return low, high


class CubeStore(Sequence[dict[str, Tensor]]):
    """The cubes of a store, as `{"image": (C, X, Y, Z) float32 in [0, 1]}`.

    A cube's checksum is compared when a process reads it for the first time. The memory map is opened by each
    process for itself, so that a store can be handed to loader workers.

    Attributes:
        folder: where it lies.
        size: voxels of a cube along x, y, z.
        preprocessing: of the volumes, as `VolumePreprocessing.as_dict` gives it.
        cases: where the cubes come from; those of a case follow each other, in this order.
        data: what checkpoints call the data set that they were cut from; empty where the store does not say it.
        listed: all volumes of that data set, with cubes or without: who they are and whether they have a label, but not
            their files; empty where the store does not say it.
        bad: names of those that could not be read.
        identity: fingerprint of all of it.

    Raises:
        InputError: no store, half of one or a damaged one; when a cube is read, a damaged cube.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        path = self.folder / INDEX
        if not path.is_file():
            raise InputError(f"{self.folder}: no cube store ({INDEX} is missing)")
        index = documents.read(path, _INDEX, written=True)
        if index["format"] != FORMAT or index["version"] not in (VERSION, OF_CHANNELS):
            raise InputError(f"{path}: not a cube store that this version reads")
        self.identity = files.digest(index)  # it lists the checksum of every cube
        self.size: tuple[int, ...] = tuple(index["size"])
        self.preprocessing: dict[str, Any] = index["preprocessing"]
        self.cases = tuple(
            StoredCase(**{name: case[name] for name in _CASE}, content=case.get("content", ""))
            for case in index["cases"]
        )
        self.data: str = index.get("data", "")
        self.listed = tuple(_listed(self.folder, **entry) for entry in index.get("listed", ()))
        self.bad = frozenset(index.get("bad", ()))
        self._scales = stored_scales(VolumePreprocessing.from_dict(self.preprocessing))
        self._count: int = index["count"]
        self._sums = np.array([value for case in self.cases for value in case.checksums], dtype=np.uint32)
        if len(self._sums) != self._count:
            raise InputError(f"{path}: damaged: it lists {len(self._sums)} cubes and counts {self._count}")
        self._known = np.zeros(self._count, dtype=bool)
        self._map: NDArray[np.int16] | None = None
        self._open()

    def _open(self) -> NDArray[np.int16]:
        if self._map is None:
            channels = (len(self._scales),) if len(self._scales) > 1 else ()
            path, shape = self.folder / CUBES, (self._count, *channels, *self.size)
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

    def rows(self, cases: Collection[str]) -> list[int]:
        """The numbers of the cubes of some cases."""
        ends = np.cumsum([len(case.starts) for case in self.cases]).tolist()
        spans = zip(self.cases, [0, *ends], ends, strict=False)
        return [row for case, first, end in spans if case.case in cases for row in range(first, end)]

    @property
    def patients(self) -> list[str]:
        """Whose cubes these are, sorted."""
        return sorted({case.patient for case in self.cases})

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        row = range(self._count)[index]
        stored = self._open()[row]
        if not self._known[row]:
            if zlib.crc32(stored.tobytes()) != self._sums[row]:
                raise InputError(f"{self.folder / CUBES}: cube {row} is damaged; write the store again")
            self._known[row] = True
        cube = stored.astype(np.float32).reshape(len(self._scales), *self.size)
        for channel, (low, high) in zip(cube, self._scales, strict=True):
            channel -= np.float32(low)
            channel /= np.float32(high - low)
        return {"image": torch.from_numpy(cube)}


def _listed(folder: Path, *, case: str, patient: str, fold: int | None, part: str, labeled: bool) -> Case:
    return Case(case, folder, folder if labeled else None, patient, fold=fold, part=part)
