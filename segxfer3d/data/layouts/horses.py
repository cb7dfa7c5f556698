"""The layout of the Weizmann horses: ``rgb/horse001.jpg`` and ``figure_ground/horse001.jpg``, 328 pairs.

The masks are gray JPEGs, foreground above 127, and mostly smaller than their images but of their shape: they are
enlarged to them.

Source: the Weizmann horse database of Borenstein and Ullman, as ``weizmann_horse_db``.
"""

from __future__ import annotations

from pathlib import Path

from segxfer3d.data.case import Case, CaseSet, LabelRule
from segxfer3d.data.layouts.request import Request, count_note, folder_of, images_below, refuse_lone_masks, require
from segxfer3d.errors import InputError

IMAGES = 328
RULE = LabelRule(threshold=127, resize=True)


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
    require(root, places, "the Weizmann horses", "the folder weizmann_horse_db")
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
        notes=count_note("horses", len(chosen), IMAGES, "the data set has"),
    )
