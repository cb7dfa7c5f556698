"""Radiographs in DICOM as gray images of 8 bits: single frames of CR, DX, MG and their kind, shown as a viewer does.

The modality LUT or slope, then the VOI LUT or the first window of the file (by pydicom), then MONOCHROME1 turned over;
without a window from the smallest value to the largest, padding left out.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut, apply_windowing

from segxfer3d.data.io import cause, dicom, guard
from segxfer3d.data.io.dicom.frames import Frame, pixels_of
from segxfer3d.data.io.dicom.headers import looks_like_dicom
from segxfer3d.data.io.dicom.pixels import fill, is_compressed, require_decoder, value_type
from segxfer3d.errors import InputError

DICOM_ENDINGS = (".dcm", ".dicom", ".dic", ".ima")
MODALITIES = ("CR", "DX", "MG", "RG", "IO", "PX")
NO_WINDOW = "no window in it: shown from its smallest value to its largest"

_TAGS = ["PatientID", "Modality", "NumberOfFrames", "SamplesPerPixel", "SeriesDescription", "Rows", "Columns"]
_HUGE = 1e12  # beyond any value of a pixel


def is_radiograph(path: Path) -> bool:
    """Whether a file is DICOM and a single radiograph."""
    return path.is_file() and looks_like_dicom(path) and not why_no_radiograph(path)


def holds_radiographs(folder: Path) -> bool:
    """Whether what looks like a DICOM series in a folder are single radiographs, by its first file."""
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    first = next((path for path in files if path.is_file() and looks_like_dicom(path)), None)
    return first is not None and is_radiograph(first)


def why_no_radiograph(path: Path) -> str:
    """Why a DICOM file is no single radiograph; empty where it is one."""
    return _header(path).why_not


def patient_in(path: Path) -> str:
    """The PatientID of a radiograph; empty where there is none."""
    return _header(path).patient


class _Header(NamedTuple):
    why_not: str
    patient: str = ""


def _header(path: Path) -> _Header:
    status = path.stat()
    return _read_header(str(path), status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=1 << 16)
def _read_header(path: str, _changed: int, _size: int) -> _Header:
    try:
        dataset = pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=_TAGS)
        return _Header(_why_not(dataset), str(dataset.get("PatientID", None) or "").strip())
    except Exception:  # pydicom has many; a damaged file must not end the others
        return _Header("not DICOM or damaged")


def _why_not(dataset: Dataset) -> str:
    modality, rows = str(dataset.get("Modality", "")), int(dataset.get("Rows", None) or 0)
    frames, samples = (int(dataset.get(name, None) or 1) for name in ("NumberOfFrames", "SamplesPerPixel"))
    about = str(dataset.get("SeriesDescription", ""))
    if modality not in MODALITIES:
        return f"DICOM of modality {modality}" if modality else "DICOM without a modality"
    if not rows:
        return "DICOM without pixels"
    if "mask" in about.lower():
        return "DICOM that is a mask, by its SeriesDescription"
    if frames > 1:
        return f"DICOM of {frames} frames"
    return "" if samples == 1 else "DICOM in color"


def read_radiograph(path: Path) -> tuple[NDArray[np.uint8], str]:
    """A radiograph as a viewer shows it, uint8 (rows, columns), and what is to be said of it.

    Raises:
        InputError: damaged, compressed in a way that nothing installed decodes, or no single radiograph.
    """
    if why := why_no_radiograph(path):
        raise InputError(f"{path}: {why}; expected a single frame of {', '.join(MODALITIES)}")
    try:
        with path.open("rb") as file:
            dataset = pydicom.dcmread(file, force=True, stop_before_pixels=True)
            pixels = pixels_of(path, file, dataset)
        stored = _stored(path, Frame(pixels, 0, (int(dataset.Rows), int(dataset.Columns)), (), (), (), 1.0, 0.0, {}))
        shown, note = _shown(stored, dataset)
    except InputError:
        raise
    except Exception as error:  # of pydicom, which has many
        raise InputError(f"{path}: cannot be read, damaged or truncated ({cause(error)})") from error
    kind = str(dataset.get("PhotometricInterpretation", ""))
    if kind not in ("MONOCHROME1", "MONOCHROME2"):
        raise InputError(f"{path}: DICOM of {kind or 'no photometric interpretation'}; expected MONOCHROME1 or 2")
    return (255 - shown if kind == "MONOCHROME1" else shown), note


def _stored(path: Path, frame: Frame) -> NDArray[Any]:
    """The stored values; what a library in C has to decode is decoded by a process of its own."""
    require_decoder(frame.pixels)
    shape, dtype = (1, *frame.shape), value_type([frame])
    guard.require_memory(path, shape, np.dtype(np.float64))
    if is_compressed([frame]):
        size = guard.size_of(shape, dtype)
        array, _ = guard.call(f"{dicom.__name__}:decode", path, size=size, frames=[frame])
    else:
        array = np.empty(shape, dtype)
        fill(array, [frame])
    pixels: NDArray[Any] = array[0]
    return pixels


def _shown(stored: NDArray[Any], dataset: Dataset) -> tuple[NDArray[np.uint8], str]:
    """Stored values brought to 0 to 255 by what the file says, before MONOCHROME1 is turned over."""
    values = apply_modality_lut(stored, dataset)
    with np.errstate(over="ignore"):  # a sigmoid of what lies far beyond its window
        return _windowed(values, stored, dataset)


def _windowed(values: NDArray[Any], stored: NDArray[Any], dataset: Dataset) -> tuple[NDArray[np.uint8], str]:
    if dataset.get("VOILUTSequence"):
        high = 2.0 ** int(dataset.VOILUTSequence[0].LUTDescriptor[2]) - 1
        return _scaled(apply_voi_lut(values, dataset), 0.0, high), ""
    if dataset.get("WindowCenter") is not None and dataset.get("WindowWidth") is not None:
        low, high = (float(end) for end in apply_windowing(np.array([-_HUGE, _HUGE]), dataset))
        return _scaled(apply_windowing(values, dataset), low, high), ""
    if values.dtype == np.uint8:
        return np.array(values), ""
    inside = values[~_padding(stored, dataset)]
    low, high = (float(inside.min()), float(inside.max())) if inside.size else (0.0, 0.0)
    return _scaled(values, low, high), NO_WINDOW


def _padding(stored: NDArray[Any], dataset: Dataset) -> NDArray[np.bool_]:
    padding = dataset.get("PixelPaddingValue")
    if padding is None:
        return np.zeros(stored.shape, np.bool_)
    ends = sorted((int(padding), int(dataset.get("PixelPaddingRangeLimit", padding))))
    found: NDArray[np.bool_] = (stored >= ends[0]) & (stored <= ends[1])
    return found


def _scaled(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    if high <= low:
        return np.zeros(values.shape, np.uint8)
    unit = np.clip((values.astype(np.float64) - low) / (high - low), 0, 1)
    return np.rint(255 * unit).astype(np.uint8)
