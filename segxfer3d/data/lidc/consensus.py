"""Nodules of a scan from the outlines of several radiologists, and the voxels that at least half of them agree on.

Which outlines are of one nodule is nowhere recorded. Here two annotations of different readers are the same nodule
where their masks share a voxel, or where their centers are closer than the sum of their radii. The second rule is that
of LUNA16's reference standard (Setio et al., *Validation, comparison, and combination of algorithms for automatic
detection of pulmonary nodules*, Medical Image Analysis 42 (2017) 1-13); the first is ours, for long nodules of which
one reader outlined a part. Both chain: what two readers drew in pieces and a third as a whole is one nodule.

A voxel is nodule where at least half of the readers *who marked this nodule* have it inside; readers of the scan who
did not mark it do not vote. This is the 50 % consensus of pylidc (https://pylidc.github.io/tuts/consensus.html), except
that pieces of one nodule by one reader are joined into one vote. How many readers it takes is the caller's choice;
LUNA16 takes nodules of at least 3 of 4.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from segxfer3d.data.lidc.annotations import Annotation, Reading, fill_outline
from segxfer3d.errors import InputError


@dataclass(frozen=True)
class Region:
    """A mask (X, Y, Z) that is a part of a volume, from voxel ``start`` on."""

    start: tuple[int, int, int]
    mask: NDArray[np.bool_]

    def within(self, start: Sequence[int], shape: Sequence[int]) -> NDArray[np.bool_]:
        """The mask as seen through another window of the volume, of this shape; False where the two do not meet."""
        window = np.zeros(tuple(shape), np.bool_)
        offset = np.subtract(self.start, start)
        first, end = np.maximum(offset, 0), np.minimum(offset + self.mask.shape, shape)
        if (first < end).all():
            to = tuple(slice(a, b) for a, b in zip(first, end, strict=True))
            window[to] = self.mask[tuple(slice(a, b) for a, b in zip(first - offset, end - offset, strict=True))]
        return window

    def center(self) -> NDArray[np.float64]:
        """Mean voxel index of the mask in the volume, (3,)."""
        center: NDArray[np.float64] = np.argwhere(self.mask).mean(0) + self.start
        return center

    def radius(self, spacing: Sequence[float]) -> float:
        """Radius of the ball of the same volume, in the unit of ``spacing``."""
        return float((3 * self.mask.sum() * math.prod(spacing) / (4 * math.pi)) ** (1 / 3))


@dataclass(frozen=True)
class Nodule:
    """What at least half of the readers who marked a nodule have inside their outlines."""

    region: Region
    readers: int


def annotation_region(annotation: Annotation, shape: Sequence[int], affine: NDArray[np.float64]) -> Region | None:
    """The voxels inside an annotation's outlines, without those inside its exclusions.

    An outline belongs to the slice nearest to its z position, at most half a slice away; slices without an outline
    stay empty. The pixels of a line are not nodule, whether it includes or excludes, as the LIDC confirmed
    (https://github.com/notmatthancock/pylidc/pull/16).

    Args:
        annotation: of one reader.
        shape: of the volume, (X, Y, Z), slices last.
        affine: (4, 4) of the volume, from voxel index to millimeters; z runs along the patient.

    Returns:
        the region, or None where the outlines enclose no voxel.

    Raises:
        InputError: an outline lies outside the volume, or the volume's third axis is not along the patient.
    """
    step = affine[2, 2]
    if np.abs(affine[2, :2]) @ np.asarray(shape[:2]) >= abs(step) / 2:
        raise InputError(f"outlines need axial slices, stored last; the volume's affine is {affine.tolist()}")
    parts: list[Region] = []
    holes: list[Region] = []
    for outline in annotation.outlines:
        where = f"nodule {annotation.nodule} has an outline at z = {outline.z:g} mm"
        k = math.floor((outline.z - affine[2, 3]) / step + 0.5)
        if not 0 <= k < shape[2]:
            low, high = sorted((affine[2, 3], affine[2, 3] + step * (shape[2] - 1)))
            raise InputError(f"{where}, expected {low:g} to {high:g} mm as the volume's slices")
        if (outline.points < 0).any() or (outline.points >= shape[:2]).any():
            raise InputError(f"{where} that leaves the image of {shape[0]}x{shape[1]} pixels")
        (x, y), mask = fill_outline(outline.points, with_line=not outline.inclusion)
        (parts if outline.inclusion else holes).append(Region((x, y, k), mask[:, :, None]))
    if not parts:
        return None
    window = _window(parts)
    inside = _votes(parts, *window) > 0
    inside &= _votes(holes, *window) == 0
    return _tight(window[0], inside)


def same_nodule(first: Region, second: Region, spacing: Sequence[float]) -> bool:
    """Whether two readers' regions are of one nodule, by the rule of this module. ``spacing`` is in millimeters."""
    distance = float(np.linalg.norm((first.center() - second.center()) * spacing))
    if distance < first.radius(spacing) + second.radius(spacing):
        return True
    return bool((first.mask & second.within(first.start, first.mask.shape)).any())


def consensus_nodules(
    reading: Reading, shape: Sequence[int], affine: NDArray[np.float64], min_readers: int = 3
) -> list[Nodule]:
    """The nodules of a scan that enough readers marked, in the order of their slices.

    A nodule of which no voxel is inside the outlines of half of its readers is left out.

    Args:
        reading: of the scan.
        shape: of its volume, (X, Y, Z).
        affine: (4, 4) of its volume.
        min_readers: how many different readers must have marked a nodule.

    Raises:
        InputError: the outlines do not fit the volume; names the XML file.
    """
    marked: list[tuple[int, Region]] = []
    for annotation in reading.annotations:
        try:
            region = annotation_region(annotation, shape, affine)
        except InputError as error:
            raise InputError(f"{reading.path}: {error}") from error
        if region is not None:
            marked.append((annotation.reader, region))
    nodules = []
    for group in _groups(marked, np.linalg.norm(affine[:3, :3], axis=0).tolist()):
        readers = {reader for reader, _ in group}
        if len(readers) < min_readers:
            continue
        window = _window([region for _, region in group])
        drawn = [[region for by, region in group if by == reader] for reader in sorted(readers)]
        votes = np.sum([_votes(regions, *window) > 0 for regions in drawn], axis=0)
        region = _tight(window[0], 2 * votes >= len(readers))
        if region is not None:
            nodules.append(Nodule(region, len(readers)))
    return sorted(nodules, key=lambda nodule: nodule.region.start[::-1])


def _groups(marked: Sequence[tuple[int, Region]], spacing: Sequence[float]) -> list[list[tuple[int, Region]]]:
    """Chains of annotations of one nodule."""
    group = list(range(len(marked)))
    for a, b in combinations(range(len(marked)), 2):
        (reader, first), (other_reader, second) = marked[a], marked[b]
        if group[a] != group[b] and reader != other_reader and same_nodule(first, second, spacing):
            group = [group[a] if number == group[b] else number for number in group]
    return [[marked[i] for i, number in enumerate(group) if number == name] for name in dict.fromkeys(group)]


def _window(regions: Sequence[Region]) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Start and shape of the smallest box around regions."""
    start = np.min([region.start for region in regions], axis=0)
    end = np.max([np.add(region.start, region.mask.shape) for region in regions], axis=0)
    return tuple(start.tolist()), tuple((end - start).tolist())


def _votes(regions: Iterable[Region], start: Sequence[int], shape: Sequence[int]) -> NDArray[np.int64]:
    """How many of the regions hold each voxel of a window."""
    votes = np.zeros(tuple(shape), np.int64)
    for region in regions:
        votes += region.within(start, shape)
    return votes


def _tight(start: Sequence[int], mask: NDArray[np.bool_]) -> Region | None:
    """A region without empty borders; None where the mask is empty."""
    inside = np.argwhere(mask)
    if not len(inside):
        return None
    first, last = inside.min(0), inside.max(0)
    return Region(
        tuple((first + start).tolist()), mask[tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))]
    )
