"""Targets of images that are smaller than a pixel of what the network sees: said, and refused where they are many."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from segxfer3d.data.preprocessing.held_images import HeldImages
from segxfer3d.errors import InputError, some
from segxfer3d.run.folder import RunFolder

MOST = 0.2  # of the images with a target


def say_vanished(run: RunFolder, held: Iterable[Any], *, refuse: bool = True) -> None:
    """Say in how many images a target is kept by one pixel only, see
    :mod:`~segxfer3d.data.preprocessing.last_pixels`.

    Args:
        run: is told.
        held: images with their labels; volumes, which keep their voxels, and None are passed over.
        refuse: refuse more than :data:`MOST` of those that have a target.

    Raises:
        InputError: they are many; the message says which image size keeps them.
    """
    images = [each for each in held if isinstance(each, HeldImages)]
    vanished = {name: size for each in images for name, size in each.vanished.items()}
    if not vanished:
        return
    targets = sum(each.with_target for each in images)
    size = images[0].size
    where = f"image_size {size}: in {len(vanished)} of {targets} images with a target one vanishes at this size"
    way = f"--image_size {max(vanished.values())} keeps about all"
    if refuse and len(vanished) > MOST * targets:
        raise InputError(f"{where} ({some(vanished, 3, ', ')}); {way}")
    run.say(f"warning: {where}, and is kept as one pixel ({some(vanished, 3, ', ')}); {way}")
