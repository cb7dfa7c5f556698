"""What there is to segment: a file or a folder that a user names, of the kind that the model is for."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from segxfer3d.data.case import NOUNS, Case, page_names
from segxfer3d.data.io.dicom import looks_like_dicom, scan_of
from segxfer3d.data.io.images import ENDINGS
from segxfer3d.data.io.open_image import pages_of
from segxfer3d.data.io.radiographs import holds_radiographs, is_radiograph
from segxfer3d.data.io.volumes import FORMATS, volume_name
from segxfer3d.data.layouts.image_files import masks_below, passed_note
from segxfer3d.data.layouts.listing import image_name, images_below, listed_images, volumes_below
from segxfer3d.data.layouts.volume_files import FoundVolume, find_volumes, refuse_doubtful
from segxfer3d.data.named_parts import FIRST_CHANNEL
from segxfer3d.errors import InputError, some
from segxfer3d.inference.channels import ModelChannels, cases_of_model, put_together

MODELS = {2: "a model of 2D images", 3: "a model of 3D volumes"}
_EXPECTED = {
    2: f"an image ({', '.join(ENDINGS)}, a radiograph in DICOM) or a folder of images",
    3: f"a volume ({', '.join(FORMATS)}, a DICOM file or folder) or a folder of volumes",
}


def find_inputs(
    path: str | Path,
    *,
    dims: int,
    checkpoint: str = "",
    series: str = "",
    image_pattern: str = "",
    label_pattern: str = "",
    channel_pattern: str = "",
    channel_names: str = "",
    uneven: str = "refuse",
    channels: ModelChannels | None = None,
) -> tuple[Case, ...]:
    """The cases at a path: a file, a folder with a DICOM series, or everything of the kind below a folder.

    A DICOM file stands for all of it if it has many frames, else for the series in its folder that it belongs to.

    A case of a folder is named by its path below the folder without the ending, parts joined by "_"; without nnU-Net's
    ``_0000`` where all have it and the model is of one channel.

    Args:
        path: of a file or a folder.
        dims: of the model's data: 3 for volumes, 2 for images.
        checkpoint: of the model, for messages.
        series: chooses a DICOM series, see :func:`~segxfer3d.data.layouts.volume_files.find_volumes`.
        image_pattern: chooses volumes, see there.
        label_pattern: finds volumes that are labels, which are left out.
        channel_pattern: finds the channel of volumes of one channel a file, see
            :func:`~segxfer3d.data.layouts.channel_files.with_channels`.
        channel_names: which channels of volumes, in their order, separated by commas; empty for all.
        uneven: ``refuse`` or ``resample`` DICOM slices that are missing or unevenly spaced.
        channels: that the model takes; one where None.

    Raises:
        InputError: nothing there, files of the other kind only (the message says which the model is for), two files of
            one name, volumes that may be masks or twins of others, or other channels than the model takes.
    """
    target, model = Path(path), channels or ModelChannels()
    if not str(path) or not target.exists():
        raise InputError(f"input {str(path) or '(none)'}: no such file or folder; expected {_EXPECTED[dims]}")
    if target.is_file():
        kinds = kinds_of(target)
        if dims in kinds:
            cases = _cases(kinds[dims], FoundVolume(target), dims, uneven)
            return cases if dims == 2 else cases_of_model(cases, target, model, chosen=channel_names)
        if not kinds:
            raise InputError(f"input {target}: expected {_EXPECTED[dims]}")
        raise wrong_kind(target, dims=dims, checkpoint=checkpoint)
    names: tuple[str, ...] = ()
    if dims == 2:
        files, passed = _images_of(target), passed_files(target, dims=2)
    else:
        found = find_volumes(target, series=series, image_pattern=image_pattern, label_pattern=label_pattern)
        found = put_together(found, channel_pattern, model)
        if not image_pattern:
            refuse_doubtful(found, folders_are_patients=False)
        files, passed, names = found.volumes, found.notes, found.channel_names
        if model.number == 1 and not channel_pattern:
            files = _without_number(files)
    if not files:
        other = _below(target, 5 - dims)
        if target in other.values():  # a DICOM folder
            raise wrong_kind(target, dims=dims, checkpoint=checkpoint)
        if other:
            listed = some([file.name for file in other.values()], 3, ", ")
            raise InputError(
                f"{_model(dims, checkpoint)}; the folder {target} holds {NOUNS[5 - dims]} only ({listed}); "
                f"expected {_EXPECTED[dims]}"
            )
        raise InputError(f"input {target}: no {NOUNS[dims]} in this folder{''.join(f'; {note}' for note in passed)}")
    cases = tuple(case for name, file in files.items() for case in _cases(name or target.name, file, dims, uneven))
    return cases if dims == 2 else cases_of_model(cases, target, model, names=names, chosen=channel_names)


def _without_number(files: dict[str, FoundVolume]) -> dict[str, FoundVolume]:
    """Volumes that are all the first channel by nnU-Net's number, called without it as the cases of training are."""
    plain = {name.removesuffix(FIRST_CHANNEL): file for name, file in files.items()}
    return plain if "" not in plain and not plain.keys() & files.keys() else files


def _cases(name: str, file: FoundVolume, dims: int, uneven: str) -> tuple[Case, ...]:
    """A file as a case, or as one for each page."""
    pages = page_names(name, pages_of(file.path)) if dims == 2 else {}
    return tuple(Case(page, file.path, patient=name, page=at) for page, at in pages.items()) or (
        Case(name, file.path, uneven=uneven, further=file.further),
    )


def _images_of(target: Path) -> dict[str, FoundVolume]:
    """Name to file of the images of a folder."""
    found = images_below(target)
    masks = masks_below(target, found)
    return {name: FoundVolume(file) for name, file in found.items() if name not in masks}


def modality_of_inputs(cases: Iterable[Case]) -> dict[str, list[str]]:
    """DICOM's word for what cases are -> their names; files of other formats do not say it."""
    found: dict[str, list[str]] = {}
    for case in cases:
        if case.image.is_dir() or looks_like_dicom(case.image):
            with suppress(InputError):  # the check says what is wrong
                found.setdefault(scan_of(case.image).first.modality, []).append(case.name)
    return found


def passed_over(path: str | Path, *, dims: int) -> tuple[Path, ...]:
    """The files of the other kind that :func:`find_inputs` leaves out of a folder; none of a single file."""
    target = Path(path)
    files = _below(target, 5 - dims).values() if target.is_dir() else ()
    return tuple(file for file in files if dims == 3 or not holds_radiographs(file))


def passed_files(path: str | Path, *, dims: int, **choice: str) -> tuple[str, ...]:
    """A note on the files of a folder that are nothing to segment; those that :func:`passed_over` names left out.

    Args:
        path: as in :func:`find_inputs`.
        dims: of the model's data.
        choice: ``series``, ``image_pattern`` and ``label_pattern``, as there.

    Raises:
        InputError: as there.
    """
    target = Path(path)
    if not target.is_dir():
        return ()
    if dims == 2:
        masks = masks_below(target, images_below(target))
        passed = listed_images(target).passed | {str(file): "masks by their names" for file in masks.values()}
        return passed_note({file: why for file, why in passed.items() if not _is_volume(Path(file))})
    found = find_volumes(target, **choice)
    others = {file: why for file, why in found.passed.items() if Path(file).suffix.lower() not in ENDINGS}
    return replace(found, passed=others).notes


def _is_volume(path: Path) -> bool:
    return bool(volume_name(path)) or (path.is_file() and looks_like_dicom(path))


def kinds_of(path: Path) -> dict[int, str]:
    """Of a file or a DICOM folder: dimensions of what its name says that it holds, to the case's name."""
    kinds = {}
    if name := volume_name(path):
        kinds[3] = name
    if path.suffix.lower() in ENDINGS:
        kinds[2] = path.stem
    if not kinds and path.is_file() and looks_like_dicom(path):
        if is_radiograph(path):
            kinds[2] = image_name(Path(path.name))
        else:
            kinds[3] = path.stem
    return kinds


def wrong_kind(path: Path, *, dims: int, checkpoint: str = "") -> InputError:
    """The error for a volume given to a model of images, or the other way round."""
    return InputError(
        f"{_model(dims, checkpoint)}; {path} is {'a volume' if dims == 2 else 'an image'}; expected {_EXPECTED[dims]}"
    )


def _model(dims: int, checkpoint: str) -> str:
    return f"checkpoint {checkpoint}: {MODELS[dims]}" if checkpoint else MODELS[dims]


def _below(folder: Path, dims: int) -> dict[str, Path]:
    return volumes_below(folder) if dims == 3 else images_below(folder)
