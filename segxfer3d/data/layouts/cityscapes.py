"""The official layout of Cityscapes: ``leftImg8bit/<part>/<city>/``, ``gtFine/<part>/<city>/*_gtFine_labelIds.png``.

Segmentation takes the images of train and val with at least one pixel of the target class and drops the others. All
other labels count as background, the void ones (0 to 6: the own car, the frame's edge) too; the paper does not say.
Masks are those of ``labelIds``, not of ``labelTrainIds``.
"""

from __future__ import annotations

from pathlib import Path

from segxfer3d.data.case import Case, CaseSet, LabelRule
from segxfer3d.data.io.images import UInt8
from segxfer3d.data.layouts.listing import images_below
from segxfer3d.data.layouts.request import (
    Request,
    count_note,
    known_values,
    one_of,
    read_masks,
    refuse_unshown,
    require,
)
from segxfer3d.errors import InputError

TITLE = "Cityscapes"
SOURCE = "leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip of https://www.cityscapes-dataset.com"
DIMS = (2,)

LABELS = {
    "road": 7,
    "sidewalk": 8,
    "parking": 9,
    "rail track": 10,
    "building": 11,
    "wall": 12,
    "fence": 13,
    "guard rail": 14,
    "bridge": 15,
    "tunnel": 16,
    "pole": 17,
    "polegroup": 18,
    "traffic light": 19,
    "traffic sign": 20,
    "vegetation": 21,
    "terrain": 22,
    "sky": 23,
    "person": 24,
    "rider": 25,
    "car": 26,
    "truck": 27,
    "bus": 28,
    "caravan": 29,
    "trailer": 30,
    "train": 31,
    "motorcycle": 32,
    "bicycle": 33,
}
PUBLISHED = {"bus": 483}
PARTS = ("train", "val")
_IDS = 34  # labels of the data set, 0 to 33
_IMAGE, _MASK = "_leftImg8bit", "_gtFine_labelIds"


def fits(root: Path) -> bool:
    """Whether there is ``leftImg8bit``; the patches of ``cityscapes_cars`` are read from the same files."""
    return (root / "leftImg8bit").is_dir()


def read(root: Path, request: Request) -> CaseSet:
    """Images of one class with masks, or for the task ``images`` without a target all images.

    Raises:
        InputError: files are missing, a mask is damaged or holds no label ids, no mask shows the target, it is missing
            or unknown, or classes are asked for.
    """
    if request.task == "classification":
        raise InputError("dataset cityscapes: its images have no classes; cityscapes_cars has patches that do")
    if request.task == "images" and not request.target:
        require(root, ["leftImg8bit"], title=TITLE, source=SOURCE)
        paths = images_below(root / "leftImg8bit").values()
        cases = [
            Case(path.stem.removesuffix(_IMAGE), path, part=_part(path)) for path in paths if path.stem.endswith(_IMAGE)
        ]
        return CaseSet(root, "cityscapes", 2, request.only(cases), target="images")
    if not request.target:
        raise InputError(f"target: expected one class of cityscapes: {', '.join(LABELS)}")
    target = one_of("target", request.target, list(LABELS))
    number = LABELS[target]
    seen, lost = read_masks(labeled(root), values_of, request)
    chosen = request.only(case for case, shown in seen if number in shown)
    if not chosen:
        refuse_unshown(root, [shown for _, shown in seen], request, target, f"{number} ({target})")
    published = PUBLISHED.get(target)
    notes = lost + count_note(f"cityscapes, {target}", len(chosen), expected=published)
    return CaseSet(
        root,
        "cityscapes",
        2,
        chosen,
        label_rule=rule(number),
        target=target,
        published=published,
        notes=notes,
    )


def _part(image: Path) -> str:
    """The official part of an image that has labels, train or val; none of others (test, train_extra)."""
    return next((part for part in PARTS if image.parent.parent.name == part), "")


def values_of(case: Case, mask: UInt8) -> set[int]:
    """The different values of a mask.

    Raises:
        InputError: some are no label ids.
    """
    return known_values(case, mask, range(_IDS), f"the label ids 0 to {_IDS - 1}")


def rule(number: int) -> LabelRule:
    """One label against all others, which are 0 to 33."""
    return LabelRule(foreground=(number,), background=tuple(value for value in range(_IDS) if value != number))


def labeled(root: Path) -> list[Case]:
    """The images of train and val, each with its mask.

    Raises:
        InputError: files are missing.
    """
    places = [f"{folder}/{part}" for folder in ("leftImg8bit", "gtFine") for part in PARTS]
    require(root, places, title=TITLE, source=SOURCE)
    cases = []
    for part in PARTS:
        for path in images_below(root / "leftImg8bit" / part).values():
            if path.stem.endswith(_IMAGE):
                name = path.stem.removesuffix(_IMAGE)
                mask = root / "gtFine" / part / path.parent.name / f"{name}{_MASK}.png"
                cases.append(Case(name, path, mask, part=part))
    return sorted(cases, key=lambda case: case.name)
