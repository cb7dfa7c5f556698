"""Images to learn from, whatever the layout of the data set on disk, and checking them before any work starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from segxfer3d.data.io.images import MaskRule, ReadMask, UInt8, read_image, read_mask
from segxfer3d.errors import InputError

THREADS = 2  # Pillow decodes without holding Python's lock; more would only hold more images in memory


@dataclass(frozen=True)
class ImageCase:
    """One image, with its mask and its category where there are any.

    Attributes:
        name: unique within its data set.
        image: its file.
        mask: the file with the segmentation; None for an unlabeled image.
        category: number of its class in the data set's ``categories``; None where it has none.
        group: images of one group (a patient, a scene) are never split; the name where nothing is known.
        part: ``train`` or ``val`` where the data set has an official split, else "".
        box: top, left, height and width of the patch of the files that is meant; None for all of it.
    """

    name: str
    image: Path
    mask: Path | None = None
    category: int | None = None
    group: str = ""
    part: str = ""
    box: tuple[int, int, int, int] | None = None

    def __post_init__(self) -> None:
        if not self.group:
            object.__setattr__(self, "group", self.name)


@dataclass(frozen=True)
class ImageSet:
    """All images of a data set that a task can use.

    Attributes:
        root: the data set's folder.
        layout: name of the data set or of its layout.
        cases: sorted by name.
        categories: names of the classes, by number.
        mask_rule: what the values of the masks mean.
        channels: 3 for color, 1 for gray.
        target: what the masks show, or the classes that are told apart.
        published: how many images the paper's experiments had; None where it does not say.
        official: whether the files are those of a published data set, see :func:`~segxfer3d.data.io.images.read_image`.
        notes: what a user should hear, such as a count that is not the published one.
    """

    root: Path
    layout: str
    cases: tuple[ImageCase, ...]
    categories: tuple[str, ...] = ()
    mask_rule: MaskRule = field(default_factory=MaskRule)
    channels: int = 3
    target: str = ""
    published: int | None = None
    official: bool = True
    notes: tuple[str, ...] = ()

    @property
    def has_masks(self) -> bool:
        """Whether every image has a mask."""
        return bool(self.cases) and all(case.mask is not None for case in self.cases)

    @property
    def has_categories(self) -> bool:
        """Whether every image has a category."""
        return bool(self.cases) and all(case.category is not None for case in self.cases)


class LoadedCase(NamedTuple):
    """A case in memory, at its own size: uint8 (C, H, W), its mask if it has one, and the mode it came from."""

    image: UInt8
    mask: ReadMask | None
    converted: str


@dataclass
class ImageReport:
    """What a check found.

    Attributes:
        good: cases that can be used, in the order given.
        bad: name -> what is wrong, of the others.
        empty_masks: names of good cases whose mask has no foreground, which is allowed.
        converted: name -> mode of good cases that were not gray or color as expected (official data sets only).
        sizes: name -> height and width of the good cases.
    """

    good: tuple[ImageCase, ...] = ()
    bad: dict[str, str] = field(default_factory=dict)
    empty_masks: list[str] = field(default_factory=list)
    converted: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for the run's folder; ``good`` as names."""
        return {
            "good": [case.name for case in self.good],
            "bad": self.bad,
            "empty_masks": self.empty_masks,
            "converted": self.converted,
            "sizes": {name: list(size) for name, size in self.sizes.items()},
        }


def load_case(case: ImageCase, images: ImageSet) -> LoadedCase:
    """Read the files of a case, and cut out its box.

    Raises:
        InputError: what :func:`~segxfer3d.data.io.images.read_image` and
            :func:`~segxfer3d.data.io.images.read_mask` refuse.
    """
    image, converted = read_image(case.image, images.channels, images.official)
    mask = None
    if case.mask is not None:
        mask = read_mask(case.mask, images.mask_rule, (image.shape[1], image.shape[2]), images.official)
    if case.box is not None:
        top, left, height, width = case.box
        if top + height > image.shape[1] or left + width > image.shape[2]:
            raise InputError(
                f"{case.image}: {image.shape[2]}x{image.shape[1]} pixels are too few for the patch of "
                f"{width}x{height} at {left}, {top}"
            )
        image = image[:, top : top + height, left : left + width]
        if mask is not None:
            mask = ReadMask(*(part[:, top : top + height, left : left + width] for part in mask))
    return LoadedCase(image, mask, converted)


def check_images(images: ImageSet, skip_bad: bool = False, progress: bool = True) -> ImageReport:
    """Read every image and mask once.

    Bad are: files that :func:`load_case` refuses: damaged, gray among color or the other way round, masks of another
    size or with values that the data set does not have. A mask without foreground is fine.

    Args:
        images: to check.
        skip_bad: go on with the good ones.
        progress: show a bar.

    Raises:
        InputError: bad images, all listed with what is wrong; with ``skip_bad`` only where no good one is left; or a
            class without any image.
    """
    report = ImageReport()
    good = []
    with ThreadPoolExecutor(THREADS) as pool:
        results = pool.map(lambda case: _check(case, images), images.cases)
        bar = tqdm(results, "checking", total=len(images.cases), disable=not progress, leave=False)
        for case, result in zip(images.cases, bar, strict=True):
            if isinstance(result, str):
                report.bad[case.name] = result
                continue
            good.append(case)
            report.sizes[case.name], empty, converted = result
            if empty:
                report.empty_masks.append(case.name)
            if converted:
                report.converted[case.name] = converted
    report.good = tuple(good)
    if report.bad and not (skip_bad and report.good):
        hint = "" if skip_bad else "; --skip_bad_cases True goes on without them"
        listed = "\n".join(f"  {problem}" for problem in report.bad.values())
        raise InputError(f"{len(report.bad)} of {len(images.cases)} images cannot be used{hint}:\n{listed}")
    check_categories(report.good, images)
    return report


def check_categories(cases: Sequence[ImageCase], images: ImageSet) -> None:
    """Make sure that every class of a data set with classes has an image among the cases.

    Raises:
        InputError: it has none; all such classes are named.
    """
    if not images.has_categories:
        return
    counts = Counter(case.category for case in cases)
    if missing := [name for number, name in enumerate(images.categories) if not counts[number]]:
        raise InputError(f"{images.root}: no image of {len(missing)} of its classes: {', '.join(missing[:10])}")


def _check(case: ImageCase, images: ImageSet) -> str | tuple[tuple[int, int], bool, str]:
    """What is wrong with a case; or its size, whether its mask is empty, and the mode that it came from."""
    try:
        image, mask, converted = load_case(case, images)
    except InputError as error:
        return str(error)
    return (image.shape[1], image.shape[2]), mask is not None and not mask.label.any(), converted
