"""Images: resized with padding, scaled to [0, 1], and held in memory as bytes of one size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torch.utils.data import Dataset
from tqdm import tqdm

from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.io.images import THREADS, UInt8, read_image, resize_with_padding
from segxfer3d.data.io.labels import ReadLabel, read_label
from segxfer3d.data.preprocessing.protocol import Item, memory_limit
from segxfer3d.errors import InputError


class LoadedImage(NamedTuple):
    """A case in memory, at its own size: uint8 (C, H, W), its label if it has one, and the mode it came from."""

    image: UInt8
    label: ReadLabel | None
    converted: str


def load_image(case: Case, case_set: CaseSet, *, label: bool = True) -> LoadedImage:
    """Read the files of a case, and cut out its box.

    Args:
        case: an image.
        case_set: says how its files are read.
        label: read the label too, where there is one.

    Raises:
        InputError: what :func:`~segxfer3d.data.io.images.read_image` and
            :func:`~segxfer3d.data.io.labels.read_label` refuse.
    """
    image, converted = read_image(case.image, case_set.channels, official=case_set.official)
    read: ReadLabel | None = None
    if label and case.label is not None:
        size = (image.shape[1], image.shape[2])
        read = read_label(case.label, case_set.label_rule, size, official=case_set.official)
    if case.box is not None:
        top, left, height, width = case.box
        if top + height > image.shape[1] or left + width > image.shape[2]:
            raise InputError(
                f"{case.image}: {image.shape[2]}x{image.shape[1]} pixels are too few for the patch of "
                f"{width}x{height} at {left}, {top}"
            )
        image = image[:, top : top + height, left : left + width]
        if read is not None:
            read = ReadLabel(*(part[:, top : top + height, left : left + width] for part in read))
    return LoadedImage(image, read, converted)


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
        try:
            return ImagePreprocessing(int(values["image_size"]), int(values["channels"]))
        except KeyError as error:
            raise InputError(f"preprocessing: the entry {error} is missing") from error
        except (TypeError, ValueError) as error:
            raise InputError(f"preprocessing: {error}") from error

    def hold(
        self, cases: Sequence[Case], case_set: CaseSet, *, labels: bool, progress: bool, size: int | None = None
    ) -> HeldImages:
        """Images in memory as uint8, see :class:`HeldImages`.

        Args:
            cases: of ``case_set``, or a part of them.
            case_set: says how the files are read.
            labels: hold the labels too, which all cases must have.
            progress: show a bar.
            size: pixels of a side; ``image_size`` where None.

        Raises:
            InputError: no cases, a size below 1, images that do not fit in memory, or a file that cannot be read.
        """
        return HeldImages(
            case_set, self.image_size if size is None else size, cases=cases, labels=labels, progress=progress
        )

    def read(self, case: Case, case_set: CaseSet, *, label: bool) -> Item:
        """One image as the network takes it, with its label at the file's own size.

        Returns:
            ``image`` (C, size, size) float32 in [0, 1]; ``content`` int64 (4,): top, left, height and width of the
            picture inside the padding; ``size`` int64 (2,): the file's height and width; ``case`` and ``patient``; with
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
            "case": case.name,
            "patient": case.patient,
        }
        if label:
            if loaded.label is None:
                raise InputError(f"{case.image}: no label, which is needed here")
            item["label"], item["valid"] = (torch.from_numpy(np.ascontiguousarray(part)) for part in loaded.label)
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


class HeldImages(Dataset[Item], Sequence[Item]):
    """Checked images, resized with padding and held as uint8; the ``data`` of a
    :class:`~segxfer3d.data.dataset.SeededDataset`, or a dataset of its own for evaluation.

    An item is a dict of tensors that must not be written to:

    - ``image``: uint8 (C, size, size);
    - ``content``: int64 (4,), top, left, height and width of the picture inside its zero padding;
    - ``label``: uint8 (K, size, size) of 0 and 1, where labels are held; 0 in the padding;
    - ``valid``: uint8 (1, size, size), with the label: 0 where the data set says to ignore; 1 in the padding;
    - ``category``: int64 scalar, where all cases have categories;
    - ``index``: int64 scalar, the case's place in ``cases``.

    Args:
        case_set: of which data set.
        size: pixels of a side.
        cases: a part of the data set, such as the training part of a split; all where None.
        labels: hold the labels too, which all cases must have.
        progress: show a bar.

    Attributes:
        cases: in the order of the items.
        size: pixels of a side.

    Raises:
        InputError: no cases, a size below 1, images that do not fit in memory, or a file that cannot be read.
    """

    def __init__(
        self,
        case_set: CaseSet,
        size: int,
        *,
        cases: Sequence[Case] | None = None,
        labels: bool = True,
        progress: bool = True,
    ) -> None:
        self.cases = tuple(case_set.cases if cases is None else cases)
        self.size = size
        if not self.cases:
            raise InputError(f"{case_set.root}: there are no images to load")
        if size < 1:
            raise InputError(f"image_size is {size}; expected at least one pixel")
        if labels and (lone := [case for case in self.cases if case.label is None]):
            raise InputError(f"{lone[0].image}: no label, which is needed here")
        count, square = len(self.cases), (size, size)
        masks = labels * (len(case_set.label_rule.foreground) if case_set.label_rule.several else 1)
        _refuse_too_many(count, count * size * size * (case_set.channels + masks + labels))
        self._images = np.zeros((count, case_set.channels, *square), np.uint8)
        self._content = np.zeros((count, 4), np.int64)
        # the classes' masks, and behind them what counts
        self._labels = np.ones((count, masks + 1, *square), np.uint8) if labels else None

        def load(index: int) -> None:
            loaded = load_image(self.cases[index], case_set, label=labels)
            self._images[index], self._content[index] = resize_with_padding(loaded.image, size)
            if self._labels is not None and loaded.label is not None:
                self._labels[index, :-1] = resize_with_padding(loaded.label.label, size, labels=True).array
                # what is ignored is resized, not what is valid: so the padding counts
                self._labels[index, -1] -= resize_with_padding(1 - loaded.label.valid, size, labels=True).array[0]

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
        if self._labels is not None:
            item["label"] = torch.from_numpy(self._labels[index, :-1])
            item["valid"] = torch.from_numpy(self._labels[index, -1:])
        if self._categories is not None:
            item["category"] = self._categories[index]
        item["index"] = torch.tensor(index)
        return item


def _refuse_too_many(count: int, needed: int) -> None:
    limit = memory_limit()
    if needed > limit:
        raise InputError(
            f"the images do not fit in memory ({count} take {needed / 2**30:.1f} GiB, {limit / 2**30:.1f} GiB may be "
            "used); give a smaller --image_size"
        )
