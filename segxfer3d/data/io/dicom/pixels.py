"""The pixels of DICOM frames, rescaled, into one array; uncompressed ones are read in place, others by pydicom."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, JPEGExtended12Bit, JPEGTransferSyntaxes, RLELossless

from segxfer3d.data.io import cause
from segxfer3d.data.io.dicom.frames import Frame, Pixels
from segxfer3d.errors import InputError

_INTEGERS = (np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.int64)


def is_compressed(frames: Iterable[Frame]) -> bool:
    """Whether a library in another language has to decode the pixels."""
    return any(UID(frame.pixels.syntax).is_encapsulated for frame in frames)


def value_type(frames: Sequence[Frame]) -> np.dtype[Any]:
    """The smallest type that holds every rescaled value: integers where slopes and intercepts are, else float32."""
    low, high = 0.0, 0.0
    scales = {(frame.pixels.stored, frame.pixels.signed, frame.slope, frame.intercept) for frame in frames}
    for index, (stored, signed, slope, intercept) in enumerate(sorted(scales)):
        if not (slope.is_integer() and intercept.is_integer()):
            return np.dtype(np.float32)
        ends = (-(2 ** (stored - 1)), 2 ** (stored - 1) - 1) if signed else (0, 2**stored - 1)
        values = [end * slope + intercept for end in ends]
        low, high = (min(values), max(values)) if index == 0 else (min(low, *values), max(high, *values))
    for integer in _INTEGERS:
        limits = np.iinfo(integer)
        if limits.min <= low and high <= limits.max:
            return np.dtype(integer)
    return np.dtype(np.float32)


def fill(slices: NDArray[Any], frames: Sequence[Frame]) -> None:
    """Read frames into (Z, rows, columns), each with its own slope and intercept.

    Raises:
        InputError: a file is truncated, changed since its header was read, or compressed in a way that nothing
            installed can decode.
    """
    numbered = sorted(enumerate(frames), key=lambda item: (item[1].pixels.path, item[1].number))
    # one for all files: fresh memory costs as much as the work in it
    buffer = bytearray(max(_length(frame) for frame in frames))
    for pixels, group in itertools.groupby(numbered, key=lambda item: item[1].pixels):
        rows = list(group)
        stored = _stored(pixels, [frame for _, frame in rows], buffer)
        for (index, frame), array in zip(rows, stored, strict=True):
            if array.shape != slices.shape[1:]:
                raise InputError(f"{pixels.path}: pixels of shape {array.shape}, expected {slices.shape[1:]}")
            _rescale(array, frame, slices[index])


def _rescale(stored: NDArray[Any], frame: Frame, out: NDArray[Any]) -> None:
    if out.dtype.kind == "f":
        # in double precision, then rounded once
        np.copyto(out, stored * np.float64(frame.slope) + np.float64(frame.intercept), casting="unsafe")
        return
    # whole numbers wrap on the way and come out right, since the result fits, see value_type
    np.copyto(out, stored, casting="unsafe")
    if frame.slope != 1:
        out *= np.array(int(frame.slope)).astype(out.dtype)
    if frame.intercept != 0:
        out += np.array(int(frame.intercept)).astype(out.dtype)


def _stored(pixels: Pixels, frames: Sequence[Frame], buffer: bytearray) -> Iterator[NDArray[Any]]:
    """The stored values of frames of one file, in the order given; each is gone with the next."""
    order = ">" if pixels.syntax == "1.2.840.10008.1.2.2" else "<"
    in_place = pixels.offset >= 0 and (pixels.allocated in (16, 32) or (pixels.allocated == 8 and order == "<"))
    arrays = _in_place(pixels, frames, order, buffer) if in_place else _decoded(pixels, frames)
    for array in arrays:
        yield _only_stored_bits(array, pixels) if in_place else array


def _in_place(pixels: Pixels, frames: Sequence[Frame], order: str, buffer: bytearray) -> Iterator[NDArray[Any]]:
    dtype = np.dtype(f"{order}{'i' if pixels.signed else 'u'}{pixels.allocated // 8}")
    rows, columns = frames[0].shape
    length = _length(frames[0])
    content = memoryview(buffer)[:length]
    with Path(pixels.path).open("rb") as file:
        for frame in frames:
            file.seek(pixels.offset + frame.number * length)
            if file.readinto(content) < length:
                raise InputError(f"{pixels.path}: cannot be read, damaged or truncated (pixels are missing)")
            yield np.frombuffer(content, dtype).reshape(rows, columns)


def _length(frame: Frame) -> int:
    """Bytes of its uncompressed pixels."""
    rows, columns = frame.shape
    return rows * columns * frame.pixels.allocated // 8


def _only_stored_bits(array: NDArray[Any], pixels: Pixels) -> NDArray[Any]:
    """Without the bits that do not belong to the value, such as overlays of old files."""
    above = pixels.allocated - 1 - pixels.high
    below = pixels.high + 1 - pixels.stored
    if not above and not below:
        return array
    kind = array.dtype.type
    array <<= kind(above)
    array >>= kind(above + below)
    return array


def _decoded(pixels: Pixels, frames: Sequence[Frame]) -> Iterator[NDArray[Any]]:
    require_decoder(pixels)
    try:
        deflated = pixels.syntax == DeflatedExplicitVRLittleEndian  # which iter_pixels takes only once it is inflated
        source = dcmread(pixels.path) if deflated else pixels.path
        yield from iter_pixels(source, indices=[frame.number for frame in frames], raw=True)
    except (RuntimeError, ValueError, OSError, AttributeError, IndexError, NotImplementedError) as error:
        raise InputError(f"{pixels.path}: cannot be read, damaged or truncated ({cause(error)})") from error


def require_decoder(pixels: Pixels) -> None:
    """Make sure that the pixels can be decoded.

    Raises:
        InputError: they cannot; the message says what to install.
    """
    syntax = UID(pixels.syntax)
    try:
        decoder = get_decoder(syntax)
        available = decoder.is_available
        # which GDCM and Pillow do not decode; pylibjpeg-libjpeg does, where it is installed
        if syntax == JPEGExtended12Bit and pixels.stored > 8 and "pylibjpeg" not in decoder.available_plugins:
            raise NotImplementedError
    except NotImplementedError:
        raise InputError(
            f"{pixels.path}: pixels of the transfer syntax {syntax.name} cannot be decoded; "
            "convert the file, for example with dcmdjpeg or gdcmconv --raw"
        ) from None
    if not available:
        package = "pylibjpeg-rle" if syntax == RLELossless else "pylibjpeg-openjpeg"
        if syntax in JPEGTransferSyntaxes or "JPEG-LS" in syntax.name:
            package = "python-gdcm"
        raise InputError(f"{pixels.path}: {syntax.name}: no decoder for it; pip install {package}")
