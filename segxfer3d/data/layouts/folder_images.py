"""Any folder of images: with masks beside them, sorted into classes, or alone; see
:mod:`~segxfer3d.data.layouts.folder`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from segxfer3d.data.case import Case, CaseSet, LabelRule, page_names, patient_of
from segxfer3d.data.io.images import ENDINGS
from segxfer3d.data.io.open_image import image_channels, pages_of
from segxfer3d.data.io.radiographs import is_radiograph, patient_in
from segxfer3d.data.layouts.dataset_json import NAME, read_classes, read_ignored
from segxfer3d.data.layouts.declared import is_ignored
from segxfer3d.data.layouts.files_below import is_of_system
from segxfer3d.data.layouts.image_files import PARTS, ImageFiles, find_images, passed_note
from segxfer3d.data.layouts.listing import refuse_other_kind
from segxfer3d.data.layouts.request import Request, one_of, refuse_lone_masks
from segxfer3d.errors import InputError, some

RULE = LabelRule(foreground=(1, 255), either=True, threshold=127)
_UNLABELED = "imagests"  # nnU-Net's folder of test images, which have no masks


def read_images(root: Path, request: Request) -> CaseSet:
    """The images that the task can use.

    Raises:
        InputError: no images, images without masks or masks without images where masks are needed (all named, up to
            ten), no classes where they are needed, a target that is neither a number nor a class, or one that a
            ``dataset.json`` says to ignore.
    """
    found = find_images(root)
    if not found.images:
        seen = "".join(f"; {note}" for note in passed_note(found.passed))
        if found.masks:
            folder = next(iter(found.masks.values())).parent
            raise InputError(f"{folder}: masks without images; expected the folder images beside it{seen}")
        dicom = {path: why for path, why in found.passed.items() if why.startswith("DICOM")}
        about = "".join(f"; {note}" for note in passed_note(dicom))
        refuse_other_kind(root, request.dims, request.task, about)
        raise InputError(f"dataset_dir {root}: no images in it{seen}")
    if request.task == "segmentation":
        _match(root, found)
    parts, sorted_in = _parts(found)
    categories = _categories(sorted_in)
    if request.task == "classification":
        _refuse_few(root, found, sorted_in)
    names = tuple(sorted(set(categories.values())))
    pages = {name: pages_of(path) for name, path in found.images.items()}
    cases = [
        case
        for name in found.images
        for case in _cases(
            name, found, request, pages[name], part=parts.get(name, ""),
            category=names.index(categories[name]) if categories else None,
        )
    ]  # fmt: skip
    chosen = request.only(cases)
    classes, rule = _classes(root, request.target) if request.task == "segmentation" else ({}, RULE)
    return CaseSet(
        root,
        "folder",
        2,
        chosen,
        classes,
        rule,
        categories=names,
        channels=_channels(chosen),
        target=request.target or ",".join(classes.values()) or "foreground",
        official=False,
        notes=found.notes + _notes(pages, parts if request.task == "classification" else {}) + _of_patients(cases),
    )


def _match(root: Path, found: ImageFiles) -> None:
    """Make sure that every image has its mask; nnU-Net's test images need none."""
    if not found.masks:
        raise InputError(f"{root}: no masks; expected the folders images and masks in it")
    lone = [
        f"{path} (image without mask)"
        for name, path in sorted(found.images.items())
        if name not in found.masks and path.parent.name.lower() != _UNLABELED
    ]
    folder = next(iter(found.masks.values())).parent.name
    hint = "" if found.sorted_in else f"; the folder of the images is expected to be called images, beside {folder}"
    hint += "".join(f"; {note}" for note in passed_note(found.passed))
    if lone:
        raise InputError(f"{root}: images and masks do not match by name: {some(lone)}{hint}")
    refuse_lone_masks(root, found.images, found.masks, hint)


def _cases(
    name: str, found: ImageFiles, request: Request, pages: Sequence[int], *, part: str, category: int | None
) -> Iterator[Case]:
    """The image of a file, or a case for each of its pages."""
    path, mask = found.images[name], found.masks.get(name)
    if not pages:
        yield Case(name, path, mask, _patient(name, path, request.patient_pattern), category, part=part)
        return
    if request.task == "segmentation" and mask is not None and len(pages_of(mask)) != len(pages):
        raise InputError(f"{path}: {len(pages)} pages, its mask {mask} {len(pages_of(mask)) or 1}")
    for case, page in page_names(name, pages).items():
        patient = patient_of(case, request.patient_pattern) if request.patient_pattern else patient_of(name)
        yield Case(case, path, mask, patient, category, part=part, page=page)


def _patient(name: str, path: Path, pattern: str) -> str:
    """The pattern says it; else a known naming, a radiograph's PatientID, or the name."""
    patient = patient_of(name, pattern)
    return patient if pattern or patient != name else _patient_id(path) or name


def _patient_id(path: Path) -> str:
    return patient_in(path) if path.suffix.lower() not in ENDINGS and is_radiograph(path) else ""


def _parts(found: ImageFiles) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """The official part of each image, and its folders without that of the part, where all lie in folders that are
    called as parts are (``train``, ``val``)."""
    firsts = {folders[0].lower() if folders else "" for folders in found.folders.values()}
    if not firsts or not all(first in PARTS for first in firsts):
        return {}, found.folders
    parts = {name: PARTS[folders[0].lower()] for name, folders in found.folders.items()}
    return parts, {name: folders[1:] for name, folders in found.folders.items()}


def _categories(folders: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """The category of every image by its name; none where images lie outside of subfolders."""
    return {name: parts[0] for name, parts in folders.items()} if all(folders.values()) else {}


def _refuse_few(root: Path, found: ImageFiles, folders: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse what has no classes to tell apart, or a folder of a class without images."""
    categories = set(_categories(folders).values())
    if len(categories) < 2:
        raise InputError(f"{root}: no classes to tell apart; expected a folder of images for each of at least two")
    for folder in sorted({path.parents[len(folders[name])] for name, path in found.images.items()}):
        names = {path.name for path in folder.iterdir() if path.is_dir() and not is_of_system(path.name)}
        if empty := sorted(names - categories):
            raise InputError(f"{folder}: no image of {len(empty)} of its classes: {some(empty)}")


def _notes(pages: Mapping[str, Sequence[int]], parts: Mapping[str, str]) -> tuple[str, ...]:
    notes: tuple[str, ...] = ()
    if several := [number for number in map(len, pages.values()) if number]:
        notes += (
            f"{len(several)} files hold {sum(several)} pages, an image each; those of a file stay in one part "
            "(--patient_pattern '.+' lets them part)",
        )
    if parts:
        notes += ("folders called as parts (train, val) are no classes; --official_split True keeps to them",)
    return notes


def _of_patients(cases: Sequence[Case]) -> tuple[str, ...]:
    """A note where radiographs share a PatientID, as those that were made anonymous may."""
    ids = [case.patient for case in cases if case.patient == _patient_id(case.image)]
    if len(ids) == len(set(ids)):
        return ()
    return (
        f"{len(ids)} radiographs are of {len(set(ids))} patients, by their PatientID; --patient_pattern '.+' takes "
        "each as one of its own",
    )


def _channels(cases: Sequence[Case]) -> int:
    """Of the first image that can be opened; that others cannot is found when all are checked."""
    for case in cases:
        try:
            return 1 if is_radiograph(case.image) else image_channels(case.image)
        except InputError:
            continue
    return 3


def _classes(root: Path, target: str) -> tuple[dict[int, str], LabelRule]:
    """The classes that a ``dataset.json`` or the target names, and what the masks' values mean."""
    if target.isdigit():
        value, ignored = int(target), read_ignored(root)
        if value in ignored:
            raise InputError(f"target {target}: {root / NAME} says to ignore it; expected a class")
        return {}, LabelRule(foreground=(value,), background=None, ignore=ignored)
    declared = read_classes(root)
    if not declared:
        if target:
            raise InputError(
                f"target {target!r}: expected the number that marks the target in the masks of a folder, or a class "
                f"of a {NAME} beside them"
            )
        return {}, RULE
    ignored = tuple(value for value, name in declared.items() if is_ignored(name))
    known = {value: name for value, name in declared.items() if not is_ignored(name)}
    wanted = {one_of("target", name.strip(), list(known.values())) for name in target.split(",")} if target else set()
    classes = {value: name for value, name in known.items() if not target or name in wanted}
    background = (0, *(value for value in known if value not in classes))
    return classes, LabelRule(tuple(classes), background, ignored, several=len(classes) > 1)
