"""The official layout of Oxford Flowers 102: ``jpg/image_00001.jpg``, ``segmim/segmim_00001.jpg``, ``imagelabels.mat``.

A segmented image shows the flower on a blue backdrop, (0, 0, 254). These are JPEGs, whose colors are off around edges,
so everything within :data:`TOLERANCE` of that blue is background (our choice; nothing official says it). They are
segmentations by a program, not by people. The classes lie in a MATLAB file, which only classification needs; SciPy
reads it. The official names of the classes are not in the archives: they are
numbers here, ``001`` to ``102``.
"""

from __future__ import annotations

import re
from pathlib import Path

from segxfer3d.data.case import Case, CaseSet, LabelRule
from segxfer3d.data.layouts.listing import images_below
from segxfer3d.data.layouts.request import Request, count_note, folder_of, refuse_lone_masks, require
from segxfer3d.errors import InputError

TITLE = "Oxford Flowers 102"
SOURCE = (
    "102flowers.tgz, 102segmentations.tgz and imagelabels.mat of https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"
)
DIMS = (2,)

CATEGORIES = tuple(f"{number:03d}" for number in range(1, 103))
IMAGES = 8189
TOLERANCE = 60.0  # gray levels, Euclidean
RULE = LabelRule(color=(0, 0, 254), tolerance=TOLERANCE, color_is_background=True)

_NAME = re.compile(r"image_(\d{5})")


def fits(root: Path) -> bool:
    """Whether there is ``jpg/image_00001.jpg`` (five digits) or another of these names."""
    folder = folder_of(root, "jpg", ("102flowers",)) / "jpg"
    return folder.is_dir() and any(_NAME.fullmatch(path.stem) for path in folder.glob("image_*.jpg"))


def read(root: Path, request: Request) -> CaseSet:
    """All images, with what the task needs beside them.

    Raises:
        InputError: files are missing, there is a target, a label is out of range, or SciPy is needed and not there.
    """
    request.refuse_target("flowers102")
    root = folder_of(root, "jpg", ("102flowers",))
    beside = {"segmentation": ("segmim",), "classification": ("imagelabels.mat",)}.get(request.task, ())
    require(root, ("jpg", *beside), title=TITLE, source=SOURCE)
    images = {name: path for name, path in images_below(root / "jpg").items() if _NAME.fullmatch(name)}
    masks = {}
    if request.task == "segmentation":
        masks = {name.replace("segmim", "image"): p for name, p in images_below(root / "segmim").items()}
        refuse_lone_masks(root, images, masks)
    labels = _labels(root / "imagelabels.mat") if request.task == "classification" else []
    cases = []
    for name, path in images.items():
        number = int(name.removeprefix("image_"))
        if labels and not 1 <= number <= len(labels):
            raise InputError(f"{path}: imagelabels.mat has {len(labels)} labels, none for this image")
        cases.append(Case(name, path, masks.get(name), category=labels[number - 1] if labels else None))
    chosen = request.only(cases)
    categories = CATEGORIES if labels else ()
    notes = count_note("flowers102", len(chosen), expected=IMAGES, whose="the data set has")
    return CaseSet(
        root,
        "flowers102",
        2,
        chosen,
        label_rule=RULE,
        categories=categories,
        target="flower",
        notes=notes,
    )


def _labels(path: Path) -> list[int]:
    """The classes of all images, counted from 0."""
    from scipy.io import loadmat  # here, for few need it and it takes a while to import
    from scipy.io.matlab import MatReadError

    try:
        labels = [int(label) - 1 for label in loadmat(path)["labels"].ravel()]
    except (OSError, ValueError, KeyError, TypeError, NotImplementedError, MatReadError) as error:
        raise InputError(f"{path}: not the labels of Oxford Flowers 102 ({type(error).__name__}: {error})") from error
    if not all(0 <= label < len(CATEGORIES) for label in labels):
        raise InputError(f"{path}: labels from {min(labels) + 1} to {max(labels) + 1}; expected 1 to {len(CATEGORIES)}")
    return labels
