"""Images: resized with padding, scaled to [0, 1]; what pretexts draw views from stays at its own size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.io.images import resize_with_padding
from segxfer3d.data.preprocessing.held_images import HeldImages
from segxfer3d.data.preprocessing.kinds import IMAGES, require
from segxfer3d.data.preprocessing.loaded_images import LoadedImage, load_image
from segxfer3d.data.preprocessing.loaded_volumes import KeptVolumes
from segxfer3d.data.preprocessing.protocol import Item
from segxfer3d.errors import InputError

__all__ = ["HeldImages", "ImagePreprocessing", "LoadedImage", "load_image"]


@dataclass(frozen=True)
class ImagePreprocessing:
    """What happens to an image before the network sees it: resized with padding, and scaled to [0, 1].

    A :class:`~segxfer3d.data.preprocessing.protocol.Preprocessing`.

    Attributes:
        image_size: pixels of a side.
        channels: 3 for color, 1 for gray.
    """

    image_size: int
    channels: int

    dims: ClassVar[int] = 2
    unit: ClassVar[str] = "pixels"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for checkpoints."""
        return asdict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> ImagePreprocessing:
        """The other way round.

        Raises:
            InputError: an entry is missing or no number.
        """
        require(IMAGES, values)
        return ImagePreprocessing(values["image_size"], values["channels"])

    def hold(
        self,
        cases: Sequence[Case],
        case_set: CaseSet,
        *,
        labels: bool,
        progress: bool,
        size: int | None = None,
        kept: KeptVolumes | None = None,
    ) -> HeldImages:
        """Images in memory as uint8, see :class:`HeldImages`.

        Args:
            cases: of ``case_set``, or a part of them.
            case_set: says how the files are read.
            labels: hold the labels too, which all cases must have.
            progress: show a bar.
            size: pixels of a side; ``image_size`` where None.
            kept: of volumes only.

        Raises:
            InputError: no cases, a size below 1, images that do not fit in memory, or a file that cannot be read.
        """
        return HeldImages(
            case_set, self.image_size if size is None else size, cases=cases, labels=labels, progress=progress
        )

    def read(self, case: Case, case_set: CaseSet, *, label: bool, kept: KeptVolumes | None = None) -> Item:
        """One image as the network takes it, with its label at the file's own size.

        Returns:
            ``image`` (C, size, size) float32 in [0, 1]; ``content`` int64 (4,): top, left, height and width of the
            picture inside the padding; ``size`` int64 (2,): the file's height and width, as shown; ``turn``: the EXIF
            orientation by which it was turned, 1 for none; ``case`` and ``patient``; with
            ``label`` also ``label`` (K, height, width) uint8 and ``valid`` (1, height, width) uint8, 0 where the data
            set says to ignore.

        Raises:
            InputError: what :func:`load_image` refuses, or there is no label where one is wanted.
        """
        loaded = load_image(case, case_set, label=label)
        padded = resize_with_padding(loaded.image, self.image_size)
        item: Item = {
            "image": torch.from_numpy(padded.array).float().mul_(1 / 255),  # as the views do
            "content": torch.tensor(padded.content),
            "size": torch.tensor(loaded.image.shape[1:]),
            "turn": loaded.turn,
            "case": case.name,
            "patient": case.patient,
        }
        if label:
            if loaded.label is None:
                raise InputError(f"{case.image}: no label, which is needed here")
            item["label"], item["valid"] = (torch.from_numpy(np.ascontiguousarray(part)) for part in loaded.label[:2])
        return item

    def to_unit(self, image: Tensor) -> Tensor:
        """The image itself, which is in [0, 1]."""
        return image

    def restore(self, probabilities: Tensor, item: Item) -> Tensor:
        """Cut the padding away, and resize bilinearly to the file's own size.

        Args:
            probabilities: (K, size, size).
            item: of :meth:`read`.

        Returns:
            (K, height, width) float32 on the CPU, in [0, 1].
        """
        top, left, height, width = item["content"].tolist()
        picture = probabilities.float().cpu()[:, top : top + height, left : left + width]
        size = tuple(item["size"].tolist())
        return interpolate(picture[None], size=size, mode="bilinear", align_corners=False)[0].clamp(0, 1)
