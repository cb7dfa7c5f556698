"""What happens to a case before the network sees it, and how a prediction gets back to the case's own grid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from segxfer3d.data.preprocessing.protocol import Item, Preprocessing
from segxfer3d.errors import InputError

if TYPE_CHECKING:
    from segxfer3d.data.preprocessing.images import ImagePreprocessing
    from segxfer3d.data.preprocessing.volumes import VolumePreprocessing

__all__ = ["Item", "Preprocessing", "from_dict"]


def from_dict(values: Mapping[str, Any], source: str = "") -> ImagePreprocessing | VolumePreprocessing:
    """The preprocessing that a checkpoint names, of images or of volumes: its entries tell which.

    Args:
        values: its entries.
        source: the checkpoint, for messages.

    Raises:
        InputError: an entry is missing or cannot be used.
    """
    try:
        # here, for each is imported only where its kind of data is used: volumes bring MONAI's transforms
        if "image_size" in values:
            from segxfer3d.data.preprocessing.images import ImagePreprocessing

            return ImagePreprocessing.from_dict(values)
        from segxfer3d.data.preprocessing.volumes import VolumePreprocessing

        return VolumePreprocessing.from_dict(values)
    except InputError as error:
        raise InputError(f"checkpoint {source}: {error}" if source else str(error)) from error
