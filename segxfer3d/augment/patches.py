"""Training patches of labeled volumes: some centered on foreground, flipped, a little brighter or darker."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from monai.transforms import (
    Compose,
    RandCropByPosNegLabeld,
    RandFlipd,
    RandScaleIntensityd,
    RandShiftIntensityd,
    SelectItemsd,
    SpatialPadd,
)
from torch import Tensor

KEYS = ("image", "label")


class FirstPatch:
    """MONAI's sampling crop gives a list; its only patch, as plain tensors."""

    def __call__(self, patches: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        """The first patch."""
        return {key: getattr(value, "as_tensor", lambda v=value: v)() for key, value in patches[0].items()}


def labeled_patches(size: Sequence[int], *, foreground_share: float) -> Compose:
    """One random patch of a volume and its label, anew at each call.

    A volume that is smaller than the patch is padded. Each axis is flipped with chance 1/2; with chance 1/2 each,
    intensities are multiplied by 0.9 to 1.1 and shifted by up to 0.05.

    Args:
        size: of the patch, in voxels.
        foreground_share: share of the patches that are centered on foreground, 0 to 1.

    The items that it takes have ``image`` (1, X, Y, Z) in [0, 1] and ``label`` (K, X, Y, Z); it gives the same two.
    """
    warnings.filterwarnings("ignore", "Num foregrounds")  # of an empty label, which has been counted and said
    background = 1 - foreground_share
    return Compose(
        [
            SpatialPadd(KEYS, size),
            RandCropByPosNegLabeld(
                KEYS, "label", size, pos=foreground_share, neg=background, num_samples=1, allow_smaller=True
            ),
            FirstPatch(),
            *(RandFlipd(KEYS, prob=0.5, spatial_axis=axis) for axis in range(3)),
            RandScaleIntensityd("image", factors=0.1, prob=0.5),
            RandShiftIntensityd("image", offsets=0.05, prob=0.5),
            SelectItemsd(KEYS),
        ],
        map_items=False,
    )
