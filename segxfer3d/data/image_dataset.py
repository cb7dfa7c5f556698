"""Images of one size in memory, as training and evaluation take them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from segxfer3d.data.image_case import THREADS, ImageCase, ImageSet, load_case
from segxfer3d.data.io.images import resize_with_padding
from segxfer3d.errors import InputError

MEMORY_SHARE = 0.6  # of the machine's memory that images may take


@dataclass(frozen=True)
class ImagePreprocessing:
    """What happens to an image before the network sees it: resized with padding, and scaled to [0, 1].

    Attributes:
        image_size: pixels of a side.
        channels: 3 for color, 1 for gray.
    """

    image_size: int
    channels: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for checkpoints."""
        return asdict(self)


class ImageDataset(Dataset, Sequence[dict[str, Tensor]]):
    """Checked images, resized with padding and held as uint8; the ``data`` of a
    :class:`~segxfer3d.data.dataset.SeededDataset`, or a dataset of its own for evaluation.

    An item is a dict of tensors that must not be written to:

    - ``image``: uint8 (C, size, size);
    - ``content``: int64 (4,), top, left, height and width of the picture inside its zero padding;
    - ``label``: uint8 (1, size, size) of 0 and 1, where all cases have masks; 0 in the padding;
    - ``valid``: uint8 (1, size, size), with the label: 0 where the data set says to ignore; 1 in the padding;
    - ``category``: int64 scalar, where all cases have categories;
    - ``index``: int64 scalar, the case's place in ``cases``.

    Args:
        images: of which data set; its cases are used where ``cases`` is None.
        size: pixels of a side.
        cases: a part of the data set, such as the training part of a split.
        progress: show a bar.

    Attributes:
        cases: in the order of the items.
        size: pixels of a side.

    Raises:
        InputError: no cases, a size below 1, images that do not fit in memory, or a file that cannot be read.
    """

    def __init__(
        self, images: ImageSet, size: int, cases: Sequence[ImageCase] | None = None, progress: bool = True
    ) -> None:
        self.cases = tuple(images.cases if cases is None else cases)
        self.size = size
        if not self.cases:
            raise InputError(f"{images.root}: there are no images to load")
        if size < 1:
            raise InputError(f"image_size is {size}; expected at least one pixel")
        masks = all(case.mask is not None for case in self.cases)
        count, square = len(self.cases), (size, size)
        _refuse_too_many(count, count * size * size * (images.channels + 2 * masks))
        self._images = np.zeros((count, images.channels, *square), np.uint8)
        self._content = np.zeros((count, 4), np.int64)
        self._masks = np.ones((count, 2, *square), np.uint8) if masks else None

        def load(index: int) -> None:
            loaded = load_case(self.cases[index], images)
            self._images[index], self._content[index] = resize_with_padding(loaded.image, size)
            if self._masks is not None and loaded.mask is not None:
                self._masks[index, 0] = resize_with_padding(loaded.mask.label, size, mask=True).array[0]
                # what is ignored is resized, not what is valid: so the padding counts
                self._masks[index, 1] -= resize_with_padding(1 - loaded.mask.valid, size, mask=True).array[0]

        with ThreadPoolExecutor(THREADS) as pool:
            list(tqdm(pool.map(load, range(count)), "loading", total=count, disable=not progress, leave=False))
        categories = [case.category for case in self.cases if case.category is not None]
        self._categories = torch.tensor(categories) if len(categories) == count else None

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: Any) -> Any:
        """The item of an index; a slice is not supported.

        Raises:
            IndexError: out of range.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of a data set of {len(self)} images")
        index = int(index) % len(self)
        item = {"image": torch.from_numpy(self._images[index]), "content": torch.from_numpy(self._content[index])}
        if self._masks is not None:
            item["label"] = torch.from_numpy(self._masks[index, :1])
            item["valid"] = torch.from_numpy(self._masks[index, 1:])
        if self._categories is not None:
            item["category"] = self._categories[index]
        item["index"] = torch.tensor(index)
        return item


def _refuse_too_many(count: int, needed: int) -> None:
    limit = MEMORY_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > limit:
        raise InputError(
            f"the images do not fit in memory ({count} take {needed / 2**30:.1f} GiB, {limit / 2**30:.1f} GiB may be "
            "used); give a smaller --image_size"
        )
