"""Slices in the order of their positions, and what is wrong with them: gaps, phases, several stacks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segxfer3d.data.io import guard
from segxfer3d.data.io.dicom.frames import Frame
from segxfer3d.data.io.dicom.pixels import value_type
from segxfer3d.data.io.dicom.values import TIMES
from segxfer3d.errors import InputError, some

SLICE_TOLERANCE = 0.1  # of the usual distance, by which slices may be from even
SAME_PLACE = 0.01  # mm: slices that are less apart lie at one position
LINE_TOLERANCE = 0.5  # of a pixel, by which a slice may lie beside the line through all of them
_SAME_DIRECTION = 2e-4

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
UNEVEN = ("refuse", "resample")


class Stack(NamedTuple):
    """Slices that make a volume.

    Attributes:
        frames: in the order of their positions along the normal.
        affine: (4, 4) from column, row and slice to RAS+ millimeters.
        even: positions of evenly spaced slices, counted in frames (1.5 lies between the second and the third), where
            the frames are to be resampled to them; None where they are even.
        note: what a user should hear.
    """

    frames: tuple[Frame, ...]
    affine: NDArray[np.float64]
    even: NDArray[np.float64] | None = None
    note: str = ""


def stack(place: Path, frames: Sequence[Frame], uneven: str = "refuse") -> Stack:
    """Order the slices of a volume.

    Args:
        place: folder or file, for messages.
        frames: of one series.
        uneven: ``resample`` takes slices that are missing or unevenly spaced, see :attr:`Stack.even`.

    Raises:
        InputError: several sizes or orientations, several slices at one position (several phases), slices missing,
            unevenly spaced or not above each other.
    """
    _refuse_several_stacks(place, frames)
    row, column = (np.array(frames[0].orientation[part]) for part in (slice(0, 3), slice(3, 6)))
    normal = np.cross(row, column)
    if not 0.99 < np.linalg.norm(normal) < 1.01:
        raise InputError(f"{place}: ImageOrientationPatient {list(frames[0].orientation)}, expected two directions")
    places = np.array([frame.position for frame in frames])
    order = np.argsort(places @ normal, kind="stable")
    frames, places = [frames[i] for i in order], places[order]
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = row * frames[0].spacing[1], column * frames[0].spacing[0]
    affine[:3, 3] = places[0]
    if len(frames) == 1:
        affine[:3, 2] = normal
        return Stack(tuple(frames), LPS_TO_RAS @ affine)
    _refuse_phases(place, frames, places @ normal)
    heights = places @ normal
    problem = _gap(heights)
    along = (heights - heights[0]) / (heights[-1] - heights[0])
    beside = np.abs(places - places[0] - along[:, None] * (places[-1] - places[0])).max(1)
    if beside.max() > LINE_TOLERANCE * min(frames[0].spacing):
        worst = int(beside.argmax())
        raise InputError(
            f"{place}: the DICOM slice {_named(frames[worst])} lies {beside[worst]:.3g} mm beside the line of the "
            "others; expected one volume: put its slices into a folder of their own"
        )
    if not problem:
        # the mean step; right for a tilted gantry too, whose slices are not above each other along the normal
        affine[:3, 2] = (places[-1] - places[0]) / (len(frames) - 1)
        return Stack(tuple(frames), LPS_TO_RAS @ affine)
    if uneven != "resample":
        raise InputError(f"{place}: {problem}; --uneven_slices resample takes it, with voxels made between slices")
    usual = float(np.median(np.diff(heights)))
    count = round((heights[-1] - heights[0]) / usual) + 1
    try:
        guard.require_memory(place, (count, *frames[0].shape), value_type(frames))
    except InputError as error:  # a position that is none, far away from the others
        raise InputError(f"{error}; {problem}") from None
    affine[:3, 2] = (places[-1] - places[0]) / (count - 1)
    even = np.interp(np.linspace(0, 1, count), along, np.arange(len(frames)))
    distance = float(np.linalg.norm(affine[:3, 2]))
    note = f"{problem}: resampled from {len(frames)} slices to {count}, {distance:.4g} mm apart"
    return Stack(tuple(frames), LPS_TO_RAS @ affine, even, note)


def _gap(heights: NDArray[np.float64]) -> str:
    """What is wrong with the distances of slices, in words."""
    gaps = np.diff(heights)
    usual = float(np.median(gaps))
    worst = int(np.argmax(np.abs(gaps - usual)))
    after = f"{gaps[worst]:.4g} mm between the slices {worst + 1} and {worst + 2}, {usual:.4g} mm between others"
    if gaps[worst] > 1.5 * usual:
        return f"a DICOM slice is missing ({after})"
    if abs(gaps[worst] - usual) > SLICE_TOLERANCE * usual:
        return f"DICOM slices are unevenly spaced ({after})"
    return ""


def _refuse_several_stacks(place: Path, frames: Sequence[Frame]) -> None:
    first = frames[0]
    for frame in frames[1:]:
        same = frame.shape == first.shape and np.allclose(frame.spacing, first.spacing, rtol=1e-3)
        if not same or not np.allclose(frame.orientation, first.orientation, atol=_SAME_DIRECTION):
            groups: dict[Any, list[Frame]] = {}
            for each in frames:
                grid = (each.shape, *np.round(each.spacing, 3).tolist(), *np.round(each.orientation, 3).tolist())
                groups.setdefault(grid, []).append(each)
            most = sorted(groups.values(), key=len, reverse=True)
            listed = some([f"{len(group)} {_grid(group[0])} such as {_named(group[0])}" for group in most], 4, ", ")
            raise InputError(
                f"{place}: DICOM slices of different sizes or orientations in one series ({listed}); expected one "
                "volume: put its slices into a folder of their own"
            )


def _grid(frame: Frame) -> str:
    """What the slices of a volume have in common, in words."""
    rows, columns = ("\\".join(f"{number:.3g}" for number in part) for part in np.split(np.array(frame.orientation), 2))
    size = f"{frame.shape[0]}x{frame.shape[1]} pixels of {frame.spacing[0]:.4g}x{frame.spacing[1]:.4g} mm"
    return f"of {size}, rows along {rows} and columns along {columns},"


def _named(frame: Frame) -> str:
    """The file of a slice, and which frame of it where it is not the first."""
    return Path(frame.pixels.path).name + (f" (frame {frame.number + 1})" if frame.number else "")


def _refuse_phases(place: Path, frames: Sequence[Frame], heights: NDArray[np.float64]) -> None:
    """Several slices at one position: by chance, or as several volumes, which what differs tells apart."""
    same = np.diff(heights) < SAME_PLACE
    if not same.any():
        return
    layer = np.concatenate([[0], np.cumsum(~same)])
    sizes = np.bincount(layer)
    first = int(np.argmax(same))
    if sizes.min() == sizes.max():
        what = f"{sizes[0]} DICOM volumes at the same {len(sizes)} positions"
    else:
        what = f"two DICOM slices at one position ({_named(frames[first])} and {_named(frames[first + 1])})"
    names = [name for name in (*_extra(frames), *TIMES) if _tells_apart(frames, layer, name)]
    if names:
        values = some(sorted({frame.times[names[0]] for frame in frames}), 6, ", ")
        what += f", told apart by {names[0]} ({values})"
    raise InputError(f"{place}: {what}; expected one volume: put the slices of one into a folder of their own")


def _extra(frames: Sequence[Frame]) -> list[str]:
    return sorted({name for frame in frames for name in frame.times} - set(TIMES))


def _tells_apart(frames: Sequence[Frame], layer: NDArray[np.int64], name: str) -> bool:
    """Whether slices of equal value lie at different positions, and there are fewer values than slices at one."""
    values = [frame.times.get(name) for frame in frames]
    if None in values or not 1 < len(set(values)) <= int(np.bincount(layer).max()):
        return False
    return len(set(zip(values, layer.tolist(), strict=True))) == len(frames)
