"""Reading the files of one case of an image data set."""

from __future__ import annotations

from typing import NamedTuple

from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.io.images import UInt8, read_image
from segxfer3d.data.io.labels import ReadLabel, read_label
from segxfer3d.data.io.open_image import size_and_turn
from segxfer3d.data.io.radiographs import is_radiograph
from segxfer3d.errors import InputError

_SWAPPING = (5, 6, 7, 8)  # EXIF orientations that swap width and height
STORED = "its EXIF orientation is passed over, for the mask lies on the pixels as they are stored"
SHOWN = "turned as its EXIF says; its mask is taken as it is, which has that shape"


class LoadedImage(NamedTuple):
    """A case in memory, at its own size.

    Attributes:
        image: uint8 (C, H, W).
        label: of the image, if it has one.
        converted: the mode that the image came from, "" for none.
        notes: what a user should hear of how the files were read.
        turn: the EXIF orientation by which the image was turned, 1 for none.
        exif: the EXIF orientation of its file, by which it was turned or not; 1 for none, and where no image is turned.
        whole: of a patch, uint8 (C, H, W) of the image that it was cut from; None where ``image`` is all of it.
    """

    image: UInt8
    label: ReadLabel | None
    converted: str
    notes: tuple[str, ...] = ()
    turn: int = 1
    exif: int = 1
    whole: UInt8 | None = None


class _Turns(NamedTuple):
    """By what is turned, what is to be said of it, and what the image's file says."""

    image: int = 1
    mask: int = 1
    note: str = ""
    exif: int = 1


def load_image(case: Case, case_set: CaseSet, *, label: bool = True) -> LoadedImage:
    """Read the files of a case, and cut out its box.

    An EXIF orientation turns an image; where it has a mask, as ``case_set.exif`` says: ``shown`` turns image and mask,
    each by its own, ``stored`` neither; ``auto`` both where they have the same, else what their sizes tell.

    Args:
        case: an image.
        case_set: says how its files are read.
        label: read the label too, where there is one.

    Raises:
        InputError: what :func:`~segxfer3d.data.io.images.read_image` and
            :func:`~segxfer3d.data.io.labels.read_label` refuse; or one of image and mask has an EXIF orientation and
            nothing tells whether the other lies on the pixels as stored or as shown.
    """
    turns = _turns(case, case_set)
    image, converted, note = read_image(
        case.image,
        case_set.channels,
        official=case_set.official,
        convert=case_set.convert,
        turn=turns.image != 1,
        page=case.page,
    )
    notes = [turns.note, note]
    read: ReadLabel | None = None
    if label and case.label is not None:
        size = (image.shape[1], image.shape[2])
        read = read_label(
            case.label,
            case_set.label_rule,
            size,
            official=case_set.official,
            turn=turns.mask != 1,
            page=case.page,
            label_map=case.label_map,
        )
        notes.append(read.note)
    whole = None
    if case.box is not None:
        top, left, height, width = case.box
        if top + height > image.shape[1] or left + width > image.shape[2]:
            raise InputError(
                f"{case.image}: {image.shape[2]}x{image.shape[1]} pixels are too few for the patch of "
                f"{width}x{height} at {left}, {top}"
            )
        rows, columns = slice(top, top + height), slice(left, left + width)
        whole, image = image, image[:, rows, columns]
        if read is not None:
            read = ReadLabel(read.label[:, rows, columns], read.valid[:, rows, columns], read.note)
    return LoadedImage(image, read, converted, tuple(filter(None, notes)), turns.image, turns.exif, whole)


def _turns(case: Case, case_set: CaseSet) -> _Turns:
    """By what image and mask are turned."""
    if case_set.official or is_radiograph(case.image):
        return _Turns()
    size, turn = size_and_turn(case.image, case.page)
    if case.label is None or case_set.exif == "stored":
        return _Turns(turn if case_set.exif != "stored" else 1, exif=turn)
    mask_size, mask_turn = size_and_turn(case.label, case.page)
    if turn == mask_turn or case_set.exif == "shown":
        return _Turns(turn, mask_turn, exif=turn)
    shown = _turned(size, turn) == _turned(mask_size, mask_turn)
    if shown and size == mask_size:
        raise InputError(
            f"{case.image}: its EXIF orientation is {turn}, that of its mask {case.label.name} {mask_turn}; "
            "--exif stored where masks lie on the pixels as they are stored, --exif shown where on what viewers show"
        )
    if size == mask_size:
        return _Turns(note=STORED, exif=turn)
    return _Turns(turn, mask_turn, SHOWN if shown else "", turn)


def _turned(size: tuple[int, int], turn: int) -> tuple[int, int]:
    return size[::-1] if turn in _SWAPPING else size
