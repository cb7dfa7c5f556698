"""Images on which networks are compared: random patches of a data set's volumes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from segxfer3d.augment.cubes import sample_cubes
from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError


def choose_cases(cases: Sequence[Case], count: int, seed: int) -> list[Case]:
    """The cases that ``count`` patches come from: all, or ``count`` of them at random where there are more."""
    order = np.random.default_rng([seed, 0]).permutation(len(cases))[:count]
    return [cases[i] for i in sorted(order.tolist())]


def volume_patches(
    cases: Sequence[Case], preprocessing: VolumePreprocessing, size: tuple[int, int, int], count: int, seed: int
) -> Tensor:
    """Random patches of volumes, as many from each as the count allows, in a random order.

    A patch lies anywhere in its volume; one that is smaller than the patch lies in the middle of zeros. The order is
    random, so that every batch of neighbors is a sample of the whole data set: minibatch CKA needs that. The same
    arguments give the same patches. All of them are held in memory (0.5 MiB for each of 64x64x32 voxels).

    Args:
        cases: at least one; only their images are read.
        preprocessing: of every volume.
        size: voxels of a patch along x, y, z.
        count: of patches, at least as many as cases.
        seed: of places and order.

    Returns:
        (count, C, *size) float32 in [0, 1].

    Raises:
        InputError: no cases or fewer patches than cases, or a volume that cannot be read.
    """
    if not 0 < len(cases) <= count:
        raise InputError(f"patches: {count} from {len(cases)} cases; expected at least one case, and one patch of each")
    order = np.random.default_rng([seed, 1]).permutation(count)
    patches = torch.empty(count, preprocessing.channels, *size)
    whole = CaseSet(cases[0].image.parent, "folder", 3, tuple(cases), channels=preprocessing.channels)
    for i, places in enumerate(np.array_split(order, len(cases))):
        volume = preprocessing.read(cases[i], whole, label=False)["image"].numpy()
        for number, channel in enumerate(volume):  # at the same places
            cubes, _ = sample_cubes(channel, size, None, len(places), np.random.default_rng([seed, 2, i]))
            patches[places, number] = torch.from_numpy(cubes)
    return patches
