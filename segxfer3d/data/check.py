"""Checking cases before any work starts: every file is read once, every bad case is listed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.content_hash import content_hash, voxels_checksum, voxels_hash
from segxfer3d.data.image_hashes import image_hashes
from segxfer3d.data.io.images import BLURRED_ENDINGS, JPEG_ENDINGS
from segxfer3d.data.io.turned_labels import TURNED
from segxfer3d.data.io.volumes import grid_difference
from segxfer3d.data.plausible import (
    MASK,
    is_constant,
    is_mask_image,
    kind_of_channels,
    no_intensities,
    refuse_no_hu,
)
from segxfer3d.data.preprocessing.loaded_channels import require_channels
from segxfer3d.data.preprocessing.loaded_images import load_image
from segxfer3d.data.preprocessing.loaded_volumes import LoadedVolume, load_volume, require_room
from segxfer3d.data.seen import Seen, look_at
from segxfer3d.errors import InputError, once_each, some, way_on

_THREADS = 2  # decompression runs beside the comparisons; more would only hold more cases in memory


@dataclass
class CheckReport:
    """What a check found.

    Attributes:
        good: cases that can be used, in the order given.
        bad: name -> what is wrong, of the others.
        empty_labels: names of good cases whose label has no foreground, which is allowed.
        shapes: name -> voxels (X, Y, Z) or pixels (H, W) of the good cases.
        converted: name -> mode of good images that were not gray or color as expected (official data sets only).
        contents: name -> :func:`~segxfer3d.data.content_hash.content_hash` of good images; of volumes the identity.
        also: name -> further hashes of a good image that checkpoints note, see
            :class:`~segxfer3d.data.image_hashes.ImageHashes`.
        recast: name -> of a good image that is gray, those that it has where it is read as the other kind.
        read_notes: name -> what a user should hear of how a good case's files were read.
        kinds: name -> what the values of a good volume look like where they are none of a CT, see
            :func:`~segxfer3d.data.plausible.kind_of`; of an image without mask, that it looks like one.
        spacings: name -> millimeters along each axis of good volumes.
        identities: name -> fingerprints of what a good case and its label hold ("" where it has none), see
            :func:`~segxfer3d.data.content_hash.voxels_hash`; where they were asked for.
        checksums: name -> of a good volume and its label (0 where it has none), where fingerprints were asked for, see
            :func:`~segxfer3d.data.content_hash.voxels_checksum`.
        seen: name -> of a good volume, see :mod:`segxfer3d.data.seen`.
    """

    good: tuple[Case, ...] = ()
    bad: dict[str, str] = field(default_factory=dict)
    empty_labels: list[str] = field(default_factory=list)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    converted: dict[str, str] = field(default_factory=dict)
    contents: dict[str, str] = field(default_factory=dict)
    also: dict[str, tuple[str, ...]] = field(default_factory=dict)
    recast: dict[str, tuple[str, ...]] = field(default_factory=dict)
    read_notes: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    spacings: dict[str, tuple[float, ...]] = field(default_factory=dict)
    identities: dict[str, tuple[str, str]] = field(default_factory=dict)
    checksums: dict[str, tuple[int, int]] = field(default_factory=dict)
    seen: dict[str, Seen] = field(default_factory=dict)

    def noted(self, case: Case) -> tuple[str, ...]:
        """The hashes that checkpoints note of a case, the one that stands for it first; none where none was taken."""
        return (self.contents[case.name], *self.also.get(case.name, ())) if case.name in self.contents else ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values for the run's folder; ``good`` as names."""
        return {
            "good": [case.name for case in self.good],
            "bad": self.bad,
            "empty_labels": self.empty_labels,
            "shapes": {name: list(shape) for name, shape in self.shapes.items()},
            "converted": self.converted,
            **({"read_notes": self.read_notes} if self.read_notes else {}),
        }


class _Look(NamedTuple):
    """What was seen of a good case."""

    shape: tuple[int, ...]
    empty: bool = False
    converted: str = ""
    content: str = ""
    also: tuple[str, ...] = ()
    recast: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    kind: str = ""
    spacing: tuple[float, ...] = ()
    identity: tuple[str, str] | None = None
    checksums: tuple[int, int] | None = None
    seen: Seen | None = None


Keep = Callable[[Case, Any], None]  # a case and its LoadedImage or LoadedVolume


def check(
    case_set: CaseSet,
    cases: Sequence[Case] | None = None,
    *,
    skip_bad: bool = False,
    skip_option: str = "",
    progress: bool = True,
    keep: Keep | None = None,
    spacing: tuple[float, float, float] | None = None,
    identify: bool = False,
) -> CheckReport:
    """Read every image and label once.

    Bad are: files that cannot be read (:func:`~segxfer3d.data.io.volumes.read_volume`,
    :func:`~segxfer3d.data.io.images.read_image`), labels on another grid or of another size than their images, label
    values that the data set does not have; of volumes, NaN or infinite voxels, another number of channels than the data
    set's, and channels on different grids; of images, gray among color or the other way round. Labels stored as floats
    are fine where the values are, and so is a label without foreground.

    Args:
        case_set: the data set.
        cases: the part of it to check; all where None.
        skip_bad: go on with the good ones.
        skip_option: how a user says so, for messages; empty where the command has no such option.
        progress: show a bar.
        keep: is given each good case as it was read, a
            :class:`~segxfer3d.data.preprocessing.loaded_images.LoadedImage` or
            :class:`~segxfer3d.data.preprocessing.loaded_volumes.LoadedVolume`.
        spacing: millimeters that volumes will be resampled to; those that would then not fit in memory are bad.
        identify: take fingerprints of all cases and their labels.

    Raises:
        InputError: bad cases, all listed with what is wrong; with ``skip_bad`` only where no good one is left; or a
            category without any image.
    """
    cases = case_set.cases if cases is None else cases
    with ThreadPoolExecutor(_THREADS) as pool:
        looks = pool.map(lambda case: _look(case, case_set, keep, spacing, identify), cases)
        results = list(tqdm(looks, "checking", total=len(cases), disable=not progress, leave=False))
    report = CheckReport(tuple(case for case, result in zip(cases, results, strict=True) if isinstance(result, _Look)))
    for case, result in zip(cases, results, strict=True):
        if isinstance(result, str):
            report.bad[case.name] = result
            continue
        report.shapes[case.name] = result.shape
        if result.empty:
            report.empty_labels.append(case.name)
        found: list[tuple[dict[str, Any], Any]] = [
            (report.converted, result.converted),
            (report.contents, result.content),
            (report.also, result.also),
            (report.recast, result.recast),
            (report.read_notes, "; ".join(result.notes)),
            (report.kinds, result.kind),
            (report.spacings, result.spacing),
            (report.identities, result.identity),
            (report.checksums, result.checksums),
            (report.seen, result.seen),
        ]
        for by_name, value in found:
            if value:
                by_name[case.name] = value
    if report.bad and not (skip_bad and report.good):
        hint = "" if skip_bad else way_on(skip_option, left=bool(report.good))
        listed = "\n".join(f"  {problem}" for problem in once_each(report.bad))
        noun = "images" if case_set.dims == 2 else "cases"
        raise InputError(f"{len(report.bad)} of {len(cases)} {noun} cannot be used{hint}:\n{listed}")
    _refuse_empty_categories(case_set, report.good)
    return report


def refuse_wrong_modality(case_set: CaseSet, report: CheckReport) -> None:
    """Where nothing says the modality, the values of most volumes have to be those of a CT.

    Raises:
        InputError: they are not, see :func:`~segxfer3d.data.plausible.kind_of`.
    """
    if case_set.assumed:
        refuse_no_hu(case_set.root, [case.name for case in report.good], report.kinds)


def refuse_without_target(case_set: CaseSet, report: CheckReport) -> None:
    """Labels of which not one has a target: there is nothing to learn or to measure.

    Raises:
        InputError: so it is; the message says what may be the cause.
    """
    labeled = [case for case in report.good if case.label is not None]
    if not labeled or len(report.empty_labels) < len(labeled):
        return
    blurred = [case.label.suffix for case in labeled if case.label and case.label.suffix.lower() in BLURRED_ENDINGS]
    why = ""
    if blurred:
        kinds = "JPEGs" if {ending.lower() for ending in blurred} <= {*JPEG_ENDINGS} else f"{blurred[0]} files"
        why = f"; {len(blurred)} are {kinds}, in which 0 and 1 cannot be told apart: save masks as PNG, or as 0 and 255"
    names = ", ".join(case_set.classes.values())
    raise InputError(f"{case_set.root}: not one of {len(labeled)} labels has a target ({names}){why}")


def _refuse_empty_categories(case_set: CaseSet, cases: Sequence[Case]) -> None:
    counts = Counter(case.category for case in cases)
    missing = [name for number, name in enumerate(case_set.categories) if not counts[number]]
    if missing and case_set.has_categories:
        raise InputError(f"{case_set.root}: no image of {len(missing)} of its classes: {some(missing, 10, ', ')}")


def _look(
    case: Case, case_set: CaseSet, keep: Keep | None, spacing: tuple[float, float, float] | None, identify: bool
) -> _Look | str:
    """What is seen of a case, or what is wrong with it."""
    try:
        if case_set.dims == 2:
            return _look_at_image(case, case_set, keep, identify)
        loaded = load_volume(case)
        require_channels(case, loaded.channels, case_set.channels, case_set.channel_names)
        require_room(case.image, loaded.image, spacing, channels=case_set.channels)
        look = _look_at_volume(case, loaded, case_set.values, case_set.label_rule.ignore)
        look = look._replace(spacing=loaded.image.spacing)
        if identify:
            content, label = voxels_hash(loaded.channels), [] if loaded.label is None else [loaded.label]
            look = look._replace(
                content=content,
                identity=(content, voxels_hash(label) if label else ""),
                checksums=(voxels_checksum(loaded.channels), voxels_checksum(label)),
            )
        if keep is not None:
            keep(case, loaded)
        return look
    except InputError as error:
        return str(error)


def _look_at_image(case: Case, case_set: CaseSet, keep: Keep | None, identify: bool) -> _Look:
    loaded = load_image(case, case_set)
    if keep is not None:
        keep(case, loaded)
    if loaded.label is not None and not loaded.label.valid.any():
        values = some(map(str, case_set.label_rule.ignore), 3, ", ")
        raise InputError(f"{case.label}: nothing in it but the value {values}, which is ignored")
    empty = loaded.label is not None and not loaded.label.label.any()
    shape = loaded.image.shape[1:]
    kind = MASK if case.label is None and is_mask_image(loaded.image) else ""
    notes = (*loaded.notes, *(["every pixel is the same"] if all(map(is_constant, loaded.image)) else []))
    look = _Look(shape, empty, loaded.converted, *image_hashes(loaded), notes=notes, kind=kind)
    if not identify:
        return look
    label = [] if loaded.label is None else [loaded.label.label, loaded.label.valid]
    return look._replace(identity=(look.content, "".join(content_hash(np.asarray(array)) for array in label)))


def _look_at_volume(case: Case, loaded: LoadedVolume, classes: Sequence[int], ignore: Sequence[int]) -> _Look:
    image, label = loaded.image, loaded.label
    constant: tuple[str, ...] = ()
    for number, channel in enumerate(loaded.channels):
        at = case.files[number] if case.further else case.image
        if why := no_intensities(channel.array):
            raise InputError(f"{at}: {why}")
        if is_constant(channel.array):
            constant += (f"every voxel is {channel.array.flat[0]:g}{f' in channel {number}' if number else ''}",)
    kind = kind_of_channels([channel.array for channel in loaded.channels])
    seen = look_at([channel.array for channel in loaded.channels], image.affine)
    if label is None:
        return _Look(image.array.shape, notes=(*image.notes, *constant), kind=kind, seen=seen)
    if difference := grid_difference(image, label):
        raise InputError(f"{case.label}: {difference}")
    if why := no_intensities(label.array):
        raise InputError(f"{case.label}: {why}")
    known = label.array == 0
    for value in ignore:
        known |= label.array == value
    rest = np.count_nonzero(known)
    for value in classes:
        known |= label.array == value
    if not known.all():
        strange = np.unique(label.array[~known])
        shown = ", ".join(f"{value:g}" for value in strange[:5].tolist()) + (", ..." if len(strange) > 5 else "")
        means = ""
        if len(strange) == len(classes) == 1 and np.count_nonzero(known) == rest and float(strange[0]).is_integer():
            means = f"; --label_map {strange[0]:g}:{classes[0]} where {strange[0]:g} is that class"
        ignored = f", or {some(map(str, ignore), 3, ', ')} (ignored)" if ignore else ""
        allowed = ", ".join(map(str, (0, *classes))) + ignored
        raise InputError(f"{case.label}: label values {shown}; expected {allowed}{means}")
    if ignore and np.isin(label.array, ignore).all():
        raise InputError(f"{case.label}: nothing in it but the value {ignore[0]}, which is ignored")
    notes = (*image.notes, *constant, *(note for note in label.notes if note == TURNED))
    empty = rest == known.size
    return _Look(image.array.shape, empty, notes=notes, kind=kind, seen=seen)
