"""Cases: what there is to learn from, volumes or images, whatever the layout of the data set on disk."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segxfer3d.data.modalities import UNKNOWN, modality_of_names
from segxfer3d.errors import InputError
from segxfer3d.spelling import one_form

NOUNS = {2: "images", 3: "volumes"}
ValuePairs = tuple[tuple[int, int], ...]  # value in a label file, value that it stands for
Regions = tuple[tuple[int, tuple[int, ...]], ...]  # value of a class, the label values that it is made of

_LIDC_PATIENT = re.compile(r"LIDC-IDRI-\d{4}")


@dataclass(frozen=True)
class Case:
    """One volume or image, with its label and its category where there are any.

    Attributes:
        name: unique within its data set; it and ``patient`` have one form of letters with marks,
            see :mod:`segxfer3d.spelling`.
        image: a file, or a folder with one DICOM series.
        label: the segmentation, on the image's grid; None for an unlabeled case.
        patient: whose it is (of images also: which scene), cases of one patient are never split; the case's name where
            nothing is known.
        category: number of its class in the data set's ``categories``; None where it has none.
        fold: number of the official fold, where the data set has folds.
        part: ``train`` or ``val`` where the data set has an official split, else "".
        box: top, left, height and width of the patch of an image's files that is meant; None for all of it.
        page: number of the page of an image's files, from 0; None for files that are one image.
        uneven: ``resample`` where DICOM slices that are missing or unevenly spaced are taken, else ``refuse``.
        further: of a volume whose channels lie in a file each: the files of the channels after the first, in order, on
            the grid of ``image``; empty where it has one channel, or all of them in one file.
        masks: of a label that has a file for each class: value and file of each; ``label`` is then their folder.
        label_map: values of the label file that stand for others: (value in the file, value that it means).
        picked: numbers, from 0, of the channels of a volume's files that are meant, in this order; empty for all.
        masked: whether an image has a mask that its task has no use for, so that ``label`` is None.
    """

    name: str
    image: Path
    label: Path | None = None
    patient: str = ""
    category: int | None = None
    fold: int | None = None
    part: str = ""
    box: tuple[int, int, int, int] | None = None
    page: int | None = None
    uneven: str = "refuse"
    further: tuple[Path, ...] = ()
    picked: tuple[int, ...] = ()
    masks: tuple[tuple[int, Path], ...] = ()
    label_map: ValuePairs = ()
    masked: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", one_form(self.name))
        object.__setattr__(self, "patient", one_form(self.patient) or self.name)

    @property
    def files(self) -> tuple[Path, ...]:
        """Files or folders of all channels of the image, in their order; the label is none of them."""
        return (self.image, *self.further)

    @property
    def labeled(self) -> bool:
        """Whether there is a segmentation, used or not."""
        return self.label is not None or self.masked


@dataclass(frozen=True)
class LabelRule:
    """What the values, or the colors, of the label file (the mask) of an image mean.

    A paletted mask of a published data set is read by its index, any other as
    :mod:`~segxfer3d.data.io.palettes` says. A gray JPEG mask cannot hold exact values and is compared
    with ``threshold``; a color mask with ``color``. All else goes by value.

    Attributes:
        foreground: values of the target.
        background: values of the rest; None: whatever no other field names.
        ignore: values that neither train nor count.
        several: each value of ``foreground`` is a class of its own, a channel in this order; else all are one target.
        either: ``foreground`` lists alternatives of which a mask may hold only one, so that a mask with 0, 1 and 255
            (where 255 often means "ignore") is refused rather than guessed at.
        threshold: a gray JPEG mask is foreground above it; None refuses such masks.
        color: (red, green, blue) that a color mask is compared with; None refuses color masks.
        tolerance: Euclidean distance to ``color``, in gray levels, that still counts as equal.
        color_is_background: ``color`` is the backdrop and anything else is foreground, rather than the other way.
        resize: a mask of another size than its image is brought to it, provided the aspect ratio fits; only for data
            sets that are known to come like this.
    """

    foreground: tuple[int, ...] = (1,)
    background: tuple[int, ...] | None = (0,)
    ignore: tuple[int, ...] = ()
    several: bool = False
    either: bool = False
    threshold: int | None = None
    color: tuple[int, int, int] | None = None
    tolerance: float = 0.0
    color_is_background: bool = False
    resize: bool = False


@dataclass(frozen=True)
class CaseSet:
    """The cases of a data set that a task can use.

    Attributes:
        root: the data set's folder.
        layout: name of the layout, a module of :mod:`segxfer3d.data.layouts`.
        dims: 3 for volumes, 2 for images.
        cases: sorted by name.
        classes: label value -> name of every foreground class, in rising order, which is that of the label's channels;
            by default one: 1, the target or "foreground".
        label_rule: what the values of an image's mask mean; a volume's label holds 0, the values of ``classes``, and
            those that the rule ignores.
        categories: names of the classes that whole images are told apart by, by number.
        channels: 3 for color, 1 for gray; of volumes their number, by default that of ``channel_names``, or 1.
        channel_names: of volumes, the names of their channels in order, where they are known.
        modality: ``CT``, ``MR`` or ``unknown``.
        assumed: whether nothing says the modality, so that it was taken to be CT.
        target: what the labels of images show, or the classes that are told apart.
        published: how many images the paper's experiments had; None where it does not say.
        official: whether the images are those of a published data set, see
            :func:`~segxfer3d.data.io.images.read_image`.
        convert: images of another kind than ``channels`` says are converted instead of refused.
        exif: whether EXIF orientations turn images with masks: ``auto``, ``shown`` or ``stored``, see
            :func:`~segxfer3d.data.preprocessing.loaded_images.load_image`.
        notes: what a user should hear, such as a count that is not the published one.
        regions: of volumes whose classes overlap (nnU-Net's regions): value of each class, and the label values that it
            is made of, in the order in which they are written into a label map, the last on top; empty where a class is
            one label value.
    """

    root: Path
    layout: str
    dims: int
    cases: tuple[Case, ...]
    classes: dict[int, str] = field(default_factory=dict)
    label_rule: LabelRule = field(default_factory=LabelRule)
    categories: tuple[str, ...] = ()
    channels: int = 0
    channel_names: tuple[str, ...] = ()
    modality: str = "unknown"
    assumed: bool = False
    target: str = ""
    published: int | None = None
    official: bool = True
    convert: bool = False
    exif: str = "auto"
    notes: tuple[str, ...] = ()
    regions: Regions = ()

    def __post_init__(self) -> None:
        if not self.classes:
            object.__setattr__(self, "classes", {1: self.target or "foreground"})
        object.__setattr__(self, "channel_names", tuple(map(one_form, self.channel_names)))
        if not self.channels:
            object.__setattr__(self, "channels", 3 if self.dims == 2 else len(self.channel_names) or 1)

    @property
    def name(self) -> str:
        """What checkpoints call the data set: a published one by its layout, any other by its folder."""
        return self.layout if self.dims == 2 and self.layout != "folder" else self.root.resolve().name

    @property
    def parts(self) -> tuple[tuple[int, ...], ...]:
        """The label values of each class, in the order of the channels."""
        known = dict(self.regions)
        return tuple(known.get(value, (value,)) for value in sorted(self.classes))

    @property
    def values(self) -> tuple[int, ...]:
        """The label values of all classes, in rising order."""
        return tuple(sorted({value for part in self.parts for value in part}))

    @property
    def modalities(self) -> tuple[str, ...]:
        """That of each channel of volumes: of all, or as its name says."""
        if self.modality == UNKNOWN and self.channel_names:
            return tuple(modality_of_names([name]) for name in self.channel_names)
        return (self.modality,) * self.channels

    @property
    def labeled(self) -> tuple[Case, ...]:
        """The cases that have a label."""
        return tuple(case for case in self.cases if case.label is not None)

    @property
    def unlabeled(self) -> tuple[Case, ...]:
        """The cases that have none."""
        return tuple(case for case in self.cases if case.label is None)

    @property
    def has_categories(self) -> bool:
        """Whether every case has a category."""
        return bool(self.cases) and all(case.category is not None for case in self.cases)


def unit_of(cases: Sequence[Case], dims: int) -> str:
    """What the patients of some cases are, in words: of images each is a scene, or a single image."""
    if dims == 3:
        return "patients"
    return "images" if all(case.patient == case.name for case in cases) else "groups of images"


def page_names(name: str, pages: Sequence[int]) -> dict[str, int]:
    """The names of the cases that the pages of a file are, counted from 1, to the numbers of the pages in the file."""
    width = len(str(len(pages)))
    return {f"{name}_page{number:0{width}}": page for number, page in enumerate(pages, 1)}


def compiled_pattern(pattern: str, option: str = "patient_pattern") -> re.Pattern[str]:
    """The regular expression of an option, by default the one that finds a patient.

    Raises:
        InputError: it is none.
    """
    try:
        return re.compile(one_form(pattern))
    except re.error as error:
        raise InputError(f"{option} {pattern!r}: not a regular expression ({error})") from error


def patient_of(name: str, pattern: str = "") -> str:
    """Read the patient from a case's name.

    Args:
        name: of the case, e.g. ``LIDC-IDRI-0005_R_2``.
        pattern: regular expression searched in the name; its first group is the patient, or the whole match where it
            has no group. Empty: the official naming of LIDC-IDRI where the name has it, else the name, so that every
            case is a patient of its own.

    Raises:
        InputError: the pattern is no regular expression, or finds no patient in the name.
    """
    if not pattern:
        match = _LIDC_PATIENT.search(name)
        return match.group() if match else name
    match = compiled_pattern(pattern).search(one_form(name))
    patient = match and match.group(1 if match.re.groups else 0)
    if not patient:
        raise InputError(f"patient_pattern {pattern!r}: finds no patient in the file name {name!r}")
    return patient
