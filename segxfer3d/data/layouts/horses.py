"""The layout of the Weizmann horses: ``rgb/horse001.jpg`` and ``figure_ground/horse001.jpg``, 328 pairs.

The masks are gray JPEGs, foreground above 127, and mostly smaller than their images but of their shape: they are
enlarged to them.
"""

from __future__ import annotations

from pathlib import Path

from segxfer3d.data.case import Case, CaseSet, LabelRule
from segxfer3d.data.layouts.listing import images_below
from segxfer3d.data.layouts.request import Request, count_note, folder_of, refuse_lone_masks, require
from segxfer3d.errors import InputError

TITLE = "the Weizmann horses"
SOURCE = "the folder weizmann_horse_db of the Weizmann horse database of Borenstein and Ullman"
DIMS = (2,)

IMAGES = 328
RULE = LabelRule(threshold=127, resize=True)


def fits(root: Path) -> bool:
    """Whether there are ``rgb`` and ``figure_ground``."""
    root = folder_of(root, "rgb", ("weizmann_horse_db",))
    return (root / "rgb").is_dir() and (root / "figure_ground").is_dir()


def read(root: Path, request: Request) -> CaseSet:
    """All horses, with their masks where the task needs them.

    Raises:
        InputError: a folder is missing, a mask has no image, there is a target, or classes are asked for.
    """
    request.refuse_target("horses")
    if request.task == "classification":
        raise InputError("dataset horses: there is one class only, nothing to tell apart")
    root = folder_of(root, "rgb", ("weizmann_horse_db",))
    places = ["rgb"] + ["figure_ground"] * (request.task == "segmentation")
    require(root, places, title=TITLE, source=SOURCE)
    images = images_below(root / "rgb")
    masks = images_below(root / "figure_ground") if request.task == "segmentation" else {}
    refuse_lone_masks(root, images, masks)
    chosen = request.only(Case(name, path, masks.get(name)) for name, path in images.items())
    return CaseSet(
        root,
        "horses",
        2,
        chosen,
        label_rule=RULE,
        target="horse",
        notes=count_note("horses", len(chosen), expected=IMAGES, whose="the data set has"),
    )
