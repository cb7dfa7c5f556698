"""NIfTI and MGH: headers by nibabel, voxels in one pass; and writing NIfTI."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import IO, Any, Literal, cast

import nibabel
import numpy as np
from isal import igzip, isal_zlib
from nibabel.filebasedimages import ImageFileError
from nibabel.freesurfer.mghformat import MGHError
from nibabel.nifti1 import Nifti1Header, Nifti1PairHeader
from nibabel.nifti2 import Nifti2Header, Nifti2PairHeader
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from segxfer3d import files
from segxfer3d.data.io import cause, guard
from segxfer3d.data.io.orientation import affine_of
from segxfer3d.data.io.shear import is_sheared
from segxfer3d.errors import InputError

ENDINGS = (".nii.gz", ".nii")
PAIR = (".hdr", ".img")  # header and voxels apart
MGH = (".mgz", ".mgh")

_GZIP_LEVEL = 1  # nibabel's: masks shrink well at any level, and a CT's probabilities take seconds
_DEFLATE = 1032  # bytes that one byte of a gzip file can stand for, at most
_SIZES = {348: Nifti1Header, 540: Nifti2Header}
_PAIRS = {348: Nifti1PairHeader, 540: Nifti2PairHeader}
_ORDERS: tuple[Literal["little", "big"], ...] = ("little", "big")
_SCANNER = 1  # code of a form: of the scanner
_GOOD_RAS = 28  # where an MGH says whether it says where it lies
_SLAB = 2**22  # voxels that are scaled at a time
_UNREADABLE: tuple[type[Exception], ...] = (
    OSError, EOFError, ValueError, OverflowError, KeyError, zlib.error, cast("type[Exception]", isal_zlib.error),
    ImageFileError, HeaderDataError, WrapStructError, MGHError,
)  # fmt: skip
_OF_MGH: tuple[type[Exception], ...] = (*_UNREADABLE, TypeError)  # where there is half a header


def read_nifti(path: Path) -> tuple[NDArray[Any], NDArray[np.float64], tuple[str, ...]]:
    """The voxels as stored (float32 where the file has a scale for them), the affine (RAS+, millimeters), and notes.

    Args:
        path: of a ``.nii``, ``.nii.gz``, or of the ``.hdr`` or ``.img`` of a pair.

    Raises:
        InputError: damaged or truncated, larger than memory, or no NIfTI.
    """
    try:
        if path.suffix.lower() not in PAIR:
            with _opened(path) as file:
                header = _header(path, file, _SIZES)
                return _voxels(path, file, header), *affine_of(header)
        heads, data = (_other(path, ending) for ending in PAIR)
        with heads.open("rb") as file:
            header = _header(path, file, _PAIRS)
        with data.open("rb") as file:
            return _voxels(data, file, header), *affine_of(header)
    except _UNREADABLE as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read, damaged or truncated ({cause(error)})") from error


def read_mgh(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """The voxels and the affine (RAS+, millimeters) of FreeSurfer's format.

    Raises:
        InputError: damaged or truncated, or larger than memory.
    """
    try:
        with _opened(path) as file:
            header = nibabel.MGHImage.header_class.from_fileobj(file)
            shape, dtype = header.get_data_shape(), header.get_data_dtype()
            guard.require_memory(path, shape, dtype)
            file.seek(0)
            # what follows the voxels is some words on the scan
            content = file.read(header.get_data_offset() + guard.size_of(shape, dtype) + 2**16)
        image = nibabel.MGHImage.from_bytes(content)
        if content[_GOOD_RAS : _GOOD_RAS + 2] == bytes(2):
            raise InputError(
                f"{path}: does not say how large its voxels are and where it lies; convert it with mri_convert"
            )
        return np.asarray(image.dataobj), np.array(image.affine, np.float64)
    except _OF_MGH as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read, damaged or truncated ({cause(error)})") from error


def _opened(path: Path) -> IO[bytes]:
    compressed = path.suffix.lower() in (".gz", ".mgz")
    return cast("IO[bytes]", igzip.open(path, "rb")) if compressed else path.open("rb")  # type: ignore[no-untyped-call]


def _other(path: Path, ending: str) -> Path:
    """The file of a pair with this ending, in the case that there is."""
    for candidate in (path.with_suffix(ending), path.with_suffix(ending.upper())):
        if candidate.is_file():
            return candidate
    raise InputError(f"{path}: half of a pair; its {ending} is missing")


def _header(path: Path, file: IO[bytes], known: dict[int, Any]) -> Any:
    """The header, in either byte order."""
    start = file.read(4)
    size = next((size for size in known for order in _ORDERS if start == size.to_bytes(4, order)), 0)
    if not size:
        raise InputError(f"{path}: cannot be read, damaged or truncated (its header is not that of a NIfTI)")
    if size == 348 and known is _PAIRS and file.read(344)[340:342] not in (b"ni", b"n+"):
        raise InputError(
            f"{path}: Analyze 7.5, which does not say where left is; convert it to NIfTI with what wrote it"
        )
    file.seek(0)
    header = known[size].from_fileobj(file, check=False)
    # nibabel would make voxel sizes of 0 to 1 mm and go on
    zero = header["pixdim"][1:4] == 0
    header["pixdim"][1:4][zero] = 1
    header.check_fix()
    header["pixdim"][1:4][zero] = 0
    return header


def _voxels(path: Path, file: IO[bytes], header: Any) -> NDArray[Any]:
    """All voxels, read straight into their place."""
    shape, dtype = header.get_data_shape(), header.get_data_dtype()
    if not shape or min(shape) < 1:
        raise InputError(f"{path}: its header says {'x'.join(map(str, shape)) or 'no'} voxels")
    guard.require_memory(path, shape, dtype)
    size, offset = math.prod(shape) * dtype.itemsize, int(header.get_data_offset())
    held = path.stat().st_size
    if (held * _DEFLATE if path.suffix.lower() == ".gz" else held) < offset + size:
        raise InputError(f"{path}: cannot be read, damaged or truncated ({held} bytes for {offset + size})")
    file.seek(offset)
    buffer = guard.empty((size,), np.dtype(np.uint8))
    view, read = buffer.data, 0
    while read < size:
        count = file.readinto(view[read:])  # type: ignore[attr-defined]
        if not count:
            raise InputError(f"{path}: cannot be read, damaged or truncated ({read} of {size} bytes of voxels)")
        read += count
    if path.suffix.lower() == ".gz":
        file.read(1)  # to the end, so that the checksum is compared
    array = buffer.view(dtype).reshape(shape, order="F")
    slope, inter = header.get_slope_inter()
    slope, inter = 1.0 if slope is None else slope, 0.0 if inter is None else inter
    return array if (slope, inter) == (1, 0) or dtype.kind not in "biuf" else _scaled(array, slope, inter)


def _scaled(array: NDArray[Any], slope: float, inter: float) -> NDArray[np.float32]:
    """In float32, not nibabel's float64: half the memory, and still more digits than a scanner gives."""
    stored = array.reshape(-1, order="F")
    result = np.empty(stored.shape, np.float32)
    for start in range(0, len(stored), _SLAB):
        part = slice(start, start + _SLAB)
        result[part] = stored[part] * np.float64(slope) + np.float64(inter)
    return result.reshape(array.shape, order="F")


def read_header(path: Path) -> Nifti1Header | Nifti2Header:
    """The header of a NIfTI, of a pair too, as one of a single file.

    Raises:
        InputError: damaged, or no NIfTI.
    """
    try:
        if path.suffix.lower() not in PAIR:
            with _opened(path) as file:
                return _header(path, file, _SIZES)
        with _other(path, PAIR[0]).open("rb") as file:
            pair = _header(path, file, _PAIRS)
    except _UNREADABLE as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read, damaged or truncated ({cause(error)})") from error
    single = _SIZES[pair.sizeof_hdr](pair.binaryblock, pair.endianness, check=False)
    single["magic"] = single.single_magic
    return single


def write_nifti(
    path: Path,
    array: NDArray[Any],
    affine: NDArray[np.float64],
    *,
    header: Nifti1Header | Nifti2Header | None = None,
) -> None:
    """Write (X, Y, Z), whole or not at all; compressed where the name ends in ``.gz``.

    Args:
        path: of the file.
        array: its voxels.
        affine: to RAS+ millimeters, written as sform and, unless it is sheared, as qform.
        header: of the image that the voxels belong to; where it is given, its two forms, their codes, its unit and its
            version of NIfTI are kept, and the affine is not looked at. What it says of the image's values goes.

    Raises:
        InputError: it cannot be written; the message names the file.
    """
    if header is None:
        nifti = nibabel.Nifti1Image(array, affine)
        nifti.header.set_xyzt_units("mm")
        nifti.set_sform(affine, _SCANNER)
        nifti.set_qform(affine, 0 if is_sheared(affine, array.shape) else _SCANNER)
    else:
        nifti = _like(array, header)
    with files.replacing(path) as file:
        if path.suffix != ".gz":
            nifti.to_stream(file)
            return
        with gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as compressed:  # no time: same voxels, same bytes
            nifti.to_stream(compressed)


def _like(array: NDArray[Any], header: Nifti1Header | Nifti2Header) -> Any:
    """An image that lies where its header says, in every program."""
    kind = nibabel.Nifti2Image if isinstance(header, Nifti2Header) else nibabel.Nifti1Image
    header = header.copy()
    header.set_data_shape(array.shape)
    header.set_data_dtype(array.dtype)
    header["vox_offset"] = header["cal_min"] = header["cal_max"] = 0
    header.set_intent("none")
    header.extensions.clear()
    # without an affine nibabel leaves the forms alone
    return kind(array, None, header)
