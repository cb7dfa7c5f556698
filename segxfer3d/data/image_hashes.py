"""What an image shows, told by hashes: one for each way in which a data set may have it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from segxfer3d.data.content_hash import content_hash
from segxfer3d.data.io.exif_turns import as_shown, as_stored
from segxfer3d.data.io.images import UInt8
from segxfer3d.data.preprocessing.loaded_images import LoadedImage


class ImageHashes(NamedTuple):
    """Of one image, each a :func:`~segxfer3d.data.content_hash.content_hash`.

    Attributes:
        own: as it was read.
        also: with an EXIF orientation, as shown where ``own`` is as stored, or the other way round: which of the two is
            read depends on the mask, and a copy may have either. Of a patch, of the whole image.
        recast: where it is gray, of all these if it were read as color, or, where it was, as gray. Checkpoints hold one
            of the two, and are asked for both.
    """

    own: str
    also: tuple[str, ...]
    recast: tuple[str, ...]


def image_hashes(loaded: LoadedImage) -> ImageHashes:
    """The hashes that an image may be known by.

    Args:
        loaded: image (C, H, W) as its file holds it.
    """
    arrays = list(_arrays(loaded))
    own, *also = map(content_hash, arrays)
    return ImageHashes(own, tuple(also), tuple(content_hash(other) for array in arrays for other in _recast(array)))


def _arrays(loaded: LoadedImage) -> Iterator[UInt8]:
    for image in (loaded.image, *([] if loaded.whole is None else [loaded.whole])):
        yield image
        if loaded.exif != 1:
            turn = as_shown if loaded.turn == 1 else as_stored
            yield turn(image, loaded.exif)


def _recast(image: UInt8) -> Iterator[UInt8]:
    """A gray image (1, H, W) as color, or one (3, H, W) that was read as color as gray; nothing of others."""
    if len(image) == 1:
        yield np.repeat(image, 3, axis=0)
    elif (image[1:] == image[0]).all():
        yield image[:1]
