"""Any folder of images: with masks beside them, sorted into classes, or alone; see
:mod:`~segxfer3d.data.layouts.folder`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from segxfer3d.data.case import Case, CaseSet, LabelRule, patient_of
from segxfer3d.data.io.images import image_channels
from segxfer3d.data.layouts.dataset_json import NAME, read_classes
from segxfer3d.data.layouts.listing import images_below, refuse_other_kind
from segxfer3d.data.layouts.request import Request, one_of, refuse_lone_masks
from segxfer3d.errors import InputError, some

IMAGE_FOLDERS = ("images", "image")
MASK_FOLDERS = ("masks", "mask", "labels", "label")
RULE = LabelRule(foreground=(1, 255), either=True, threshold=127)
IGNORED = "ignore"  # what nnU-Net calls pixels that neither train nor count


def read_images(root: Path, request: Request) -> CaseSet:
    """The images that the task can use.

    Raises:
        InputError: no images, images without masks or masks without images where masks are needed (all named, up to
            ten), no classes where they are needed, or a target that is neither a number nor a class.
    """
    image_folder = next((root / name for name in IMAGE_FOLDERS if (root / name).is_dir()), None)
    mask_folder = next((root / name for name in MASK_FOLDERS if (root / name).is_dir()), None)
    images = images_below(image_folder or root)
    if not images:
        refuse_other_kind(root, request.dims, request.task)
    if mask_folder is not None and image_folder is None:
        raise InputError(f"{mask_folder}: masks without images; expected the folder images beside it")
    if not images:
        raise InputError(f"dataset_dir {root}: no images in it")
    masks: dict[str, Path] = {}
    if request.task == "segmentation":
        masks = _masks(root, mask_folder, images)
    categories = _categories(image_folder or root, images)
    if request.task == "classification":
        if len(set(categories.values())) < 2:
            raise InputError(f"{root}: no classes to tell apart; expected a folder of images for each of at least two")
        _refuse_empty(image_folder or root, set(categories.values()))
    names = tuple(sorted(set(categories.values())))
    chosen = request.only(
        Case(
            name,
            path,
            masks.get(name),
            patient_of(name, request.patient_pattern),
            category=names.index(categories[name]) if categories else None,
        )
        for name, path in images.items()
    )
    classes, rule = _classes(root, request.target) if request.task == "segmentation" else ({}, RULE)
    return CaseSet(
        root,
        "folder",
        2,
        chosen,
        classes,
        rule,
        categories=names,
        channels=_channels(chosen),
        target=request.target or ",".join(classes.values()) or "foreground",
        official=False,
    )


def _masks(root: Path, folder: Path | None, images: Mapping[str, Path]) -> dict[str, Path]:
    """The mask of every image, by the image's name."""
    if folder is None:
        raise InputError(f"{root}: no masks; expected the folders images and masks in it")
    masks = images_below(folder)
    if lone := [f"{images[name]} (image without mask)" for name in sorted(images.keys() - masks.keys())]:
        raise InputError(f"{root}: images and masks do not match by name: {some(lone)}")
    refuse_lone_masks(root, images, masks)
    return masks


def _categories(folder: Path, images: Mapping[str, Path]) -> dict[str, str]:
    """The category of every image by its name; none where images lie outside of subfolders."""
    parts = {name: path.relative_to(folder).parts for name, path in images.items()}
    return {name: part[0] for name, part in parts.items()} if all(len(part) > 1 for part in parts.values()) else {}


def _refuse_empty(folder: Path, categories: set[str]) -> None:
    names = {path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")}
    if empty := sorted(names - categories):
        raise InputError(f"{folder}: no image of {len(empty)} of its classes: {some(empty)}")


def _channels(cases: Sequence[Case]) -> int:
    """Of the first image that can be opened; that others cannot is found when all are checked."""
    for case in cases:
        try:
            return image_channels(case.image)
        except InputError:
            continue
    return 3


def _classes(root: Path, target: str) -> tuple[dict[int, str], LabelRule]:
    """The classes that a ``dataset.json`` or the target names, and what the masks' values mean."""
    if target.isdigit():
        return {}, LabelRule(foreground=(int(target),), background=None)
    declared = read_classes(root)
    if not declared:
        if target:
            raise InputError(
                f"target {target!r}: expected the number that marks the target in the masks of a folder, or a class "
                f"of a {NAME} beside them"
            )
        return {}, RULE
    ignored = tuple(value for value, name in declared.items() if name == IGNORED)
    known = {value: name for value, name in declared.items() if name != IGNORED}
    wanted = {one_of("target", name.strip(), list(known.values())) for name in target.split(",")} if target else set()
    classes = {value: name for value, name in known.items() if not target or name in wanted}
    background = (0, *(value for value in known if value not in classes))
    return classes, LabelRule(tuple(classes), background, ignored, several=len(classes) > 1)
