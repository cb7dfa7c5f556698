"""Any folder of volumes: images and labels in two folders, matched by name, or volumes alone.

Images lie in ``imagesTr``, ``images`` or ``image``, labels in ``labelsTr``, ``labels``, ``label``, ``masks`` or
``mask``; volumes in ``imagesTs`` beside them have no labels. Where there are no such folders, every volume below the
data set's folder is an unlabeled case. Nothing here says the modality; it is taken to be CT.
"""

from __future__ import annotations

from pathlib import Path

from segxfer3d.data.case import Case, CaseSet, patient_of
from segxfer3d.data.layouts.listing import volumes_below
from segxfer3d.errors import InputError, some

IMAGE_FOLDERS = ("imagesTr", "images", "image")
LABEL_FOLDERS = ("labelsTr", "labels", "label", "masks", "mask")
UNLABELED_FOLDER = "imagesTs"


def fits(_root: Path) -> bool:
    """Any folder is one."""
    return True


def read(root: Path, patient_pattern: str = "") -> CaseSet:
    """Match images and labels by their names below their folders; nnU-Net's ``_0000`` after an image's is passed over.

    Raises:
        InputError: images without labels or labels without images (all named, up to ten), two volumes of one name, or
            ``patient_pattern`` does not fit.
    """
    image_folder = next((root / name for name in IMAGE_FOLDERS if (root / name).is_dir()), None)
    label_folder = next((root / name for name in LABEL_FOLDERS if (root / name).is_dir()), None)
    if label_folder is not None and image_folder is None:
        raise InputError(f"{label_folder}: labels without images; expected {' or '.join(IMAGE_FOLDERS)} beside it")
    images = volumes_below(image_folder or root)
    labels = {} if label_folder is None else _match(root, images, volumes_below(label_folder))
    if image_folder is not None:
        for name, path in volumes_below(root / UNLABELED_FOLDER).items():
            if images.setdefault(name, path) != path:
                raise InputError(f"{root}: two volumes are called {name}: {images[name]} and {path}")
    cases = (Case(name, path, labels.get(name), patient_of(name, patient_pattern)) for name, path in images.items())
    return CaseSet(root, "folder", 3, tuple(cases), modality="CT")


def _match(root: Path, images: dict[str, Path], labels: dict[str, Path]) -> dict[str, Path]:
    """The label of every image, by the image's name."""
    label_names = {name: name if name in labels else name.removesuffix("_0000") for name in images}
    problems = [f"{images[i]} (image without label)" for i, name in sorted(label_names.items()) if name not in labels]
    lone = sorted(labels.keys() - set(label_names.values()))
    problems += [f"{labels[name]} (label without image)" for name in lone]
    if problems:
        raise InputError(f"{root}: images and labels do not match by name: {some(problems)}")
    return {image: labels[name] for image, name in label_names.items()}
