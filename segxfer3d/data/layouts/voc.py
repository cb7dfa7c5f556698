"""The official layout of Pascal VOC 2012: ``JPEGImages``, ``SegmentationClass``, ``ImageSets/Segmentation``.

``root`` is ``VOC2012``, or ``VOCdevkit`` above it, or the folder above that. Masks are paletted PNGs whose index is the
class; 255 marks outlines and difficult objects, which are ignored (``border`` can say otherwise); a mask with other
values than 0 to 20 and 255 is refused. Segmentation takes the images of train and val with at least one pixel of a
target class, and drops the others; several target classes (``cat,dog``) are classes of their own, with the numbers of
the masks. Classification takes the images that show exactly one of its classes, by their masks. Without a target, the
task ``images`` takes every image of the data set, not only those with masks. ``SegmentationClassAug``, which others lay
beside ``SegmentationClass``, is not read.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from segxfer3d.data.case import Case, CaseSet, LabelRule
from segxfer3d.data.io.images import UInt8
from segxfer3d.data.layouts.listing import images_below
from segxfer3d.data.layouts.request import (
    Request,
    count_note,
    folder_of,
    known_values,
    one_of,
    read_masks,
    refuse_missing,
    refuse_unshown,
    require,
)
from segxfer3d.errors import InputError, some

TITLE = "Pascal VOC 2012"
SOURCE = "VOCtrainval_11-May-2012.tar of http://host.robots.ox.ac.uk/pascal/VOC/voc2012/"
DIMS = (2,)
LEFT_OPEN = True

CLASSES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)  # class 1 to 20; 0 is background
VOID = 255
PUBLISHED = {"aeroplane": 178, "cat": 250, "horse": 147}


def fits(root: Path) -> bool:
    """Whether there are ``JPEGImages`` and ``ImageSets``."""
    root = _folder(root)
    return (root / "JPEGImages").is_dir() and (root / "ImageSets").is_dir()


def read(root: Path, request: Request) -> CaseSet:
    """Images with masks of one class or of several (``cat,dog``), images of one of several categories
    (``motorbike,car``; nothing means all), or all images.

    Raises:
        InputError: files are missing, a mask is damaged or has values that are none of VOC's, no mask shows the target,
            or it is missing or unknown.
    """
    root = _folder(root)
    everything = request.task == "images" and not request.target
    lists = [f"ImageSets/Segmentation/{part}.txt" for part in ("train", "val")]
    places = ["JPEGImages"] + ([] if everything else ["SegmentationClass", *lists])
    require(root, places, title=TITLE, source=SOURCE)
    if everything:
        images = images_below(root / "JPEGImages")
        parts = {name: place.stem for place in map(root.joinpath, lists) for name in _listed(place)}
        missing = refuse_missing(root, parts, images, request)
        cases = [Case(name, path, part=parts.get(name, "")) for name, path in images.items()]
        return CaseSet(root, "voc", 2, request.only(cases), target="images", notes=missing)
    names = _names(request)
    telling_apart = request.task == "classification"
    cases = []
    seen, notes = read_masks(_masked(root, lists), _values, request)
    for case, present in seen:
        shown = [name for name in names if number_of(name) in present]
        if len(shown) == 1 or (shown and not telling_apart):
            cases.append(replace(case, category=names.index(shown[0]) if telling_apart else None))
    chosen = request.only(cases)
    target = ",".join(names)
    if not chosen:
        refuse_unshown(root, [present for _, present in seen], request, target, _wanted(names, telling_apart))
    published = PUBLISHED.get(target)
    numbers = sorted(number_of(name) for name in names)
    several = len(names) > 1 and not telling_apart
    background = tuple(value for value in range(len(CLASSES) + 1) if value not in numbers)
    return CaseSet(
        root,
        "voc",
        2,
        chosen,
        {number: CLASSES[number - 1] for number in numbers} if several else {},
        request.with_border(LabelRule(tuple(numbers), background, several=several), (VOID,)),
        categories=tuple(names) if telling_apart else (),
        target=target,
        published=published,
        notes=notes + count_note(f"voc, {target}", len(chosen), expected=published),
    )


def number_of(name: str) -> int:
    """The value of a class in the masks."""
    return CLASSES.index(name) + 1


def _values(case: Case, mask: UInt8) -> set[int]:
    return known_values(case, mask, (*range(len(CLASSES) + 1), VOID), f"0 to {len(CLASSES)}, or {VOID}")


def _wanted(names: list[str], telling_apart: bool) -> str:
    """The values of classes in words."""
    values = [f"{number_of(name)} ({name})" for name in names]
    return some(values, 5, ", ") + (", one of them in an image" if telling_apart else "")


def _folder(root: Path) -> Path:
    return folder_of(root, "JPEGImages", ("VOC2012", "VOCdevkit/VOC2012"))


def _names(request: Request) -> list[str]:
    """The classes that the target names, each once, in its order."""
    parts = request.target.split(",") if request.target else []
    names = list(dict.fromkeys(one_of("target", name.strip(), CLASSES) for name in parts))
    if request.task == "classification":
        names = names or list(CLASSES)
        if len(names) < 2:
            raise InputError(
                f"target {request.target!r}: classification needs several classes, as in motorbike,car,cat"
            )
    elif not names:
        raise InputError(
            f"target {request.target!r}: expected one class of voc: {', '.join(CLASSES)}; or several, as in cat,dog"
        )
    return names


def _listed(path: Path) -> list[str]:
    """The images of a list; none where it is not there."""
    return path.read_text(encoding="utf-8").split() if path.is_file() else []


def _masked(root: Path, lists: list[str]) -> list[Case]:
    """The cases of the official parts."""
    cases = []
    for path in (root / place for place in lists):
        for name in _listed(path):
            mask = root / "SegmentationClass" / f"{name}.png"
            cases.append(Case(name, root / "JPEGImages" / f"{name}.jpg", mask, part=path.stem))
    return cases
