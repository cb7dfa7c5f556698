"""Find the volumes or the images below a folder, whatever their format."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import NamedTuple

from segxfer3d.data.case import NOUNS
from segxfer3d.data.io.dicom import looks_like_dicom
from segxfer3d.data.io.dicom.folder import OTHERS
from segxfer3d.data.io.images import ENDINGS
from segxfer3d.data.io.radiographs import DICOM_ENDINGS, why_no_radiograph
from segxfer3d.data.io.volumes import volume_name
from segxfer3d.data.layouts.dataset_json import NAME
from segxfer3d.data.layouts.files_below import files_below, folders_below
from segxfer3d.errors import InputError
from segxfer3d.spelling import one_form, two_paths

# what takes the other kind of data: dimensions -> whether labels train -> bundle
_BUNDLES = {
    2: {True: "unet2d_finetune.json", False: "simclr_pretrain.json"},
    3: {True: "genesis_finetune.json", False: "genesis_pretrain.json"},
}


def volumes_below(folder: Path) -> dict[str, Path]:
    """Map names to volumes: files of a known format at any depth, and folders that hold DICOM files.

    A name is the path below ``folder`` without the ending, its parts joined by "_". Hidden files are passed over.

    Raises:
        InputError: two volumes of one name, such as ``a.nii.gz`` beside ``a.mhd``.
    """
    paths: dict[str, Path] = {}
    for here, names in folders_below(folder).files.items():
        candidates = [here / name for name in names]
        volumes = [path for path in candidates if volume_name(path)]
        if not volumes and any(_is_dicom(path) for path in candidates):
            volumes = [here]
        for path in volumes:
            name = one_form("_".join([*path.relative_to(folder).parts[:-1], volume_name(path)]))
            if name in paths:
                raise InputError(f"{folder}: two volumes are called {name}: {two_paths(paths[name], path)}")
            paths[name] = path
    return paths


class Listed(NamedTuple):
    """The images below a folder.

    Attributes:
        files: in the order of their paths.
        passed: other files -> why.
    """

    files: tuple[Path, ...]
    passed: dict[str, str]


def listed_images(folder: Path, *, radiographs: bool = True) -> Listed:
    """The image files at any depth, and what is passed over; see
    :func:`~segxfer3d.data.layouts.files_below.files_below`.

    Args:
        folder: to look in.
        radiographs: look into DICOM files for single radiographs.
    """
    below = files_below(folder)
    files, passed = [], dict(below.passed)
    for path in below.files:
        ending = path.suffix.lower()
        if ending in ENDINGS:
            files.append(path)
        elif radiographs and _is_dicom(path):
            if why := why_no_radiograph(path):
                passed[str(path)] = why
            else:
                files.append(path)
        elif path.name != NAME:
            passed[str(path)] = ending or "without ending"
    return Listed(tuple(files), passed)


def image_name(path: PurePath) -> str:
    """The name of an image at a path below a data set: without the ending, its parts joined by "_".

    Letters with marks have one form (NFC), for systems store them in two, which look alike.
    """
    stem = path.with_suffix("") if path.suffix.lower() in (*ENDINGS, *DICOM_ENDINGS) else path
    return one_form("_".join(stem.parts))


def images_below(folder: Path, *, radiographs: bool = True) -> dict[str, Path]:
    """Map names to image files at any depth, see :func:`image_name` and :func:`listed_images`.

    Raises:
        InputError: two images of one name.
    """
    paths: dict[str, Path] = {}
    for path in listed_images(folder, radiographs=radiographs).files:
        key = image_name(path.relative_to(folder))
        if key in paths:
            raise InputError(f"{folder}: two images are called {key}: {two_paths(paths[key], path)}")
        paths[key] = path
    return paths


class OtherKindError(InputError):
    """Data are volumes where images are wanted, or the other way round.

    Attributes:
        content: what there is, in words.
    """

    def __init__(self, content: str, wanted: str) -> None:
        super().__init__(f"{content}; {wanted}")
        self.content = content


def refuse_other_kind(root: Path, dims: int, task: str, seen: str = "") -> None:
    """Say so where a folder holds images and volumes are wanted, or the other way round.

    Args:
        root: a folder in which nothing that is wanted was found.
        dims: 3 where volumes are wanted, 2 where images are.
        task: what for, as in :class:`~segxfer3d.data.layouts.request.Request`.
        seen: what else was found, behind the message.

    Raises:
        OtherKindError: it holds the other kind; the bundle that takes it is named.
    """
    if volumes_below(root) if dims == 2 else images_below(root):
        raise OtherKindError(f"dataset_dir {root}: holds {NOUNS[5 - dims]}", what_takes_it(dims, task) + seen)


def what_takes_it(dims: int, task: str) -> str:
    """What is wanted (images for 2, volumes for 3), and the bundle that takes the other kind, in words."""
    return f"this bundle takes {NOUNS[dims]}: use {_BUNDLES[5 - dims][task == 'segmentation']}"


def _is_dicom(path: Path) -> bool:
    """Whether a file is DICOM, by its first bytes; of other known endings it is not."""
    return path.suffix.lower() not in OTHERS and looks_like_dicom(path)
