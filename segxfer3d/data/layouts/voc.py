"""The official layout of Pascal VOC 2012: ``JPEGImages``, ``SegmentationClass``, ``ImageSets/Segmentation``.

``root`` is ``VOC2012``, or ``VOCdevkit`` above it, or the folder above that. Masks are paletted PNGs whose index is the
class; 255 marks outlines and difficult objects, which are ignored (``border`` can say otherwise). Segmentation takes
the images of train and val with at least one pixel of the target class, and drops the others. Classification takes the
images that show exactly one of its classes, by their masks. Without a target, the task ``images`` takes every image of
the data set, not only those with masks.

Source: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/ (VOCtrainval_11-May-2012.tar).
"""

from __future__ import annotations

from pathlib import Path

from segxfer3d.data.case import Case, CaseSet, LabelRule
from segxfer3d.data.io.labels import values_in
from segxfer3d.data.layouts.request import Request, count_note, folder_of, images_below, one_of, read_masks, require
from segxfer3d.errors import InputError

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


def read(root: Path, request: Request) -> CaseSet:
    """Images of one class with masks, images of several classes (``motorbike,car``; nothing means all), or all images.

    Raises:
        InputError: files are missing, a mask is damaged, or the target is missing or unknown.
    """
    root = folder_of(root, "JPEGImages", ("VOC2012", "VOCdevkit/VOC2012"))
    source = "VOCtrainval_11-May-2012.tar of http://host.robots.ox.ac.uk/pascal/VOC/voc2012/"
    everything = request.task == "images" and not request.target
    lists = [f"ImageSets/Segmentation/{part}.txt" for part in ("train", "val")]
    require(root, ["JPEGImages"] + ([] if everything else ["SegmentationClass", *lists]), "Pascal VOC 2012", source)
    if everything:
        cases = [Case(name, path) for name, path in images_below(root / "JPEGImages").items()]
        return CaseSet(root, "voc", 2, request.only(cases), target="images")
    names = [one_of("target", name.strip(), CLASSES) for name in request.target.split(",")] if request.target else []
    if request.task == "classification":
        names = names or list(CLASSES)
        if len(names) < 2:
            raise InputError(
                f"target {request.target!r}: classification needs several classes, as in motorbike,car,cat"
            )
    elif len(names) != 1:
        raise InputError(f"target {request.target!r}: expected one class of voc: {', '.join(CLASSES)}")
    found = []
    seen, lost = read_masks(_masked(root, lists), lambda _, values: values_in(values), request)
    for case, present in seen:
        shown = [name for name in names if CLASSES.index(name) + 1 in present]
        if len(shown) == 1:
            category = names.index(shown[0]) if request.task == "classification" else None
            found.append(Case(case.name, case.image, case.label, category=category, part=case.part))
    chosen = request.only(found)
    target = ",".join(names)
    published = PUBLISHED.get(target)
    number = CLASSES.index(names[0]) + 1
    background = tuple(value for value in range(len(CLASSES) + 1) if value != number)
    rule = request.with_border(LabelRule(foreground=(number,), background=background), (VOID,))
    categories = tuple(names) if request.task == "classification" else ()
    notes = lost + count_note(f"voc, {target}", len(chosen), published)
    return CaseSet(
        root,
        "voc",
        2,
        chosen,
        label_rule=rule,
        categories=categories,
        target=target,
        published=published,
        notes=notes,
    )


def _masked(root: Path, lists: list[str]) -> list[Case]:
    """The cases of the official parts."""
    cases = []
    for path in (root / place for place in lists):
        for name in path.read_text(encoding="utf-8").split():
            mask = root / "SegmentationClass" / f"{name}.png"
            cases.append(Case(name, root / "JPEGImages" / f"{name}.jpg", mask, part=path.stem))
    return cases
