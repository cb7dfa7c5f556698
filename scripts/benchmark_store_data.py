"""CTs of true shape whose constant blocks compress to little, for the benchmark of the store."""

from __future__ import annotations

import json
import os
from pathlib import Path

import nibabel
import numpy as np

BLOCK = 12  # voxels of a side
BLOCKS = 20  # of a CT, each of which may be a class
AFFINE = np.diag([0.7, 0.7, 2.5, 1])


def write_blocks(root: Path, count: int, shape: tuple[int, ...], classes: int) -> Path:
    """Write CTs as a Decathlon folder below ``root``, each of which shows all classes.

    What an earlier call wrote there with the same shape is linked: images are the same whatever the number of classes.
    """
    pool, data = root / "files", root / f"{count}-cts-{classes}-classes"
    pool.mkdir(parents=True, exist_ok=True)
    pairs = []
    for part in ("imagesTr", "labelsTr"):
        (data / part).mkdir(parents=True)
    for number in range(count):
        places = {"imagesTr": pool / f"ct{number:03}.nii.gz", "labelsTr": pool / f"ct{number:03}-{classes}.nii.gz"}
        if not all(path.is_file() for path in places.values()):
            for path, array in zip(places.values(), _blocks(number, shape, classes), strict=True):
                nibabel.save(nibabel.Nifti1Image(array, AFFINE), path)
        for part, path in places.items():
            os.link(path, data / part / f"ct{number:03}.nii.gz")
        pairs.append({"image": f"imagesTr/ct{number:03}.nii.gz", "label": f"labelsTr/ct{number:03}.nii.gz"})
    names = {"0": "background", **{str(value): f"class {value}" for value in range(1, classes + 1)}}
    content = {"labels": names, "modality": {"0": "CT"}, "training": pairs, "test": []}
    (data / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
    return data


def _blocks(number: int, shape: tuple[int, ...], classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Image and label of a CT; which blocks may lie on each other."""
    rng = np.random.default_rng(number)
    image, label = np.full(shape, -900, dtype=np.int16), np.zeros(shape, dtype=np.uint8)
    for value in range(BLOCKS, 0, -1):  # the first class last: it is always there
        place = tuple(slice(start, start + BLOCK) for start in (rng.integers(0, side - BLOCK) for side in shape))
        image[place] = rng.integers(-500, 800)
        if value <= classes:
            label[place] = value
    return image, label
