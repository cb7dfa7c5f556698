"""Options of jobs that read images: which, what they show, how their files are taken, and what pretrains beside."""

from __future__ import annotations

from dataclasses import dataclass

from segxfer3d.config.options import Group, option

BORDERS = ("ignore", "foreground", "background")
EXTENTS = ("all", "trainval")
ROUNDINGS = ("published", "half-up")
IMAGE_KINDS = ("auto", "gray", "color")
EXIF = ("auto", "shown", "stored")

_LAYOUT = "the name of a layout, or nothing"


@dataclass(frozen=True)
class Images(Group):
    """Which images of a data set, and what they show."""

    target: str = option(
        "", "what is segmented or told apart, where the data set has several", text="a name, or nothing",
        tells_arms=False,
    )  # fmt: skip
    border: str = option(
        "ignore", "what pixels are that annotators left open, in masks of oxford_pets and voc", choices=BORDERS
    )
    official_split: bool = option(False, "keep to the data set's own training and validation part")
    extent: str = option(
        "all", "images that pretrain without a target: all of the data set, or its training and validation part",
        choices=EXTENTS,
    )  # fmt: skip
    label_rounding: str = option(
        "published", "how many images a label_fraction is: the paper's counts of its data sets, or rounded half up",
        choices=ROUNDINGS,
    )  # fmt: skip
    generated_images: int = option(300, "images made where no data is given", least=20, most=10**6)


@dataclass(frozen=True)
class ExtraImages(Group):
    """What images are pretrained on beside."""

    extra_dataset: str = option("", "layout of extra_dataset_dir; nothing: the one that fits", text=_LAYOUT)
    extra_dataset_dir: str = option("", "more images for pretraining, all of them", path="folder")
    canvas_size: int | None = option(None, "pixels of a side of stored images; none: their own", least=8, most=8192)


@dataclass(frozen=True)
class ImageFiles(Group):
    """How the files of images are taken."""

    image_kind: str = option(
        "auto", "what images are; auto: as the first one, others are refused; gray, color: others are converted",
        choices=IMAGE_KINDS,
    )  # fmt: skip
    exif: str = option(
        "auto", "whether EXIF orientations turn images with masks; auto: where sizes or the mask's own EXIF tell; "
        "shown: as viewers do; stored: never", choices=EXIF,
    )  # fmt: skip
