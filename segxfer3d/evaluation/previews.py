"""Small pictures of a few test cases, kept with a run so that a report can show them; needs no torch.

``previews.npz`` in a run's folder holds two kinds:

* **volumes**: the run's best, median and worst case by dice, cropped to at most 96 voxels along each axis;
* **slices**: one slice each of three cases that are the same in every run on the same test part (the lower quartile,
  the median and the upper quartile of the labels' volumes), so that reports can set runs side by side.

Of 2D data all of them are whole pictures, of large ones every second, third ... pixel. Images are uint8; CT is shown in
the lung window. Volumes of several channels are kept with all of them, of which one is shown.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segxfer3d import files
from segxfer3d.errors import InputError
from segxfer3d.evaluation.slices import largest_slice

FILE = "previews.npz"
SIDE = 96  # voxels
IMAGE_SIDE = 512  # pixels
LUNG_WINDOW = (-1350.0, 150.0)  # HU: level -600, width 1500
ROLES = ("best", "median", "worst")
SHARED = "shared"


@dataclass(frozen=True, eq=False)
class Preview:
    """A case with its label and a run's prediction.

    Attributes:
        case: its name.
        roles: of ``best``, ``median``, ``worst``; or ``shared``.
        dice: of the whole case, not of the part that is kept.
        image: uint8 (C, X, Y, Z) in RAS, or (C, rows, columns) of gray (1) or color (3).
        label, prediction: uint8, as the image without its channels; 0 is background.
        spacing: millimeters along the axes of the label; 1 for pictures.
        channel: name of the one that is shown, of volumes of several.
        channels: of volumes of several, the names of those that ``image`` has.
    """

    case: str
    roles: tuple[str, ...]
    dice: float
    image: NDArray[np.uint8]
    label: NDArray[np.uint8]
    prediction: NDArray[np.uint8]
    spacing: tuple[float, ...]
    channel: str = ""
    channels: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The case, and the channel where there are several."""
        return f"{self.case}, {self.channel}" if self.channel else self.case

    def showing(self, channel: str = "") -> Preview:
        """With one of the channels only, by its name (upper and lower case alike) or its number from 1; by default the
        first. One that has no channels to choose from stays.

        Raises:
            InputError: there is none that is called so.
        """
        if not self.channels:
            return self
        known = [name.casefold() for name in self.channels]
        numbers = [str(number) for number in range(1, len(known) + 1)]
        wanted = channel.casefold() or known[0]
        if wanted not in (*known, *numbers):
            raise InputError(f"channel {channel}: pictures of {self.case} have {', '.join(self.channels)}")
        at = known.index(wanted) if wanted in known else numbers.index(wanted)
        return replace(self, image=self.image[at : at + 1], channel=self.channels[at], channels=())

    def cropped(self, side: int = SIDE) -> Preview:
        """At most ``side`` voxels along each axis, around the largest piece of the label."""
        window = crop_around(self.label if self.label.any() else self.prediction, side)
        return self._part(window)

    def sliced(self) -> Preview:
        """The axial slice with the largest label, as a volume of one slice."""
        number = largest_slice(self.label if self.label.any() else self.prediction)
        window = (slice(None), slice(None), slice(number, number + 1))
        return self._part(window)

    def thinned(self, side: int = IMAGE_SIDE) -> Preview:
        """At most ``side`` pixels along each axis: every second, third ... pixel of a larger one."""
        step = -(-max(self.label.shape) // side)
        return self._part((slice(None, None, step),) * self.label.ndim) if step > 1 else self

    def _part(self, window: tuple[slice, ...]) -> Preview:
        image = self.image[(slice(None), *window)].copy()  # a view would keep the whole volume in memory
        return replace(self, image=image, label=self.label[window].copy(), prediction=self.prediction[window].copy())


def choose(rows: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Which cases are kept, and as what.

    Args:
        rows: of the table of cases: ``case``, ``dice`` and the label's size (``label_mm3`` or ``label_pixels``).

    Returns:
        name of the case to its roles; a case may have several.
    """
    roles: dict[str, list[str]] = {}
    by_dice = sorted(rows, key=lambda row: (-row["dice"], row["case"]))
    for role, row in zip(ROLES, (by_dice[0], by_dice[len(rows) // 2], by_dice[-1]), strict=True):
        roles.setdefault(row["case"], []).append(role)
    size = "label_mm3" if "label_mm3" in rows[0] else "label_pixels"
    by_size = sorted((row for row in rows if row[size] > 0), key=lambda row: (row[size], row["case"]))
    for quarter in range(1, 4) if by_size else ():
        case = by_size[quarter * (len(by_size) - 1) // 4]["case"]
        if SHARED not in roles.setdefault(case, []):
            roles[case].append(SHARED)
    return {case: tuple(of_case) for case, of_case in roles.items()}


def crop_around(mask: NDArray[Any], side: int) -> tuple[slice, ...]:
    """A window of at most ``side`` along each axis around the largest connected piece; in the middle if there is none.

    Args:
        mask: (*spatial); anything above 0 is foreground.
        side: voxels or pixels.
    """
    from scipy import ndimage  # a while to import, and who only reads previews needs none of it

    found = mask > 0
    pieces, count = ndimage.label(found)
    centers = [size / 2 for size in mask.shape]
    if count:
        largest = int(np.bincount(pieces[found])[1:].argmax())  # numpy copies what it counts, eight bytes a number
        box = ndimage.find_objects(pieces)[largest]
        centers = [(part.start + part.stop) / 2 for part in box]
    starts = [
        min(max(0, round(center - side / 2)), max(0, size - side))
        for center, size in zip(centers, mask.shape, strict=True)
    ]
    return tuple(slice(start, start + side) for start in starts)


def in_window(unit: NDArray[Any], window: tuple[float, float] | None) -> NDArray[np.uint8]:
    """Preprocessed intensities as bytes: those of a CT in the lung window, others as they are.

    Args:
        unit: in [0, 1].
        window: the HU that became 0 and 1; None where intensities have no unit. What it clipped stays clipped.
    """
    values = np.array(unit, np.float32)  # one copy of a volume, changed in place
    if window is not None:
        low, high = LUNG_WINDOW
        values *= window[1] - window[0]
        values += window[0]
        values -= low
        values /= high - low
    values.clip(0, 1, out=values)
    values *= 255
    return np.rint(values, out=values).astype(np.uint8)


def pack(previews: Sequence[Preview]) -> bytes:
    """The content of ``previews.npz``; a run writes it under the name :data:`FILE`."""
    index = [
        {"case": p.case, "roles": list(p.roles), "dice": float(p.dice), "spacing": [float(s) for s in p.spacing]}
        | ({"channel": p.channel} if p.channel else {})
        | ({"channels": list(p.channels)} if p.channels else {})
        for p in previews
    ]
    arrays: dict[str, Any] = {"index": np.array(json.dumps(index))}
    for i, preview in enumerate(previews):
        parts = {"image": preview.image, "label": preview.label, "prediction": preview.prediction}
        arrays |= {f"{name}_{i}": array for name, array in parts.items()}
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def write_previews(folder: Path, previews: Sequence[Preview]) -> Path:
    """Write ``previews.npz`` into a run's folder, whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    path = folder / FILE
    files.write_bytes(path, pack(previews))
    return path


def read_previews(folder: Path, channel: str = "") -> list[Preview]:
    """The previews of a run; none where it has no such file.

    Args:
        folder: of the run.
        channel: that is shown of volumes of several, see :meth:`Preview.showing`.

    Raises:
        InputError: the file is damaged, or there is no such channel.
    """
    path = folder / FILE
    if not path.is_file():
        return []
    try:
        with np.load(io.BytesIO(path.read_bytes())) as arrays:
            previews = [
                Preview(
                    case=str(entry["case"]),
                    roles=tuple(str(role) for role in entry["roles"]),
                    dice=float(entry["dice"]),
                    image=_bytes(arrays[f"image_{i}"]),
                    label=_bytes(arrays[f"label_{i}"]),
                    prediction=_bytes(arrays[f"prediction_{i}"]),
                    spacing=tuple(float(s) for s in entry["spacing"]),
                    channel=str(entry.get("channel", "")),
                    channels=tuple(str(name) for name in entry.get("channels", ())),
                )
                for i, entry in enumerate(json.loads(str(arrays["index"])))
            ]
        for preview in previews:
            shapes = {preview.image.shape[1:], preview.label.shape, preview.prediction.shape}
            lost = preview.channels and len(preview.channels) != len(preview.image)
            if (
                lost
                or len(shapes) > 1
                or preview.label.ndim not in (2, 3)
                or len(preview.spacing) != preview.label.ndim
            ):
                raise ValueError(f"arrays of {preview.case} do not fit each other")
    except Exception as error:  # a damaged archive raises almost anything
        raise InputError(f"{path} cannot be read ({type(error).__name__}: {error})") from error
    return [preview.showing(channel) for preview in previews]


def _bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    if array.dtype != np.uint8:
        raise ValueError(f"expected bytes, got {array.dtype}")
    return array
