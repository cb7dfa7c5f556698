"""What a layout is asked for, and what the layouts share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar, cast

from tqdm import tqdm

from segxfer3d.data.case import NOUNS, Case, LabelRule
from segxfer3d.data.io.images import THREADS, UInt8
from segxfer3d.data.io.labels import read_values, values_in
from segxfer3d.errors import InputError, closest, once_each, shortened, some, way_on

TASKS = ("segmentation", "classification", "images")
BORDERS = ("ignore", "foreground", "background")
BY_TARGET = ("cityscapes", "oxford_pets", "voc")  # layouts whose images are those of the target, where there is one

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of a data set; see :func:`~segxfer3d.data.layouts.find_cases`.

    Attributes:
        layout: name of the layout; "" for the one that fits.
        dims: 3 for volumes, 2 for images.
        task: ``segmentation`` wants images with labels, ``classification`` images with categories, ``images`` images
            alone (of the target, where one is given). Volumes come all of them, with their labels where they have some.
        target: what to segment or to tell apart (images), "" for the data set's own choice; several are joined by
            commas.
        border: what pixels are that the annotators left open (``oxford_pets``: value 3, ``voc``: 255), one of
            :data:`BORDERS`; of other layouts, and without masks, ``ignore``.
        extent: ``all`` images, or for the task ``images`` without a target only those of the official training and
            validation part (``trainval``).
        patient_pattern: finds the patient in a file's name, see :func:`~segxfer3d.data.case.patient_of`.
        series: which DICOM series of a folder, see :func:`~segxfer3d.data.layouts.volume_files.find_volumes`.
        image_pattern: which volumes of a folder are images, see there.
        label_pattern: which volumes are the labels of others, see
            :func:`~segxfer3d.data.layouts.label_files.labels_of`.
        label_map: values of label files that stand for others, see :func:`~segxfer3d.data.label_map.value_pairs`.
        channel_pattern: finds the channel in the paths of volumes of one channel a file, see
            :func:`~segxfer3d.data.layouts.channel_files.with_channels`.
        channel_names: which channels of volumes, in their order, separated by commas; "" for all.
        modality: of volumes: ``auto`` (what the files say, else CT), ``CT``, ``MR`` or ``other``.
        image_kind: of images: ``auto`` (as the first one; others are refused), ``gray`` or ``color`` (others are
            converted).
        exif: of images with masks, see :attr:`~segxfer3d.data.case.CaseSet.exif`.
        uneven_slices: ``refuse`` or ``resample`` DICOM slices that are missing or unevenly spaced.
        patch_size: pixels of a side of a patch cut from larger images (``cityscapes_cars``).
        seed: of what is drawn (``cityscapes_cars``).
        skip_bad: go on without images that are listed and not there, and where masks have to be opened without those
            that cannot be used.
        skip_option: how a user says ``skip_bad``, for messages; empty where the command has no such option.
        left_out: takes in, with ``skip_bad``, the name of each image that is left out and what is wrong with it, in
            place of a note.
        progress: show a bar where masks have to be opened.
    """

    layout: str = ""
    dims: int = 3
    task: str = "segmentation"
    target: str = ""
    border: str = "ignore"
    extent: str = "all"
    patient_pattern: str = ""
    series: str = ""
    image_pattern: str = ""
    label_pattern: str = ""
    label_map: str = ""
    channel_pattern: str = ""
    channel_names: str = ""
    modality: str = "auto"
    uneven_slices: str = "refuse"
    image_kind: str = "auto"
    exif: str = "auto"
    patch_size: int = 256
    seed: int = 0
    skip_bad: bool = False
    skip_option: str = ""
    left_out: dict[str, str] | None = field(default=None, compare=False)
    progress: bool = True

    def __post_init__(self) -> None:
        if self.dims not in NOUNS:
            raise InputError(f"dims: expected 2 (images) or 3 (volumes), got {self.dims!r}")

    def only(self, cases: Iterable[Case]) -> tuple[Case, ...]:
        """Of images that were found, those that the task can use and no more of them than it needs, sorted by name."""
        chosen = []
        for case in cases:
            if self.task == "segmentation" and case.label is not None:
                chosen.append(replace(case, category=None))
            elif self.task == "classification" and case.category is not None:
                chosen.append(replace(case, label=None, masked=case.labeled))
            elif self.task == "images" and (self.target or self.extent == "all" or case.part in ("train", "val")):
                chosen.append(replace(case, label=None, category=None, masked=case.labeled))
        return tuple(sorted(chosen, key=lambda case: case.name))

    def leave_out(self, why: Mapping[str, str], note: str) -> tuple[str, ...]:
        """Say which images are left out and why: to ``left_out``, or else by the note, which is given back."""
        if self.left_out is None:
            return (note,)
        self.left_out.update(why)
        return ()

    def refuse_target(self, layout: str) -> None:
        """For data sets with nothing to choose from.

        Raises:
            InputError: there is a target.
        """
        if self.target:
            raise InputError(f"target {self.target!r}: {layout} has one target only; expected none")

    def with_border(self, rule: LabelRule, values: tuple[int, ...]) -> LabelRule:
        """The rule with the values that the annotators left open, as ``border`` says.

        Raises:
            InputError: they should be foreground, but of several classes.
        """
        if self.border == "foreground" and rule.several:
            raise InputError(f"border foreground: there are several classes ({self.target}); expected another border")
        if self.border == "foreground":
            return replace(rule, foreground=(*rule.foreground, *values))
        if self.border == "background":
            return replace(rule, background=(*(rule.background or ()), *values))
        return replace(rule, ignore=(*rule.ignore, *values))


def one_of(name: str, value: str, known: Sequence[str]) -> str:
    """``value`` if it is known.

    Raises:
        InputError: unknown; the nearest and all known ones are named.
    """
    if value in known:
        return value
    near = closest(value.lower(), known, cutoff=0.5)
    hint = f"did you mean {near}? " if near else ""
    raise InputError(f"{name} {value!r}: unknown; {hint}expected one of {', '.join(known)}")


def folder_of(root: Path, marker: str, inner: Sequence[str]) -> Path:
    """Where a data set lies: ``root``, or the folder in it that its archive makes; the one that has ``marker``."""
    return next((root / place for place in ("", *inner) if (root / place / marker).exists()), root)


def require(root: Path, places: Iterable[str], *, title: str, source: str) -> None:
    """Make sure that a data set's files and folders are there.

    Args:
        root: the data set's folder.
        places: files and folders in it.
        title: the layout's ``TITLE``.
        source: the layout's ``SOURCE``.

    Raises:
        InputError: some are not; all are named, and where the data set is to be had.
    """
    if missing := [place for place in places if not (root / place).exists()]:
        raise InputError(f"{root}: not the layout of {title}: no {', no '.join(missing)}; unpack {source} there")


def refuse_lone_masks(root: Path, images: Mapping[str, Path], masks: Mapping[str, Path], hint: str = "") -> None:
    """Masks must have their images.

    Raises:
        InputError: some have none; the hint stands at the end.
    """
    if lone := [f"{masks[name]} (mask without image)" for name in sorted(masks.keys() - images.keys())]:
        raise InputError(f"{root}: images and masks do not match by name: {some(lone)}{hint}")


def refuse_missing(root: Path, listed: Iterable[str], images: Mapping[str, Path], request: Request) -> tuple[str, ...]:
    """Images that a data set's lists name have to be there.

    Returns:
        a note on those that are not, with ``skip_bad``.

    Raises:
        InputError: some are not; a few are named.
    """
    names = set(listed)
    missing = sorted(name for name in names if name not in images)
    if not missing:
        return ()
    if request.skip_bad:
        why = {name: f"{name}: a list of the data set names it, and there is no such image" for name in missing}
        return request.leave_out(why, f"left out {len(missing)} images that are listed and not there: {some(missing)}")
    named = "\n".join(f"  {name}" for name in shortened(missing))
    hint = way_on(request.skip_option, left=len(missing) < len(names))
    raise InputError(f"{root}: {len(missing)} images are listed and not there{hint}:\n{named}")


def count_note(what: str, count: int, *, expected: int | None, whose: str = "the paper had") -> tuple[str, ...]:
    """What to say where there are not as many images as in the paper or in the whole data set."""
    if expected is None or count == expected:
        return ()
    return (f"{what}: {count} images; {whose} {expected}",)


def known_values(case: Case, mask: UInt8, known: Collection[int], words: str) -> set[int]:
    """The different values of a mask.

    Args:
        case: that it is of.
        mask: (H, W).
        known: values that a mask of the data set may have.
        words: which these are.

    Raises:
        InputError: there are others.
    """
    present = values_in(mask)
    if strange := sorted(present.difference(known)):
        raise InputError(f"{case.label}: mask values {some(strange, 5, ', ')}; expected {words}")
    return present


def refuse_unshown(root: Path, shown: Iterable[Collection[int]], request: Request, target: str, wanted: str) -> None:
    """For masks of which none shows a target.

    Args:
        root: the data set's folder.
        shown: the different values of each mask.
        request: what was asked for.
        target: it.
        wanted: its values, in words.

    Raises:
        InputError: always, unless there are no masks; which values they have is said.
    """
    if values := sorted(set[int]().union(*shown)):
        raise InputError(
            f"dataset_dir {root}: no images for {request.task} of {target} in it: its masks have the values "
            f"{some(values, 10, ', ')}; expected {wanted}"
        )


def read_masks(
    cases: Sequence[Case], look: Callable[[Case, UInt8], Result], request: Request
) -> tuple[list[tuple[Case, Result]], tuple[str, ...]]:
    """What ``look`` sees in the values of each mask, by a few threads.

    Returns:
        each case with what was seen, and a note on the cases that were left out.

    Raises:
        InputError: masks that cannot be read or that ``look`` refuses, all of them; with ``skip_bad`` these are left
            out, and noted, unless no good one is left.
    """

    def read(case: Case) -> tuple[Result | None, str]:
        try:
            if not case.image.exists():
                raise InputError(f"{case.image}: no such file, though a list of the data set names it")
            if case.label is None:
                raise InputError(f"{case.image}: no mask")
            return look(case, read_values(case.label)), ""
        except InputError as error:
            return None, str(error)

    with ThreadPoolExecutor(THREADS) as pool:
        bar = tqdm(pool.map(read, cases), "reading masks", total=len(cases), disable=not request.progress, leave=False)
        looks = list(zip(cases, bar, strict=True))
    bad = {case.name: problem for case, (_, problem) in looks if problem}
    seen = [(case, cast(Result, result)) for case, (result, problem) in looks if not problem]
    if not bad:
        return seen, ()
    if request.skip_bad and seen:
        return seen, request.leave_out(bad, f"left out {len(bad)} masks that cannot be used: {some(once_each(bad))}")
    listed = "\n".join(f"  {problem}" for problem in once_each(bad))
    hint = "" if request.skip_bad else way_on(request.skip_option, left=bool(seen))
    raise InputError(f"{len(bad)} of {len(cases)} masks cannot be used{hint}:\n{listed}")
