"""Images in memory: at one size with padding, or as their files have them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset
from tqdm import tqdm

from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.io.images import THREADS, UInt8, resize_with_padding
from segxfer3d.data.preprocessing.last_pixels import keep_last_pixels
from segxfer3d.data.preprocessing.loaded_images import LoadedImage, load_image
from segxfer3d.data.preprocessing.protocol import Item, memory_limit
from segxfer3d.errors import InputError
from segxfer3d.machine import size_text


class Row(NamedTuple):
    """An image in memory.

    Attributes:
        image: uint8 (C, H, W).
        content: int64 (4,), top, left, height and width of the picture in it.
        label: uint8 (K + 1, H, W), the classes' masks and behind them what counts; None where there are no labels.
        needed: size of a side at which no target would vanish, where one did and was kept as a pixel; else 0.
    """

    image: UInt8
    content: NDArray[np.int64]
    label: UInt8 | None = None
    needed: int = 0

    @property
    def bytes(self) -> int:
        """What it takes."""
        return self.image.nbytes + (0 if self.label is None else self.label.nbytes)


def make_row(loaded: LoadedImage, size: int | None, *, labels: bool) -> Row:
    """An image as it is held: resized with padding to ``size``, or where that is None as it is, without labels."""
    if size is None:
        image = loaded.image
        if not (image.flags.c_contiguous and image.flags.writeable):
            image = np.array(image, order="C")
        return Row(image, np.array([0, 0, *image.shape[1:]], np.int64))
    array, content = resize_with_padding(loaded.image, size)
    if not labels or loaded.label is None:
        return Row(array, np.array(content, np.int64))
    masks = resize_with_padding(loaded.label.label, size, labels=True).array
    # what is ignored is resized, not what is valid: so the padding counts
    if loaded.label.valid.all():
        valid = np.ones_like(masks[:1])
    else:
        valid = 1 - resize_with_padding(1 - loaded.label.valid, size, labels=True).array
    needed = keep_last_pixels(loaded.label.label, masks, valid, content)
    return Row(array, np.array(content, np.int64), np.concatenate([masks, valid]), needed)


class KeptImages:
    """What a check read, so that no file has to be opened twice: a function for its ``keep``.

    Args:
        size: pixels of a side; None for the files' own.
        labels: keep the labels too.
        limit: bytes that may be taken; what comes later is not kept.
    """

    def __init__(self, size: int | None, *, labels: bool = False, limit: float | None = None) -> None:
        self.size = size
        self.labels = labels
        self.room = memory_limit() if limit is None else limit
        self._rows: dict[str, Row] = {}
        self._lock = threading.Lock()

    def __call__(self, case: Case, loaded: LoadedImage) -> None:
        """Keep a case, by its name, if there is room."""
        if self.room <= 0:
            return
        row = make_row(loaded, self.size, labels=self.labels)
        with self._lock:
            self.room -= row.bytes
            if self.room >= 0:
                self._rows[case.name] = row

    def get(self, case: Case) -> Row | None:
        """What was kept of a case."""
        return self._rows.get(case.name)


class HeldImages(Dataset[Item], Sequence[Item]):
    """Checked images, held as uint8; the ``data`` of a :class:`~segxfer3d.data.dataset.SeededDataset`, or a dataset of
    its own for evaluation.

    Images of one size are resized with padding. At their own sizes they have no labels here, and those that do not fit
    in memory are decoded whenever they are asked for. An item is a dict of tensors that must not be written to:

    - ``image``: uint8 (C, size, size), or (C, H, W);
    - ``content``: int64 (4,), top, left, height and width of the picture inside its zero padding;
    - ``label``: uint8 (K, size, size) of 0 and 1, where labels are held; 0 in the padding;
    - ``valid``: uint8 (1, size, size), with the label: 0 where the data set says to ignore; 1 in the padding;
    - ``category``: int64 scalar, where all cases have categories;
    - ``index``: int64 scalar, the case's place in ``cases``.

    Args:
        case_set: of which data set.
        size: pixels of a side; None for the files' own sizes.
        cases: a part of the data set, such as the training part of a split; all where None.
        labels: hold the labels too, which all cases must have.
        progress: show a bar.
        kept: what a check kept, with the same size and labels.

    Attributes:
        cases: in the order of the items.
        size: as given.
        on_demand: how many are decoded on demand.
        vanished: name to the size that it needs, of images with a target that vanished and was kept as a pixel.
        with_target: how many have a target.

    Raises:
        InputError: no cases, a size below 1, labels without a size, images of one size that do not fit in memory, or a
            file that cannot be read.
    """

    def __init__(
        self,
        case_set: CaseSet,
        size: int | None,
        *,
        cases: Sequence[Case] | None = None,
        labels: bool = True,
        progress: bool = True,
        kept: KeptImages | None = None,
    ) -> None:
        self.cases = tuple(case_set.cases if cases is None else cases)
        self.size = size
        self._case_set = case_set
        self._refuse(labels)
        count, limit = len(self.cases), memory_limit()
        if size is not None:
            masks = labels * (len(case_set.label_rule.foreground) if case_set.label_rule.several else 1)
            _refuse_too_many(count, count * size * size * (case_set.channels + masks + labels), limit)
        room = limit if kept is None else kept.room

        def load(case: Case) -> Row | None:
            nonlocal room
            if kept is not None and (row := kept.get(case)) is not None:
                return row
            if size is None and room <= 0:
                return None
            row = make_row(load_image(case, case_set, label=labels), size, labels=labels)
            room -= row.bytes
            return row

        with ThreadPoolExecutor(THREADS) as pool:
            self._rows = list(tqdm(pool.map(load, self.cases), "loading", count, disable=not progress, leave=False))
        held = zip(self.cases, self._rows, strict=True)
        self.vanished = {case.name: row.needed for case, row in held if row is not None and row.needed}
        labels_held = [row.label for row in self._rows if row is not None and row.label is not None]
        self.with_target = sum(bool(label[:-1].any()) for label in labels_held)
        self.on_demand = sum(row is None for row in self._rows)
        categories = [case.category for case in self.cases if case.category is not None]
        self._categories = torch.tensor(categories) if len(categories) == count else None

    def _refuse(self, labels: bool) -> None:
        root = self._case_set.root
        if not self.cases:
            raise InputError(f"{root}: there are no images to load")
        if self.size is not None and self.size < 1:
            raise InputError(f"image_size is {self.size}; expected at least one pixel")
        if labels and self.size is None:
            raise InputError("canvas_size: expected a number of pixels, for images and their masks go together")
        if labels and (lone := [case for case in self.cases if case.label is None]):
            raise InputError(f"{lone[0].image}: no label, which is needed here")

    @property
    def bytes(self) -> int:
        """What the images and labels in memory take."""
        return sum(row.bytes for row in self._rows if row is not None)

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
        row = self._rows[index]
        if row is None:
            row = make_row(load_image(self.cases[index], self._case_set, label=False), self.size, labels=False)
        item = {"image": torch.from_numpy(row.image), "content": torch.from_numpy(row.content)}
        if row.label is not None:
            item["label"], item["valid"] = torch.from_numpy(row.label[:-1]), torch.from_numpy(row.label[-1:])
        if self._categories is not None:
            item["category"] = self._categories[index]
        item["index"] = torch.tensor(index)
        return item


def _refuse_too_many(count: int, needed: int, limit: float) -> None:
    if needed > limit:
        raise InputError(
            f"the images do not fit in memory ({count} take {size_text(needed)}, {size_text(limit)} may be "
            "used); give a smaller --image_size"
        )
