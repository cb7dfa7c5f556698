"""What a case shows, told by its decoded values: the same under any name, folder or lossless format."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

if TYPE_CHECKING:
    from segxfer3d.data.io.volumes import Volume


SAME = {2: ("images", "pixels"), 3: ("volumes", "voxels")}  # by dimensions, in words: which cases, and what in them


def content_hash(values: NDArray[Any]) -> str:
    """16 hexadecimal digits of the SHA-256 of an array's shape, type and values.

    Two of a million different cases share one with a chance of 3e-8.

    Args:
        values: as a file holds them, decoded: uint8 (C, H, W) of an image, voxels (X, Y, Z) of a volume.

    Example:
        >>> import numpy as np
        >>> content_hash(np.zeros((1, 2, 2), np.uint8)) == content_hash(np.zeros((1, 2, 3), np.uint8)[..., :2])
        True
    """
    total = hashlib.sha256(f"{values.dtype.str} {values.shape} ".encode())
    total.update(np.ascontiguousarray(values).data)
    return total.hexdigest()[:16]


def voxels_hash(volumes: Iterable[Volume]) -> str:
    """32 hexadecimal digits of the SHA-256 of what some volumes hold: voxels, in the order of memory, and affines.

    It is the same wherever the files are and however they are packed.

    Args:
        volumes: the channels of an image, or a label.
    """
    total = hashlib.sha256()
    for block in _blocks(volumes):
        total.update(block)
    return total.hexdigest()[:32]


def voxels_checksum(volumes: Iterable[Volume]) -> int:
    """CRC-32 of what :func:`voxels_hash` looks at, in a tenth of its time: whether a file still holds what it did a
    moment ago, not which one it is."""
    total = 0
    for block in _blocks(volumes):
        total = isal_zlib.crc32(block, total)
    return total


def _blocks(volumes: Iterable[Volume]) -> Iterator[bytes | memoryview]:
    for volume in volumes:
        array = volume.array
        turned = array.flags.f_contiguous and not array.flags.c_contiguous
        yield f"{array.dtype.str} {array.shape} {turned} ".encode()
        yield np.ascontiguousarray(volume.affine).data
        yield np.ascontiguousarray(array.T if turned else array).data
