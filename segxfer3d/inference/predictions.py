"""What a model says of a case, as a value and as files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from segxfer3d import files
from segxfer3d.config.masks import DICOM_SEG, FORMATS
from segxfer3d.data.io.dicom import looks_like_dicom, scan_of
from segxfer3d.data.io.volumes import volume_name
from segxfer3d.errors import InputError
from segxfer3d.inference.components import Row, components
from segxfer3d.inference.dicom_seg import refuse_dicom_seg, write_dicom_seg
from segxfer3d.inference.file_names import class_file_names, file_name
from segxfer3d.inference.write import image_ending, write_mask, write_probability
from segxfer3d.inference.write_volumes import VolumeFormat, volume_format


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says of one case, on the grid of the case's file.

    Attributes:
        name: of the case.
        probabilities: (K, X, Y, Z) or (K, rows, columns) float32 in [0, 1], a channel for each class; None where they
            were not asked for.
        mask: label values (X, Y, Z) or (rows, columns); 0 is background.
        affine: of a volume, (4, 4) voxel index to world millimeters, RAS+; None for an image.
        classes: label value to name, in the order of the channels.
        notes: what a user should hear of how a volume was read, such as slices that were resampled.
        turn: EXIF orientation of an image's file, on whose pixels as they are stored the mask lies; 1 for none. The
            mask's file has it too.
        source: the case's file or folder, whose header a mask of a volume keeps; None: from nowhere.
    """

    name: str
    probabilities: Tensor | None
    mask: NDArray[np.integer]
    affine: NDArray[np.float64] | None
    classes: dict[int, str]
    notes: tuple[str, ...] = ()
    source: Path | None = None
    turn: int = 1

    def components(self) -> list[Row]:
        """The connected components of the mask, see :func:`~segxfer3d.inference.components.components`."""
        return components(self.mask, self.name, classes=self.classes, affine=self.affine)


def write_prediction(
    folder: str | Path, prediction: Prediction, *, probabilities: bool = False, mask_format: str = "auto"
) -> Path:
    """Write the mask of a case in the geometry of its file: ``NAME_mask.nii.gz`` of a volume, ``NAME_mask.png`` of an
    image (``.tif`` of a TIFF with an orientation); beside it ``NAME_mask.json`` where there is something to say: which
    DICOM series it is of, slices that were resampled, why it is no NIfTI.

    What no file may be called in a name becomes ``_``, see :func:`~segxfer3d.inference.file_names.file_name`.

    Args:
        folder: where to; made where there is none.
        prediction: of the case.
        probabilities: write ``NAME_CLASS_probability.nii.gz`` (or ``.png``, 16 bits) of each class too.
        mask_format: of volumes: ``nii.gz``, ``nii``, ``nrrd``, ``mha``, ``dicom-seg`` (of DICOM; probabilities are then
            as ``auto``), or ``auto``, which is ``nii.gz`` with the header of an image that is a NIfTI, and ``nrrd``
            where other images have a sheared grid.

    Returns:
        the mask's file.

    Raises:
        InputError: a file or its folder cannot be written; an unknown format; or as
            :func:`~segxfer3d.inference.write.write_mask`.
    """
    folder, name = Path(folder), file_name(prediction.name)
    named = class_file_names(prediction.classes.items())
    if prediction.affine is None:
        refuse_format(mask_format, dims=2)
        ending = image_ending(prediction.source, prediction.turn)
        files.make_folder(folder)
        path = folder / f"{name}_mask{ending}"
        write_mask(path, prediction.mask, prediction.classes, turn=prediction.turn)
        if probabilities:
            for channel, value in zip(_channels(prediction), prediction.classes, strict=True):
                write_probability(folder / f"{name}_{named[value]}_probability{ending}", channel, turn=prediction.turn)
        return path
    refuse_format(mask_format, dims=3, sources=[prediction.source])
    chosen = prediction_format(prediction, mask_format)
    files.make_folder(folder)
    if mask_format == DICOM_SEG and prediction.source is not None:
        path = folder / f"{name}_mask.dcm"
        write_dicom_seg(path, prediction.mask, prediction.classes, source=prediction.source)
    else:
        path = folder / f"{name}_mask{chosen.ending}"
        chosen.write(path, prediction.mask)
    if about := _about(prediction, chosen.why):
        files.write_json(folder / f"{name}_mask.json", about)
    if probabilities:
        for channel, value in zip(_channels(prediction), prediction.classes, strict=True):
            chosen.write(folder / f"{name}_{named[value]}_probability{chosen.ending}", channel)
    return path


def _channels(prediction: Prediction) -> NDArray[np.floating]:
    if prediction.probabilities is None:
        raise InputError(f"{prediction.name}: its probabilities were not kept; expected predict with probabilities")
    return prediction.probabilities.numpy()


def prediction_format(prediction: Prediction, mask_format: str = "auto") -> VolumeFormat:
    """How :func:`write_prediction` writes a mask of a volume, and why.

    Raises:
        InputError: an unknown format, an image, or the header of a NIfTI that cannot be read any more.
    """
    refuse_format(mask_format, dims=prediction.mask.ndim)
    if prediction.affine is None:
        raise InputError(f"{prediction.name}: an image; its mask is PNG")
    shape, source = prediction.mask.shape, prediction.source
    if mask_format == DICOM_SEG:  # which is written from the series; the rest as any
        return replace(volume_format(prediction.affine, shape, source=source), why="")
    return volume_format(prediction.affine, shape, source=source, mask_format=mask_format)


def refuse_format(mask_format: str, *, dims: int, sources: Sequence[Path | None] = ()) -> None:
    """For what masks of a kind cannot be.

    Args:
        mask_format: as in :func:`write_prediction`.
        dims: 3 for volumes, 2 for images.
        sources: files and folders of the cases.

    Raises:
        InputError: an unknown format, a format of volumes for images, or one of DICOM for other volumes.
    """
    if mask_format not in FORMATS:
        raise InputError(f"mask_format {mask_format!r}: unknown; expected one of {', '.join(FORMATS)}")
    if dims == 2 and mask_format != "auto":
        raise InputError(f"mask_format {mask_format}: for volumes only; masks of images are PNG (auto)")
    if mask_format == DICOM_SEG:
        refuse_dicom_seg(sources)


def _about(prediction: Prediction, why: str) -> dict[str, Any]:
    """What the file beside a mask says."""
    about: dict[str, Any] = {}
    source = prediction.source
    if source is not None and (source.is_dir() or (not volume_name(source) and looks_like_dicom(source))):
        scan = scan_of(source)
        first = scan.first
        about["series"] = {
            "uid": first.series, "number": first.number, "description": first.description,
            "modality": first.modality, "slices": scan.slices,
        }  # fmt: skip
    if notes := [*prediction.notes, *([why] if why else [])]:
        about["notes"] = notes
    return about
