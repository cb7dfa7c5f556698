"""Chest-CT phantoms: a data set to try everything on when there is none.

Geometry is drawn as ellipsoids and tubes in HU: body, chest wall, two lungs with branching vessels, ribs and spine,
mediastinum, noise, and nodules inside the lungs. Vessels, wall and nodules share their HU, so no threshold finds
the nodules.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

AIR, LUNG, FAT, TISSUE, BONE = -1000.0, -850.0, -100.0, 40.0, 400.0
SHAPE = (64, 64, 40)
SPACING = (5.0, 5.0, 5.0)


def write_phantoms(folder: str | Path, patients: int = 16, seed: int = 0) -> Path:
    """Write phantom CTs with nodule masks in the layout of the Medical Segmentation Decathlon.

    The same arguments give the same bytes. A folder that holds them already is used as it is; it appears whole or
    not at all.

    Args:
        folder: where to; made if missing.
        patients: number of patients; every fourth has two scans.
        seed: of everything random.

    Returns:
        the data set's folder, ``folder/phantoms-<patients>-<seed>``.
    """
    target = Path(folder) / f"phantoms-{patients}-{seed}"
    if (target / "dataset.json").is_file():
        return target
    temporary = target.with_name(f".{target.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    (temporary / "imagesTr").mkdir(parents=True)
    (temporary / "labelsTr").mkdir()
    affine = np.diag([*SPACING, 1.0])
    entries = []
    for patient in range(patients):
        for scan in range(2 if patient % 4 == 0 else 1):
            image, label = chest(SHAPE, np.random.default_rng([seed, patient, scan]), SPACING[0])
            name = f"phantom-{patient:03d}-{scan}.nii"
            for part, array in (("imagesTr", image), ("labelsTr", label)):
                nibabel.save(nibabel.Nifti1Image(array, affine), temporary / part / name)
            entries.append(
                {"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}", "patient": f"phantom-{patient:03d}"}
            )
    description = {
        "name": "Chest-CT phantoms",
        "description": f"generated, seed {seed}: not real patients",
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "nodule"},
        "numTraining": len(entries),
        "training": entries,
    }
    (temporary / "dataset.json").write_text(json.dumps(description, indent=1) + "\n")
    temporary.replace(target)
    return target


def chest(
    shape: tuple[int, int, int], rng: np.random.Generator, spacing: float = 5.0, noise: float = 25.0
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """One phantom: HU (X, Y, Z) int16, and its nodule mask (X, Y, Z) uint8.

    Args:
        shape: voxels.
        rng: source of everything random.
        spacing: millimeters of a voxel side; nodule radii are 11 to 20 mm, at least 1.8 voxels.
        noise: standard deviation in HU.
    """
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n, dtype=np.float32) for n in shape), indexing="ij", sparse=True)

    def inside(center: tuple[float, float, float], radii: tuple[float, float, float]) -> NDArray[np.bool_]:
        return sum(((g - c) / r) ** 2 for g, c, r in zip((x, y, z), center, radii, strict=True)) < 1  # type: ignore[return-value]

    size = rng.uniform(0.92, 1.05)
    image = np.full(shape, AIR, np.float32)
    image[inside((0, 0, 0), (0.92 * size, 0.72 * size, 9.0))] = FAT
    image[inside((0, 0, 0), (0.84 * size, 0.64 * size, 9.0))] = TISSUE
    lungs = np.zeros(shape, bool)
    for side in (-1, 1):
        lungs |= inside((side * 0.42 * size, rng.uniform(-0.05, 0.05), 0.1), (0.33 * size, 0.52 * size, 1.15))
    lungs &= ~inside((0.12, -0.12, -0.2), (0.3, 0.3, 0.7))  # heart
    image[lungs] = LUNG + rng.uniform(-30, 30)
    image[inside((0, 0.5 * size, 0), (0.1, 0.1, 9.0))] = BONE  # spine
    shell = inside((0, 0, 0), (0.88 * size, 0.68 * size, 9.0)) & ~inside((0, 0, 0), (0.82 * size, 0.62 * size, 9.0))
    image[shell & (np.sin(z * 18 + y * 3) > 0.55)] = BONE  # ribs
    _draw_vessels(image, lungs, rng)
    label = _draw_nodules(image, lungs, rng, spacing)
    image += rng.normal(0, noise, shape).astype(np.float32)
    return np.clip(image, -1024, 3000).astype(np.int16), label


def _draw_vessels(image: NDArray[np.float32], lungs: NDArray[np.bool_], rng: np.random.Generator) -> None:
    """Tubes that start at the hilum, wander outward and branch; drawn in the lungs only."""
    shape = np.array(image.shape)
    for side in (0.38, 0.62):
        stack = [(shape * (side, 0.5, 0.5), rng.normal(size=3), 1.3) for _ in range(7)]
        while stack:
            point, direction, radius = stack.pop()
            for _ in range(int(rng.integers(8, 16))):
                direction = direction + rng.normal(0, 0.35, 3)
                direction /= np.linalg.norm(direction)
                point = point + direction
                _ball(image, lungs, point, radius, TISSUE)
            if radius > 0.8:
                stack += [(point, direction + rng.normal(0, 0.8, 3), radius * 0.7) for _ in range(2)]


def _draw_nodules(
    image: NDArray[np.float32], lungs: NDArray[np.bool_], rng: np.random.Generator, spacing: float
) -> NDArray[np.uint8]:
    label = np.zeros(image.shape, np.uint8)
    inner = lungs.copy()
    for axis in range(3):  # two voxels inside the lungs, away from the borders
        for shift in (-2, 2):
            inner &= np.roll(lungs, shift, axis)
    candidates = np.argwhere(inner)
    for center in candidates[rng.integers(len(candidates), size=int(rng.integers(1, 4)))]:
        radius = max(1.8, rng.uniform(11.0, 20.0) / spacing)
        _ball(image, lungs, center, radius, TISSUE + rng.uniform(-60, 60), label)
    return label


def _ball(
    image: NDArray[np.float32],
    lungs: NDArray[np.bool_],
    center: NDArray[np.float64],
    radius: float,
    value: float,
    label: NDArray[np.uint8] | None = None,
) -> None:
    """Fill a ball, in voxels, where there is lung; mark it in ``label``."""
    low = np.maximum(0, np.floor(center - radius)).astype(int)
    high = np.minimum(image.shape, np.ceil(center + radius) + 1).astype(int)
    if (low >= high).any():
        return
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    grids = np.ogrid[box]
    distance = sum((g - c) ** 2 for g, c in zip(grids, center, strict=True))
    ball = (distance < radius**2) & lungs[box]
    image[box][ball] = value
    if label is not None:
        label[box][ball] = 1


def synthetic_ct(shape: tuple[int, int, int] = (512, 512, 300), seed: int = 0) -> NDArray[np.int16]:
    """One large CT without nodules worth naming, HU int16 (X, Y, Z), for timing inference."""
    rng = np.random.default_rng(seed)
    small, _ = chest(SHAPE, rng)
    index = [np.arange(n) * s // n for n, s in zip(shape, SHAPE, strict=True)]
    return np.ascontiguousarray(small[np.ix_(*index)])
