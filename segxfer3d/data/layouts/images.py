"""Finding the images of a data set by its name."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from segxfer3d.data.case import CaseSet
from segxfer3d.data.layouts import cityscapes, cityscapes_cars, flowers17, flowers102, image_folder, oxford_pets
from segxfer3d.data.layouts import horses as weizmann_horse
from segxfer3d.data.layouts import voc as pascal_voc
from segxfer3d.data.layouts.request import BORDERS, TASKS, Request, one_of
from segxfer3d.errors import InputError

__all__ = ["DATASETS", "find_images"]

DATASETS: dict[str, Callable[[Path, Request], CaseSet]] = {
    "flowers17": flowers17.read,
    "flowers102": flowers102.read,
    "oxford_pets": oxford_pets.read,
    "voc": pascal_voc.read,
    "cityscapes": cityscapes.read,
    "cityscapes_cars": cityscapes_cars.read,
    "horses": weizmann_horse.read,
    "folder": image_folder.read,
}


def find_images(
    dataset: str,
    dataset_dir: str | os.PathLike[str],
    target: str = "",
    task: str = "segmentation",
    border: str = "ignore",
    patient_pattern: str = "",
    patch_size: int = 256,
    seed: int = 0,
    skip_bad: bool = False,
    progress: bool = True,
) -> CaseSet:
    """Find the images of a data set, in its official layout; images are not opened.

    Masks are opened only by ``voc``, ``cityscapes`` and ``cityscapes_cars``, to see what they show.

    Args:
        dataset: one of :data:`DATASETS`; each reader's module says what its layout is and where the files come from.
        dataset_dir: the data set's folder.
        target: what to segment, or which classes to tell apart (``voc``: comma between them); "" where a data set has
            only one.
        task: ``segmentation`` gives images with masks, ``classification`` images with classes, ``images`` images alone
            (of the target, where one is given).
        border: what pixels are that the annotators left open (``oxford_pets``: value 3, ``voc``: 255): ``ignore``,
            ``foreground`` or ``background``.
        patient_pattern: finds the patient in a file's name (``folder``), see
            :func:`~segxfer3d.data.case.patient_of`.
        patch_size: pixels of a side of a patch (``cityscapes_cars``).
        seed: of the patches (``cityscapes_cars``).
        skip_bad: where masks are opened, go on without those that cannot be used.
        progress: show a bar where masks are opened.

    Returns:
        the images, sorted by name, and in ``notes`` what a user should hear.

    Raises:
        InputError: unknown names (with the nearest known one), missing files (with their source), or no image at all.
    """
    reader = DATASETS[one_of("dataset", dataset, list(DATASETS))]
    one_of("task", task, TASKS)
    one_of("border", border, BORDERS)
    root = Path(dataset_dir).expanduser()
    if not root.is_dir():
        raise InputError(f"dataset_dir {root}: {'not a folder' if root.exists() else 'no such folder'}")
    found = reader(root, Request(target, task, border, patient_pattern, patch_size, seed, skip_bad, progress))
    if task != "classification":
        found = replace(found, categories=())
    if not found.cases:
        raise InputError(
            f"dataset_dir {root}: no images for {task}{f' of {found.target}' if found.target else ''} in it"
        )
    return found
