"""The official layout of Oxford Flowers 17: ``jpg/image_0001.jpg`` to ``image_1360.jpg``, ``trimaps/image_0001.png``.

Eighty images a class, one class after the other. 849 images have a trimap; ``trimaps/imlist.mat`` also lists them, but
the files themselves say so, so no MATLAB reader is needed. A trimap is a paletted PNG with four colors: the flower is
index 1, (128, 0, 0); (128, 128, 0), (128, 128, 128) and the unlabeled (0, 0, 0) are not. Everything but the flower is
taken as background here, as others do who use the trimaps; neither the data set nor the paper says more about the other
colors, so ``border`` has nothing to decide. A trimap that was saved again as RGB is read by its color.
"""

from __future__ import annotations

import re
from pathlib import Path

from segxfer3d.data.case import Case, CaseSet, LabelRule
from segxfer3d.data.layouts.listing import images_below
from segxfer3d.data.layouts.request import Request, count_note, folder_of, refuse_lone_masks, require
from segxfer3d.errors import InputError

TITLE = "Oxford Flowers 17"
SOURCE = "17flowers.tgz and trimaps.tgz of https://www.robots.ox.ac.uk/~vgg/data/flowers/17/"
DIMS = (2,)

CATEGORIES = (
    "daffodil",
    "snowdrop",
    "lily of the valley",
    "bluebell",
    "crocus",
    "iris",
    "tigerlily",
    "tulip",
    "fritillary",
    "sunflower",
    "daisy",
    "coltsfoot",
    "dandelion",
    "cowslip",
    "buttercup",
    "windflower",
    "pansy",
)
PER_CATEGORY = 80
TRIMAPS, IMAGES = 849, 1360
RULE = LabelRule(foreground=(1,), background=None, color=(128, 0, 0))

_NAME = re.compile(r"image_(\d{4})")


def fits(root: Path) -> bool:
    """Whether there is ``jpg/image_0001.jpg`` (four digits) or another of these names."""
    folder = folder_of(root, "jpg", ("17flowers",)) / "jpg"
    return folder.is_dir() and any(_NAME.fullmatch(path.stem) for path in folder.glob("image_*.jpg"))


def read(root: Path, request: Request) -> CaseSet:
    """The images with a trimap, or for the other tasks all.

    Raises:
        InputError: a folder is missing, a trimap has no image, or there is a target.
    """
    request.refuse_target("flowers17")
    root = folder_of(root, "jpg", ("17flowers",))
    segmenting = request.task == "segmentation"
    require(root, ("jpg", "trimaps") if segmenting else ("jpg",), title=TITLE, source=SOURCE)
    images = {name: path for name, path in images_below(root / "jpg").items() if _NAME.fullmatch(name)}
    masks = images_below(root / "trimaps") if (root / "trimaps").is_dir() else {}
    if segmenting:
        refuse_lone_masks(root, images, masks)
    cases = [Case(name, path, masks.get(name), category=_category(path)) for name, path in images.items()]
    chosen = request.only(cases)
    if segmenting:
        notes = count_note("flowers17 with a trimap", len(chosen), expected=TRIMAPS)
    else:
        notes = count_note("flowers17", len(chosen), expected=IMAGES, whose="the data set has")
    published = TRIMAPS if segmenting else None
    return CaseSet(
        root,
        "flowers17",
        2,
        chosen,
        label_rule=RULE,
        categories=CATEGORIES,
        target="flower",
        published=published,
        notes=notes,
    )


def _category(path: Path) -> int:
    number = int(path.stem.removeprefix("image_"))
    if not 1 <= number <= IMAGES:
        raise InputError(f"{path}: not an image of Oxford Flowers 17; expected image_0001.jpg to image_{IMAGES}.jpg")
    return (number - 1) // PER_CATEGORY
