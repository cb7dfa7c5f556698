"""Any folder of volumes or of images: images and labels in two folders, matched by name, or images alone.

Volumes lie in ``imagesTr``, ``images`` or ``image``, labels in ``labelsTr``, ``labels``, ``label``, ``masks`` or
``mask``; volumes in ``imagesTs`` beside them have no labels. Where there are no such folders, every volume below the
data set's folder is an unlabeled case, unless ``label_pattern`` says which of them are the labels of others. DICOM says
the modality; of other formats it is taken to be CT, unless the values show that it is not. Whose a volume is, DICOM's
PatientID says, or the first folder below, or its name. A ``dataset.json`` that lists no cases may declare "labels" and
"modality", as the Medical Segmentation Decathlon does.

Images lie in ``images`` (``Images``, ``img``, ``imagesTr``, ...) and masks in ``masks`` (``labels``, ...), at any
depth, matched by what else is in their paths (:mod:`~segxfer3d.data.layouts.image_files`); without such folders
every image below the data set's folder counts. Where all images lie in subfolders, the first of them is the class, but
not one that is called as a part is (``train``, ``val``). All images are color or all are gray, as the first one is,
unless ``image_kind`` converts them. Each page of a TIFF is an image.

A mask is 0 for background and 1 or 255 for the target, or a gray JPEG that is foreground above 127; with a number as
target it may hold any values, and that one is the target. A ``dataset.json`` beside the folders may declare several
classes, ``{"labels": {"background": 0, "disc": 1, "cup": 2}}``, of which the target may name some (``disc,cup``; the
others then count as background); one that is called "ignore" neither trains nor counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segxfer3d.data.case import Case, CaseSet, patient_of
from segxfer3d.data.io.segments import without_mark
from segxfer3d.data.layouts.channel_files import NUMBERED, numbered_channels, with_channels
from segxfer3d.data.layouts.dataset_json import read_channel_names, read_declared, read_modality
from segxfer3d.data.layouts.declared import NOTHING
from segxfer3d.data.layouts.folder_images import read_images
from segxfer3d.data.layouts.label_files import label_hint, labels_of
from segxfer3d.data.layouts.listing import volumes_below
from segxfer3d.data.layouts.request import Request
from segxfer3d.data.layouts.segment_names import by_segments
from segxfer3d.data.layouts.volume_files import (
    FoundVolume,
    FoundVolumes,
    find_volumes,
    modality_of,
    place_of,
    refuse_doubtful,
)
from segxfer3d.data.modalities import modality_of_names
from segxfer3d.errors import InputError, some
from segxfer3d.spelling import two_paths

TITLE = "any folder"
SOURCE = "volumes or images of your own"
DIMS = (2, 3)
BY_CHANNELS = True

IMAGE_FOLDERS = ("imagesTr", "images", "image")
LABEL_FOLDERS = ("labelsTr", "labels", "label", "masks", "mask")
UNLABELED_FOLDER = "imagesTs"


def fits(_root: Path) -> bool:
    """Any folder is one."""
    return True


def read(root: Path, request: Request) -> CaseSet:
    """Match images and labels by their names below their folders; nnU-Net's ``_0000`` after a volume's is passed over,
    and where there are ``_0001`` too, they are the channels of one volume.

    Raises:
        InputError: images without labels or labels without images (all named, up to ten), two volumes of one name, or
            ``patient_pattern`` does not fit; see also :func:`~segxfer3d.data.layouts.folder_images.read_images`.
    """
    if request.dims == 2:
        return read_images(root, request)
    if request.label_pattern:
        return _by_pattern(root, request)
    image_folder, label_folder = (_folder_called(root, names) for names in (IMAGE_FOLDERS, LABEL_FOLDERS))
    if label_folder is not None and image_folder is None:
        raise InputError(f"{label_folder}: labels without images; expected {' or '.join(IMAGE_FOLDERS)} beside it")
    found = find_volumes(image_folder or root, series=request.series, image_pattern=request.image_pattern)
    labels = {} if label_folder is None else volumes_below(label_folder)
    pattern = request.channel_pattern or (NUMBERED if numbered_channels(found, labels) else "")
    found = with_channels(found, pattern) if pattern else found
    if label_folder is None and not request.image_pattern:
        refuse_doubtful(found, folders_are_patients=image_folder is None and not request.patient_pattern)
    images = dict(found.volumes)
    labels = {} if label_folder is None else _match(root, found.paths, labels)
    if image_folder is not None:
        for name, volume in _unlabeled(root / UNLABELED_FOLDER, pattern).items():
            if images.setdefault(name, volume) != volume:
                raise InputError(f"{root}: two volumes are called {name}: {two_paths(images[name].path, volume.path)}")
    cases = (
        Case(name, volume.path, labels.get(name), _patient(name, found, request), further=volume.further)
        for name, volume in images.items()
    )
    return _case_set(root, found, tuple(cases))


def _folder_called(root: Path, names: Sequence[str]) -> Path | None:
    """The folder of the first of the names, in any spelling in large and small letters."""
    there = {path.name.lower(): path for path in sorted(root.iterdir(), reverse=True) if path.is_dir()}
    return next((there[name.lower()] for name in names if name.lower() in there), None)


def _unlabeled(folder: Path, pattern: str) -> dict[str, FoundVolume]:
    """Volumes without labels, put together from their channels where a pattern finds these."""
    found = FoundVolumes(folder)
    for name, path in volumes_below(folder).items():
        found.volumes[name] = FoundVolume(path)
        found.places[name] = place_of(folder, path)
    return with_channels(found, pattern).volumes if pattern and found.volumes else found.volumes


def _by_pattern(root: Path, request: Request) -> CaseSet:
    """Labels lie anywhere among the images; which they are, their pattern says."""
    patterns = {"image_pattern": request.image_pattern, "label_pattern": request.label_pattern}
    found = find_volumes(root, series=request.series, **patterns)
    if request.channel_pattern:
        found = with_channels(found, request.channel_pattern)
    if not request.image_pattern:
        refuse_doubtful(found, folders_are_patients=not request.patient_pattern)
    labeled = labels_of(found, **patterns)
    cases = tuple(
        Case(
            called, found.volumes[name].path, label, _patient(name, found, request), further=found.volumes[name].further
        )
        for name, (called, label) in labeled.items()
    )
    return _case_set(root, found, cases)


def _case_set(root: Path, found: FoundVolumes, cases: tuple[Case, ...]) -> CaseSet:
    """With the classes and the modality that a ``dataset.json`` declares, where there is one."""
    declared = read_modality(root)
    modality = modality_of(found.volumes.values(), root) or declared
    channels = max((len(case.files) for case in cases), default=1)
    names = found.channel_names or read_channel_names(root)
    if len(names) < 2 or channels not in (1, len(names)):
        names = ()
    classes, rule, regions = read_declared(root) or NOTHING
    case_set = CaseSet(
        root,
        "folder",
        3,
        cases,
        classes,
        rule,
        regions=regions,
        channels=len(names) or channels,
        channel_names=names,
        modality=modality or (modality_of_names(names) if names else "CT"),
        assumed=not modality and not names,
        notes=(*found.notes, *_hints(found, cases)),
    )
    return by_segments(case_set, declared=bool(classes))


def _hints(found: FoundVolumes, cases: Sequence[Case]) -> tuple[str, ...]:
    """Of unlabeled cases, where a pattern has left out files that may be their labels."""
    left_out = any(why.startswith("not of ") for why in found.passed.values())
    unlabeled = not any(case.label for case in cases)
    return (hint,) if left_out and unlabeled and (hint := label_hint(found.root, cases)) else ()


def _patient(name: str, found: FoundVolumes, request: Request) -> str:
    """The pattern says it; else a known naming, DICOM, the first folder, or the name."""
    patient = patient_of(name, request.patient_pattern)
    if request.patient_pattern or patient != name or name not in found.volumes:
        return patient
    folder, _, rest = found.places[name].partition("/")
    return found.volumes[name].patient or (folder if rest else name)


def _match(root: Path, images: dict[str, Path], labels: dict[str, Path]) -> dict[str, Path]:
    """The label of every image, by the image's name."""
    # 3D Slicer calls the segmentation of c0.nii.gz c0.seg.nrrd
    of_slicer = {short: name for name in labels if (short := without_mark(name)) != name and short in images}
    problems = [
        f"{labels[name]} and {labels[of_slicer[name]]} (two labels of one image)"
        for name in sorted(of_slicer.keys() & labels.keys())
    ]
    labels = {short if (short := without_mark(name)) in images else name: path for name, path in labels.items()}
    label_names = {name: name if name in labels else name.removesuffix("_0000") for name in images}
    problems += [
        f"{images[name]} and {images[f'{name}_0000']} (two images of one label)"
        for name in sorted(images)
        if label_names.get(f"{name}_0000") == name
    ]
    problems += [f"{images[i]} (image without label)" for i, name in sorted(label_names.items()) if name not in labels]
    lone = sorted(labels.keys() - set(label_names.values()))
    problems += [f"{labels[name]} (label without image)" for name in lone]
    if problems:
        raise InputError(f"{root}: images and labels do not match by name: {some(problems)}")
    return {image: labels[name] for image, name in label_names.items()}
