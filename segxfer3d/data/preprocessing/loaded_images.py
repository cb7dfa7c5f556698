"""Reading the files of one case of an image data set."""

from __future__ import annotations

from typing import NamedTuple

from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.io.images import UInt8, read_image
from segxfer3d.data.io.labels import ReadLabel, read_label
from segxfer3d.errors import InputError


class LoadedImage(NamedTuple):
    """A case in memory, at its own size: uint8 (C, H, W), its label if it has one, and the mode it came from."""

    image: UInt8
    label: ReadLabel | None
    converted: str


def load_image(case: Case, case_set: CaseSet, *, label: bool = True) -> LoadedImage:
    """Read the files of a case, and cut out its box.

    Args:
        case: an image.
        case_set: says how its files are read.
        label: read the label too, where there is one.

    Raises:
        InputError: what :func:`~segxfer3d.data.io.images.read_image` and
            :func:`~segxfer3d.data.io.labels.read_label` refuse.
    """
    image, converted = read_image(case.image, case_set.channels, official=case_set.official)
    read: ReadLabel | None = None
    if label and case.label is not None:
        size = (image.shape[1], image.shape[2])
        read = read_label(case.label, case_set.label_rule, size, official=case_set.official)
    if case.box is not None:
        top, left, height, width = case.box
        if top + height > image.shape[1] or left + width > image.shape[2]:
            raise InputError(
                f"{case.image}: {image.shape[2]}x{image.shape[1]} pixels are too few for the patch of "
                f"{width}x{height} at {left}, {top}"
            )
        image = image[:, top : top + height, left : left + width]
        if read is not None:
            read = ReadLabel(*(part[:, top : top + height, left : left + width] for part in read))
    return LoadedImage(image, read, converted)
