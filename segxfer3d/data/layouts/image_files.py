"""The images below a folder and their masks, told apart by the names of folders and files; no image is opened.

A folder called ``images`` (``Images``, ``img``, ``imagesTr``, ``train_images``, ...) holds images, one called ``masks``
(``Mask``, ``labels``, ``annotations``, ``ground truth``, ...) masks, at any depth. An image and its mask have the same
path but for that folder. A mask may also have ``_mask`` or such a word behind its image's name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from segxfer3d.data.layouts.listing import image_name, listed_images
from segxfer3d.errors import InputError, some
from segxfer3d.spelling import two_paths

_IMAGES = {"image", "images", "img", "imgs", "imagestr", "imagests", "jpegimages"}
_MASKS = {
    "mask", "masks", "label", "labels", "labelstr", "labelsts", "annotation", "annotations", "gt", "gts", "groundtruth",
    "groundtruths", "seg", "segs", "segmentation", "segmentations", "segmentationclass", "trimap", "trimaps",
}  # fmt: skip
# words for parts of a data set -> Case.part, which knows two
PARTS = {
    "train": "train", "training": "train", "trn": "train", "val": "val", "valid": "val", "validation": "val",
    "dev": "val", "test": "", "testing": "", "tst": "",
}  # fmt: skip
# formats and sizes, which say nothing of what lies in a folder; numbers do, as in images_001
_ASIDE = re.compile(r"png|jpe?g|tiff?|bmp|gif|\d+x\d+|\d+px")
_SUFFIX = re.compile(r"[-_ ](?:masks?|labels?|seg|segmentation|gt|ground-?truth|annotation)$", re.IGNORECASE)


@dataclass
class ImageFiles:
    """What was found.

    Attributes:
        root: the folder.
        images: name to file; a name is the path without the folder that says what lies in it, its parts joined by "_".
        masks: the same of masks; those with a word behind an image's name have the image's.
        folders: name to the folders of an image, without the one that says what lies in it.
        passed: files that are neither -> why.
        among: masks that lie among the images.
        sorted_in: whether there are folders called ``images``.
    """

    root: Path
    images: dict[str, Path] = field(default_factory=dict)
    masks: dict[str, Path] = field(default_factory=dict)
    folders: dict[str, tuple[str, ...]] = field(default_factory=dict)
    passed: dict[str, str] = field(default_factory=dict)
    among: list[Path] = field(default_factory=list)
    sorted_in: bool = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What was passed over and what was decided, in words."""
        notes = passed_note(self.passed)
        if self.among:
            notes += (f"{len(self.among)} masks lie among the images and are not taken for such: {_names(self.among)}",)
        return notes


def passed_note(passed: Mapping[str, str]) -> tuple[str, ...]:
    """How many files were passed over, with an example and the reasons; nothing where none were."""
    if not passed:
        return ()
    counts = Counter(passed.values()).most_common()
    reasons = some([f"{count} {why}" for why, count in counts], 5, ", ")
    example = Path(next(path for path, why in passed.items() if why == counts[0][0]))
    return (f"{len(passed)} files are passed over, which are no images to use ({reasons}), for example {example.name}",)


def find_images(root: Path) -> ImageFiles:
    """Look for images and masks below a folder.

    Raises:
        InputError: two images, or two masks, of one name.
    """
    listed = listed_images(root)
    places = {path: _place(path.relative_to(root).parent.parts) for path in listed.files}
    sorted_in = any(kind == "images" for kind, _ in places.values())
    found = ImageFiles(root, passed=dict(listed.passed), sorted_in=sorted_in)
    masks: dict[str, Path] = {}
    for path, (kind, folders) in places.items():
        name = image_name(PurePath(*folders, path.name))
        if kind == "masks":
            _add(root, masks, name, path, "masks")
        elif sorted_in and not kind:
            found.passed[str(path)] = "beside the folders of images"
        else:
            _add(root, found.images, name, path, "images")
            found.folders[name] = folders
    among = {} if masks else _among(found.images)
    for name, mask in among.items():
        found.among.append(found.images.pop(mask))
        del found.folders[mask]
        masks[name] = found.among[-1]
    for name, path in masks.items():
        _add(root, found.masks, _of_image(name, found.images), path, "masks")
    return found


def masks_below(root: Path, images: Mapping[str, Path]) -> dict[str, Path]:
    """Which of the images below a folder are masks by their names: in a folder called so, or with a word such as
    ``_mask`` behind the name of an image beside them.

    Args:
        root: the folder.
        images: name to file, as of :func:`~segxfer3d.data.layouts.listing.images_below`.
    """
    found = {n: path for n, path in images.items() if _place(path.relative_to(root).parent.parts)[0] == "masks"}
    rest = {name: path for name, path in images.items() if name not in found}
    return found | {n: path for n, path in rest.items() if (short := short_name(n)) != n and short in rest}


def short_name(name: str) -> str:
    """A name without a word such as ``_mask`` behind it."""
    return _SUFFIX.sub("", name)


def _place(folders: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """What lies in folders by their names (``images``, ``masks`` or nothing), and the folders without that word."""
    for kind, words in (("masks", _MASKS), ("images", _IMAGES)):
        for number, folder in enumerate(folders):
            tokens = [token for token in re.split(r"[^a-z0-9]+", folder.lower()) if token]
            if any(token in words for token in tokens):
                tokens = [token for token in tokens if not _ASIDE.fullmatch(token)]
            rest = [token for token in tokens if token not in words]
            joined = "".join(tokens)
            if joined in words:
                return kind, folders[:number] + folders[number + 1 :]
            if len(rest) < len(tokens) and all(token in PARTS for token in rest):  # train_masks
                return kind, (*folders[:number], "_".join(rest), *folders[number + 1 :])
    return "", folders


def _among(images: Mapping[str, Path]) -> dict[str, str]:
    """The name of an image -> the name of the file beside it that is its mask, by the word behind the name.

    Raises:
        InputError: two masks of one image.
    """
    found: dict[str, str] = {}
    for name, path in images.items():
        short = short_name(name)
        if short == name or short not in images:
            continue
        if short in found:
            raise InputError(f"two masks of one image: {images[found[short]]} and {path}")
        found[short] = name
    return found


def _of_image(mask: str, images: Mapping[str, Path]) -> str:
    """The name of the image that a mask is of: its own, that without a word behind it, or that with nnU-Net's
    ``_0000`` for the first channel."""
    short = short_name(mask)
    return next((name for name in (mask, short, f"{mask}_0000") if name in images), mask)


def _add(root: Path, places: dict[str, Path], name: str, path: Path, what: str) -> None:
    if name in places:
        raise InputError(f"{root}: two {what} are called {name}: {two_paths(places[name], path)}")
    places[name] = path


def _names(paths: Iterable[Path]) -> str:
    return some([path.name for path in paths], 3, ", ")
