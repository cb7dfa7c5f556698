"""Chest-CT phantoms: a data set to try everything on when there is none.

The anatomy is made of soft-edged ellipsoids and tubes in HU: fat, muscle, ribs, spine, heart, aorta, airways, two lungs
above their diaphragm, branching vessels and nodules. Vessels, chest wall and nodules share their HU, and many nodules
touch a vessel or the wall, so no threshold finds them. Arrays run to the left, to the back and up, as in DICOM.
"""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

from segxfer3d.temporary import temporary_folder

VERSION = 1  # raised whenever the same arguments give other bytes
SHAPE = (80, 64, 40)
SPACING = 3.0  # mm; 240 x 192 x 120 mm, the middle of a slim chest
NODULE_RADII = (7.0, 13.0)  # mm
MARGIN = 4  # voxels by which scans of one patient may lie apart
NOISE = 20.0  # HU, standard deviation

AIR, LUNG, FAT, MUSCLE, BLOOD, BONE = -1000.0, -860.0, -100.0, 50.0, 40.0, 350.0

Array = NDArray[np.float32]


def write_phantoms(folder: str | Path, patients: int = 16, seed: int = 0) -> Path:
    """Write phantom CTs with nodule masks in the layout of the Medical Segmentation Decathlon.

    The same arguments give the same bytes on one machine. A folder that holds them already is used as it is; it appears
    whole or not at all, also where two processes write it at once.

    Args:
        folder: where to; made if missing.
        patients: number of patients; every fourth has two scans.
        seed: of everything random.

    Returns:
        the data set's folder, ``folder/phantoms-v<VERSION>-<patients>-<seed>``.
    """
    target = Path(folder) / f"phantoms-v{VERSION}-{patients}-{seed}"
    if (target / "dataset.json").is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(f".{target.name}.", target.parent) as temporary:
        try:
            temporary.chmod(0o755)
            _write(temporary, patients, seed)
            temporary.rename(target)
        except OSError:
            if not (target / "dataset.json").is_file():  # else another process was faster
                raise
    return target


def _write(root: Path, patients: int, seed: int) -> None:
    affine = np.diag([-SPACING, -SPACING, SPACING, 1.0])
    entries = []
    for patient in range(patients):
        rng = np.random.default_rng([seed, patient])
        anatomy = Anatomy(rng)
        for number in range(2 if patient % 4 == 0 else 1):
            entry = {"patient": f"phantom-{patient:03d}"}
            for key, array in zip(("image", "label"), anatomy.scan(rng), strict=True):
                entry[key] = f"./{key}sTr/phantom-{patient:03d}-{number}.nii.gz"
                (root / entry[key]).parent.mkdir(exist_ok=True)
                nibabel.save(nibabel.Nifti1Image(array, affine), root / entry[key])
            entries.append(entry)
    content = {
        "name": "Chest-CT phantoms",
        "description": f"generated, seed {seed}: not real patients",
        "tensorImageSize": "3D",
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "nodule"},
        "numTraining": len(entries),
        "numTest": 0,
        "training": entries,
        "test": [],
    }
    (root / "dataset.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def synthetic_ct(shape: tuple[int, int, int] = (512, 512, 300), seed: int = 0) -> NDArray[np.int16]:
    """A large CT in HU (X, Y, Z), for timing: a phantom blown up, with noise on every voxel."""
    rng = np.random.default_rng(seed)
    small, _ = Anatomy(rng).scan(rng)
    image = small[np.ix_(*(np.arange(n) * m // n for n, m in zip(shape, SHAPE, strict=True)))]
    noise = rng.normal(0, NOISE, 1 << 20).astype(np.int16)
    for plane in image:
        plane += np.resize(noise[rng.integers(1 << 19) :], plane.shape)
    return image


class Anatomy:
    """The chest of one phantom patient.

    Args:
        rng: decides size, shape, vessels and nodules.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        # places and lengths are in millimeters from the middle of the body
        self.axes = [(np.arange(n + MARGIN, dtype=np.float32) - (n + MARGIN - 1) / 2) * SPACING for n in SHAPE]
        self.x, self.y, self.z = np.meshgrid(*self.axes, indexing="ij", sparse=True)
        shape = tuple(len(axis) for axis in self.axes)
        self.image = np.full(shape, AIR, np.float32)
        self.lungs = np.zeros(shape, np.float32)
        self.nodules = np.zeros(shape, np.float32)
        size, width, depth = rng.uniform(0.9, 1.05), rng.uniform(0.95, 1.05), rng.uniform(0.92, 1.08)
        self._draw_wall(rng, 110 * size * width, 82 * size * depth)
        self._draw_lungs(rng, size, width, depth)
        for side in (-1, 1):
            for _ in range(4):
                start = np.array([side * 30 * size, rng.uniform(-8, 12), rng.uniform(-22, 14)])
                direction = np.array([side * 0.7, 0, 0]) + rng.normal(0, 0.6, 3)
                self._draw_vessels(rng, start, direction, rng.uniform(3.2, 4.6), 5)
        for _ in range(int(rng.integers(1, 4))):
            self._draw_nodule(rng)

    def scan(self, rng: np.random.Generator) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
        """Scan the patient: HU and the mask of the nodules, both (X, Y, Z); position and noise are the scan's own."""
        start = rng.integers(0, MARGIN + 1, 3)
        view = tuple(slice(i, i + n) for i, n in zip(start, SHAPE, strict=True))
        # blurring as below leaves a fifth of white noise
        image = self.image[view] + _blur(rng.normal(0, NOISE / 0.23, SHAPE).astype(np.float32))
        return np.clip(np.rint(image), -1024, 3071).astype(np.int16), (self.nodules[view] >= 0.5).astype(np.uint8)

    def _paint(self, cover: Array, value: float | Array, box: tuple[slice, ...] = (slice(None),) * 3) -> None:
        self.image[box] += cover * (value - self.image[box])

    def _ellipsoid(self, center: tuple[float, float, float], radii: tuple[float, float, float]) -> Array:
        """How much of each voxel is inside, 0 to 1; an infinite radius makes a cylinder."""
        parts = [((g - c) / r) ** 2 for g, c, r in zip((self.x, self.y, self.z), center, radii, strict=True)]
        return _cover((np.sqrt(parts[0] + parts[1] + parts[2]) - 1) * min(radii))

    def _draw_wall(self, rng: np.random.Generator, a: float, b: float) -> None:
        """Fat, muscle, ribs, sternum and spine in a body of the half axes ``a`` and ``b``."""
        inf = np.inf
        fat, muscle = rng.uniform(5, 12), rng.uniform(9, 13)
        self._paint(self._ellipsoid((0, 0, 0), (a, b, inf)), FAT)
        self._paint(self._ellipsoid((0, 0, 0), (a - fat, b - fat, inf)), MUSCLE)
        outer, inner = fat + 3, fat + muscle - 2
        ring = self._ellipsoid((0, 0, 0), (a - outer, b - outer, inf))
        ring -= self._ellipsoid((0, 0, 0), (a - inner, b - inner, inf))
        # ribs sink toward the front
        phase = (self.z - 0.4 * self.y + rng.uniform(0, 26)) * np.float32(2 * np.pi / 26)
        self._paint(ring * (3 * np.cos(phase) - 0.9).clip(0, 1), BONE)
        self._paint(self._ellipsoid((0, -b + fat + 6, 0), (14, 5, inf)), 250)
        discs = 180 - 120 * (8 * np.cos(self.z * np.float32(2 * np.pi / 24)) - 7).clip(0, 1)
        self._paint(self._ellipsoid((0, 0.62 * b, 0), (16, 13, inf)), discs)
        self._paint(self._ellipsoid((0, 0.82 * b, 0), (7, 6, inf)), 20)
        self._paint(self._ellipsoid((0, 0.92 * b, 0), (4, 8, inf)), BONE)

    def _draw_lungs(self, rng: np.random.Generator, size: float, width: float, depth: float) -> None:
        """Two lungs, and between them heart, aorta and airways."""
        inf = np.inf
        for side in (-1, 1):
            rx, ry = 42 * size * width, 58 * size * depth
            x = side * 47 * size * width
            lung = self._ellipsoid((x, 2, -15), (rx, ry, 100))
            dome = 10 * (1 - ((self.x - x) / rx) ** 2 - (self.y / ry) ** 2) - rng.uniform(46, 58)
            np.maximum(self.lungs, lung * _cover(dome - self.z), out=self.lungs)
        middle = [
            ((0, 18, 0), (22, 60, inf)),  # mediastinum
            ((16, -20, -34), (44, 34, 46)),  # heart
            ((15, 34, 0), (11, 11, inf)),  # aorta
        ]
        for center, radii in middle:
            self.lungs *= 1 - self._ellipsoid(center, (radii[0] * size, radii[1] * size, radii[2]))
        # denser toward the back, where a patient lies, and uneven
        parenchyma = LUNG + rng.uniform(-25, 25) + 0.6 * self.y
        for _ in range(4):
            kx, ky, kz = rng.normal(0, 0.06, 3).astype(np.float32)
            phase = np.float32(rng.uniform(0, 6))
            parenchyma = parenchyma + 14 * np.cos(kx * self.x + ky * self.y + kz * self.z + phase)
        self._paint(self.lungs, parenchyma)
        self._paint(self._ellipsoid((0, 12, 50), (8, 8, 50)), AIR)
        for side in (-1, 1):
            cover, box = self._tube(np.array([0, 12, 4]), np.array([side * 34 * size, 10, -14]), 5)
            self._paint(cover, AIR, box)

    def _draw_vessels(
        self,
        rng: np.random.Generator,
        start: NDArray[np.float64],
        direction: NDArray[np.float64],
        radius: float,
        depth: int,
    ) -> None:
        """A tube through the lungs that turns, tapers and branches."""
        for _ in range(2):
            direction = _unit(_unit(direction) + rng.normal(0, 0.22, 3))
            end = start + direction * rng.uniform(6, 13)
            cover, box = self._tube(start, end, radius)
            self._paint(cover * self.lungs[box], BLOOD, box)
            start, radius = end, radius * 0.92
        for _ in range(2 if depth > 1 else 0):
            self._draw_vessels(rng, start, direction + rng.normal(0, 0.5, 3), radius * 0.82, depth - 1)

    def _tube(
        self, start: NDArray[np.float64], end: NDArray[np.float64], radius: float
    ) -> tuple[Array, tuple[slice, ...]]:
        """How much of each voxel is within ``radius`` of the line from ``start`` to ``end``, and the box of these."""
        box = self._box(np.minimum(start, end) - radius, np.maximum(start, end) + radius)
        x, y, z = self._grid(box, start)
        dx, dy, dz = (end - start).astype(np.float32)
        along = ((x * dx + y * dy + z * dz) / (dx * dx + dy * dy + dz * dz)).clip(0, 1)
        distance = np.sqrt((x - along * dx) ** 2 + (y - along * dy) ** 2 + (z - along * dz) ** 2)
        return _cover(distance - radius), box

    def _draw_nodule(self, rng: np.random.Generator) -> None:
        """A lobed ball where nine tenths of it are lung and no other nodule is; the longer the search, the smaller."""
        radius, value = rng.uniform(*NODULE_RADII), rng.uniform(-80, 60)
        stretch, waves, phases = rng.uniform(0.85, 1.15, 3), rng.normal(0, 0.25, (3, 3)), rng.uniform(0, 6, 3)
        inside = np.argwhere(self.lungs > 0.9)
        for place in inside[rng.integers(len(inside), size=100)]:
            center = np.array([axis[i] for axis, i in zip(self.axes, place, strict=True)])
            box = self._box(center - 1.3 * radius, center + 1.3 * radius)
            x, y, z = self._grid(box, center, stretch)
            wobble = sum(np.cos(k[0] * x + k[1] * y + k[2] * z + phase) for k, phase in zip(waves, phases, strict=True))
            ball = _cover(np.sqrt(x**2 + y**2 + z**2) - radius * (1 + 0.05 * wobble))
            in_lung = ball * self.lungs[box]
            whole = 4 / 3 * np.pi * stretch.prod() * (radius / SPACING) ** 3
            if in_lung.sum() > 0.9 * max(ball.sum(), 0.8 * whole) and not (self.nodules[box] * ball).any():
                self._paint(in_lung, value, box)
                self.nodules[box] += in_lung
                return
            radius = max(0.99 * radius, NODULE_RADII[0])

    def _box(self, low: NDArray[np.float64], high: NDArray[np.float64]) -> tuple[slice, ...]:
        """The voxels between two corners, and one more all around."""
        ends = zip(self.axes, low - SPACING, high + SPACING, strict=True)
        return tuple(slice(*np.searchsorted(axis, (a, b)).tolist()) for axis, a, b in ends)

    def _grid(
        self, box: tuple[slice, ...], center: NDArray[np.float64], stretch: float | NDArray[np.float64] = 1.0
    ) -> list[Array]:
        """Places of the voxels in a box, from ``center``."""
        grid = np.meshgrid(*(axis[part] for axis, part in zip(self.axes, box, strict=True)), indexing="ij", sparse=True)
        return [
            ((g - c) / s).astype(np.float32) for g, c, s in zip(grid, center, np.broadcast_to(stretch, 3), strict=True)
        ]


def _unit(direction: NDArray[np.float64]) -> NDArray[np.float64]:
    return direction / np.linalg.norm(direction)


def _cover(distance: Array) -> Array:
    """How much of a voxel lies inside a surface ``distance`` mm away (negative: inside); partial volume, 0 to 1."""
    return (0.5 - distance / np.float32(SPACING)).clip(0, 1)


def _blur(noise: Array) -> Array:
    """Noise of neighboring voxels goes together, as reconstruction makes it: weights 1/4, 1/2, 1/4 along each axis."""
    for axis in range(3):
        noise = 0.5 * noise + 0.25 * (np.roll(noise, 1, axis) + np.roll(noise, -1, axis))
    return noise
