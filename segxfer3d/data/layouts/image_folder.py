"""Any folder of images: with masks beside them, sorted into classes, or alone.

Images lie in ``images`` or ``image`` and masks in ``masks``, ``mask``, ``labels`` or ``label``, matched by name below
their folders; without these folders every image below the data set's folder counts. Where all images lie in subfolders
(of ``images``, or of the data set), the first of them is the class. All images are color or all are gray, as the
first one is.

A mask is 0 for background and 1 or 255 for the target, or a gray JPEG that is foreground above 127; with a number as
target it may hold any values, and that one is the target.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segxfer3d.data.case import Case, CaseSet, LabelRule, patient_of
from segxfer3d.data.io.images import image_channels
from segxfer3d.data.layouts.request import Request, images_below, refuse_lone_masks
from segxfer3d.errors import InputError, some

IMAGE_FOLDERS = ("images", "image")
MASK_FOLDERS = ("masks", "mask", "labels", "label")
RULE = LabelRule(foreground=(1, 255), either=True, threshold=127)


def read(root: Path, request: Request) -> CaseSet:
    """The images that the task can use.

    Raises:
        InputError: no images, images without masks or masks without images where masks are needed (all named, up to
            ten), no classes where they are needed, or a target that is no number.
    """
    if not root.is_dir():
        raise InputError(f"dataset_dir {root}: {'not a folder' if root.exists() else 'no such folder'}")
    image_folder = next((root / name for name in IMAGE_FOLDERS if (root / name).is_dir()), None)
    mask_folder = next((root / name for name in MASK_FOLDERS if (root / name).is_dir()), None)
    if mask_folder is not None and image_folder is None:
        raise InputError(f"{mask_folder}: masks without images; expected the folder images beside it")
    images = images_below(image_folder or root)
    if not images:
        raise InputError(f"dataset_dir {root}: no images in it")
    masks: dict[str, Path] = {}
    if request.task == "segmentation":
        if mask_folder is None:
            raise InputError(f"{root}: no masks; expected the folders images and masks in it")
        masks = images_below(mask_folder)
        if lone := [f"{images[name]} (image without mask)" for name in sorted(images.keys() - masks.keys())]:
            raise InputError(f"{root}: images and masks do not match by name: {some(lone)}")
        refuse_lone_masks(root, images, masks)
    classes = _classes(image_folder or root, images)
    if request.task == "classification":
        if len(set(classes.values())) < 2:
            raise InputError(f"{root}: no classes to tell apart; expected a folder of images for each of at least two")
        _refuse_empty_classes(image_folder or root, set(classes.values()))
    categories = tuple(sorted(set(classes.values())))
    cases = [
        Case(
            name,
            path,
            masks.get(name),
            patient_of(name, request.patient_pattern),
            categories.index(classes[name]) if classes else None,
        )
        for name, path in images.items()
    ]
    chosen = request.only(cases)
    channels = _channels(chosen)
    return CaseSet(
        root,
        "folder",
        2,
        chosen,
        label_rule=_rule(request.target),
        categories=categories,
        channels=channels,
        target=request.target or "foreground",
        official=False,
    )


def _classes(folder: Path, images: dict[str, Path]) -> dict[str, str]:
    """The class of every image by its name; none where images lie outside of subfolders."""
    parts = {name: path.relative_to(folder).parts for name, path in images.items()}
    return {name: part[0] for name, part in parts.items()} if all(len(part) > 1 for part in parts.values()) else {}


def _refuse_empty_classes(folder: Path, classes: set[str]) -> None:
    names = {path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")}
    if empty := sorted(names - classes):
        raise InputError(f"{folder}: no image of {len(empty)} of its classes: {some(empty)}")


def _channels(cases: Sequence[Case]) -> int:
    """Of the first image that can be opened; that others cannot is found when all are checked."""
    for case in cases:
        try:
            return image_channels(case.image)
        except InputError:
            continue
    return 3


def _rule(target: str) -> LabelRule:
    if not target:
        return RULE
    if not target.isdigit():
        raise InputError(f"target {target!r}: expected the number that marks the target in the masks of a folder")
    return LabelRule(foreground=(int(target),), background=None)
