"""A store of pre-extracted cubes, for corpora that do not fit in memory.

One memory-mapped ``cubes.npy`` of int16 HU (N, X, Y, Z) and one ``store.json``: written once, read at random.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor

from segxfer3d.errors import InputError

INDEX = "store.json"
CUBES = "cubes.npy"


def is_cube_store(folder: str | Path) -> bool:
    """Whether a folder is a cube store."""
    return (Path(folder) / INDEX).is_file()


def write_store(
    folder: str | Path,
    parts: Iterable[tuple[str, str, Sequence[NDArray[np.int16]]]],
    size: tuple[int, int, int],
    capacity: int,
    preprocessing: Mapping[str, Any],
    seed: int = 0,
) -> int:
    """Write a store; it appears whole or not at all.

    Args:
        folder: must not exist.
        parts: ``(case, patient, cubes)`` of each volume, cubes int16 HU (X, Y, Z).
        size: voxels of a cube.
        capacity: most cubes that ``parts`` can give.
        preprocessing: what readers have to do with the HU, as ``Preprocessing.as_dict`` gives it.
        seed: with which the cubes were drawn, for the record.

    Returns:
        number of cubes written.

    Raises:
        InputError: the folder exists, or no cube came.
    """
    folder = Path(folder)
    if folder.exists():
        raise InputError(f"output_dir {folder}: exists already; expected a new folder")
    temporary = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        cubes = open_memmap(temporary / "all.npy", mode="w+", dtype=np.int16, shape=(max(1, capacity), *size))
        cases: list[dict[str, Any]] = []
        count = 0
        for case, patient, part in parts:
            for cube in part:
                cubes[count] = cube
                count += 1
            cases.append({"case": case, "patient": patient, "cubes": len(part)})
        if count == 0:
            raise InputError("no cube found: every volume is too short for the borders, or too full of tissue")
        final = open_memmap(temporary / CUBES, mode="w+", dtype=np.int16, shape=(count, *size))
        for start in range(0, count, 256):
            final[start : min(count, start + 256)] = cubes[start : min(count, start + 256)]
        final.flush()
        del cubes, final
        (temporary / "all.npy").unlink()
        index = {
            "format": "segxfer3d-cubes", "version": 1, "count": count, "size": list(size), "seed": seed,
            "preprocessing": dict(preprocessing), "cases": cases,
        }  # fmt: skip
        (temporary / INDEX).write_text(json.dumps(index, indent=1) + "\n")
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return count


class CubeStore(Sequence[dict[str, Tensor]]):
    """The cubes of a store, as ``{"image": (1, X, Y, Z) float32 in [0, 1]}``.

    Raises:
        InputError: no store, or a damaged one.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            index = json.loads((self.folder / INDEX).read_text())
            self.size: tuple[int, ...] = tuple(index["size"])
            self.preprocessing: dict[str, Any] = index["preprocessing"]
            self.cases: list[dict[str, Any]] = index["cases"]
            self.cubes = np.load(self.folder / CUBES, mmap_mode="r")
            expected = (index["count"], *self.size)
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{self.folder}: not a cube store, or damaged ({error})") from error
        if self.cubes.shape != expected:
            raise InputError(f"{self.folder}: damaged: {CUBES} has shape {self.cubes.shape}, expected {expected}")

    def provenance(self) -> dict[str, Any]:
        """Where the cubes come from."""
        return {"cases": len(self.cases), "cubes": len(self), "patients": sorted({c["patient"] for c in self.cases})}

    def __len__(self) -> int:
        return len(self.cubes)

    def __getitem__(self, index: Any) -> Any:
        low, high = self.preprocessing["window_low"], self.preprocessing["window_high"]
        cube = (np.asarray(self.cubes[index], dtype=np.float32) - low) / (high - low)
        return {"image": torch.from_numpy(np.clip(cube, 0, 1)[None])}
