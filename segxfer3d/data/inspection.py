"""Looking over a data set before anything is trained on it: what there is, how it is scaled, what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.check import check, refuse_without_target, refuse_wrong_modality
from segxfer3d.data.io.radiographs import holds_radiographs
from segxfer3d.data.layouts import FOLDER, Request, find_cases, layouts, titled
from segxfer3d.data.layouts.image_files import short_name
from segxfer3d.data.layouts.listing import OtherKindError, images_below, volumes_below
from segxfer3d.data.plausible import refuse_mask_images, refuse_masks
from segxfer3d.data.preprocessing.loaded_images import load_image
from segxfer3d.data.preprocessing.loaded_volumes import load_volume
from segxfer3d.errors import InputError, once_each, some

_THREADS = 2
_SHOWN = 20
_LOW, _HIGH = 0.5, 99.5  # percentiles of intensities: a few stray voxels say nothing

Item = TypeVar("Item")
Row = tuple[float, ...]


@dataclass
class Inspection:
    """What was found.

    Attributes:
        lines: a line on each property.
        notes: what is allowed and worth knowing.
        warnings: what is allowed and may be a mistake.
        problems: a line on each case that cannot be used, or on several of which the same is wrong.
        unusable: how many cases that are.
    """

    lines: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    unusable: int = 0

    def text(self) -> str:
        """All of it, to print."""
        lines = [*self.lines, *(f"note: {note}" for note in self.notes)]
        lines += [f"warning: {warning}" for warning in self.warnings]
        if self.problems:
            lines.append(f"{max(self.unusable, len(self.problems))} cannot be used:")
            lines.append("  " + some(self.problems, _SHOWN, "\n  "))
        elif not self.warnings:
            lines.append("no problems found")
        return "\n".join(lines)


def inspect(
    root: Path,
    dataset: str = "",
    *,
    target: str = "",
    patient_pattern: str = "",
    image_kind: str = "auto",
    exif: str = "auto",
    progress: bool = True,
    **files: Any,
) -> Inspection:
    """Look over a folder of volumes or of images.

    Args:
        root: the data set's folder.
        dataset: its layout; empty: the one that fits, of volumes where there are some, else of images.
        target: what is segmented, where a data set of images has several.
        patient_pattern: finds the patient in a file's name.
        image_kind: what images are taken as, see :class:`~segxfer3d.data.layouts.Request`.
        exif: whether EXIF orientations turn images with masks, see there.
        progress: show bars.
        files: ``label_map``, and of volumes ``series``, ``image_pattern``, ``label_pattern``, ``modality`` and
            ``uneven_slices``, see there.

    Raises:
        InputError: no data set, or one whose files do not belong together.
    """
    if not root.is_dir():
        raise InputError(f"{root}: {'not a folder' if root.exists() else 'no such folder'}")
    left_out: dict[str, str] = {}
    request = Request(
        layout=dataset,
        dims=_dims(root, dataset),
        target=target,
        patient_pattern=patient_pattern,
        image_kind=image_kind,
        exif=exif,
        skip_bad=True,
        left_out=left_out,
        progress=progress,
        **files,
    )
    if request.dims == 3:
        with suppress(OtherKindError):  # DICOM that is neither a volume nor a radiograph, beside images
            volumes = _volumes(find_cases(root, request), progress, patterned=bool(request.image_pattern))
            if not dataset and (images := images_below(root, radiographs=False)):
                volumes.notes.append(f"{len(images)} images are in the folder too; --dataset looks at them")
            return volumes
        request = replace(request, dims=2)
    try:
        case_set = find_cases(root, request)
    except InputError as error:
        if dataset or target or "no masks" not in str(error):
            if not left_out:
                raise
            raise InputError("\n  ".join([str(error), *once_each(left_out)])) from error
        left_out.clear()
        case_set = find_cases(root, replace(request, task="images"))
    inspection = _images(case_set, progress)
    inspection.problems = once_each(left_out) + inspection.problems
    inspection.unusable += len(left_out)
    return inspection


def _dims(root: Path, dataset: str) -> int:
    """Whether a folder is of volumes (3) or of images (2)."""
    known = layouts()[dataset].DIMS if dataset in layouts() else (2, 3)
    if len(known) == 1:
        return known[0]
    found = volumes_below(root)
    volumes = [path for path in found.values() if not holds_radiographs(path)]  # whose masks may be PNG beside them
    return 2 if not volumes and (found or images_below(root, radiographs=False)) else 3


def _checked(inspection: Inspection, case_set: CaseSet, progress: bool, *, patterned: bool = False) -> Sequence[Case]:
    """The cases that can be used; what is wrong with others, or with all of them, and what is worth knowing, goes into
    the inspection.

    Args:
        inspection: to be filled.
        case_set: to look over.
        progress: show a bar.
        patterned: a pattern says which volumes are images.
    """
    try:
        report = check(case_set, skip_bad=True, progress=progress)
    except InputError as error:
        inspection.problems = [line.strip() for line in str(error).splitlines()[1:]] or [str(error)]
        inspection.unusable = len(case_set.cases)
        return ()
    inspection.problems, inspection.unusable = once_each(report.bad), len(report.bad)
    try:
        if case_set.dims == 3 and case_set.layout == FOLDER and not patterned:
            refuse_masks(case_set.root, report.good, report.kinds)
        if case_set.dims == 2 and case_set.layout == FOLDER:
            inspection.notes += refuse_mask_images(case_set.root, report.good, report.kinds, short_name)
        refuse_without_target(case_set, report)
        refuse_wrong_modality(case_set, report)
    except InputError as error:  # a training stops there
        inspection.problems.append(str(error))
    if empty := report.empty_labels:
        labels = "labels" if case_set.dims == 3 else "masks"
        inspection.notes.append(f"{len(empty)} {labels} are empty: {some(empty, _SHOWN, ', ')}")
    if report.converted:
        inspection.notes.append(f"{len(report.converted)} images of another color mode are converted")
    for note in sorted(set(report.read_notes.values())):
        names = [name for name, why in report.read_notes.items() if why == note]
        inspection.notes.append(f"{some(names, 3, ', ')}: {note}")
    return report.good


def _volumes(case_set: CaseSet, progress: bool, *, patterned: bool) -> Inspection:
    inspection = Inspection(notes=list(case_set.notes))
    good = _checked(inspection, case_set, progress, patterned=patterned)
    patients = {case.patient for case in case_set.cases}
    inspection.lines = [
        f"{case_set.root}: volumes, layout {titled(case_set)}, modality {case_set.modality}{_channels(case_set)}",
        f"cases: {len(case_set.cases)} of {len(patients)} patients, {len(case_set.labeled)} labeled",
    ]
    if len(patients) == len(case_set.cases) > 1:
        inspection.notes.append("every case counts as a patient of its own; --patient-pattern says otherwise")
    if not good:
        return inspection
    rows = _over(good, lambda case: _volume_row(case, case_set.parts), progress)
    numbers = 6 + 2 * case_set.channels
    table = np.array([row[:numbers] for row in rows])
    inspection.lines += [
        f"voxels: {_axes(table[:, 0:3], '{:.0f}')}",
        f"spacing in mm: {_axes(table[:, 3:6], '{:.3g}')}",
    ]
    names = case_set.channel_names or tuple(f"channel {number + 1}" for number in range(case_set.channels))
    for name, at in zip(names, range(6, numbers, 2), strict=True):
        of_channel = f" of {name}" if case_set.channels > 1 else ""
        inspection.lines.append(
            f"intensities{of_channel} ({_LOW} % to {_HIGH} % of a case): {_range(table[:, at])} to "
            f"{_range(table[:, at + 1])}"
        )
    shares = np.array([row[numbers:] for row in rows if len(row) > numbers])
    return _with_shares(
        inspection, shares, [f" of {case_set.classes[value]} ({value})" for value in sorted(case_set.classes)]
    )


def _channels(case_set: CaseSet) -> str:
    """Of several or picked channels, in words."""
    if case_set.channels == 1 and not case_set.channel_names:
        return ""
    named = f" ({', '.join(case_set.channel_names)})" if case_set.channel_names else ""
    return f", {case_set.channels} channel{'s' if case_set.channels > 1 else ''}{named}"


def _with_shares(inspection: Inspection, shares: NDArray[Any], names: Sequence[str]) -> Inspection:
    """A line for the share of each class, in the labels that there are, and a warning of those in none of them."""
    if not shares.size:
        return inspection
    for index, name in enumerate(names):
        inspection.lines.append(f"foreground share{name}: {_range(shares[:, index], 100)} %")
    unseen = [name for name, seen in zip(names, shares.max(axis=0).tolist(), strict=True) if not seen]
    if len(unseen) < len(names):  # else there is no target at all, which is a problem
        inspection.warnings += [f"class{name.removeprefix(' of')}: in no case" for name in unseen]
    return inspection


def _volume_row(case: Case, parts: Sequence[Sequence[int]]) -> Row:
    """Shape, spacing, low and high intensity of each channel, and the share of each class where there is a label."""
    loaded = load_volume(case)
    volume, label = loaded.image, loaded.label
    ends = (np.percentile(channel.array, [_LOW, _HIGH]).tolist() for channel in loaded.channels)
    row = (*volume.array.shape, *volume.spacing, *(end for pair in ends for end in pair))
    if label is None:
        return row
    return (*row, *(float(np.isin(label.array, part).mean()) for part in parts))


def _images(case_set: CaseSet, progress: bool) -> Inspection:
    inspection = Inspection(notes=list(case_set.notes))
    good = _checked(inspection, case_set, progress)
    patients = {case.patient for case in case_set.cases}
    inspection.lines = [
        f"{case_set.root}: images, layout {titled(case_set)}, {'color' if case_set.channels == 3 else 'gray'}",
        f"cases: {len(case_set.cases)} of {len(patients)} patients or scenes, {len(case_set.labeled)} with a mask"
        + (f" of {case_set.target}" if case_set.target else ""),
    ]
    if not good:
        return inspection
    rows = _over(good, lambda case: _image_row(case, case_set), progress)
    table = np.array([row[:4] for row in rows])
    inspection.lines += [
        f"height and width in pixels: {_axes(table[:, 0:2], '{:.0f}')}",
        f"intensities ({_LOW} % to {_HIGH} % of a case): {_range(table[:, 2])} to {_range(table[:, 3])}",
    ]
    names = [f" of {name} ({value})" for value, name in case_set.classes.items()] if len(case_set.classes) > 1 else [""]
    return _with_shares(inspection, np.array([row[4:] for row in rows if len(row) > 4]), names)


def _image_row(case: Case, case_set: CaseSet) -> Row:
    """Height, width, low and high intensity, and the share of each class in the pixels that count."""
    image, label, *_ = load_image(case, case_set)
    low, high = np.percentile(image, [_LOW, _HIGH])
    row = (image.shape[1], image.shape[2], float(low), float(high))
    if label is None:
        return row
    return (*row, *(float(mask.sum() / max(1, label.valid.sum())) for mask in label.label))


def _over(items: Sequence[Item], look: Callable[[Item], Row], progress: bool) -> list[Row]:
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(tqdm(pool.map(look, items), "measuring", total=len(items), disable=not progress, leave=False))


def _axes(values: NDArray[Any], form: str) -> str:
    """Median, and least and most, of each axis."""
    middle = " x ".join(form.format(v) for v in np.median(values, 0))
    low, high = (" x ".join(form.format(v) for v in side) for side in (values.min(0), values.max(0)))
    return f"median {middle}" + (f" ({low} to {high})" if low != high else "")


def _range(values: NDArray[Any], factor: float = 1) -> str:
    low, middle, high = (factor * float(v) for v in (values.min(), np.median(values), values.max()))
    return f"{middle:.4g}" + (f" ({low:.4g} to {high:.4g})" if low != high else "")
