"""Datasets: random items that can be drawn again by seed, epoch and index, and whole cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import Randomizable
from torch.utils.data import Dataset, default_collate

from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.preprocessing.class_masks import ValueMasks
from segxfer3d.data.preprocessing.loaded_volumes import KeptVolumes
from segxfer3d.data.preprocessing.protocol import Item, Preprocessing
from segxfer3d.errors import InputError

CACHED_BYTES = 2**30  # of whole cases kept in memory, and of those that are looked at once, a few perhaps twice
CACHED_ONCE = 2**28

# Separates the stream of orders from the streams of items: without it the order of pass p and the item (p, 0)
# would start from the same state, because NumPy pads short seeds with zeros.
_ORDER = (1,)


class SeededDataset(Dataset[Any]):
    """Random items from a sequence of dicts: item i of epoch e is a pure function of (seed, e, i).

    The items of all epochs follow each other through `data`, pass after pass, each pass in a fresh random
    order; item i of epoch e is number e * length + i of this row. So every entry is used equally often, also
    where `length` is not a multiple of `len(data)`. Before every call the random state of the transform is
    set from (seed, e, i). Neither the number of loader workers nor the number of processes changes an item:
    give the indices in order (`shuffle=False`, or a DistributedSampler that does not shuffle), they are
    shuffled here.

    Call `set_epoch` before the loader's iterator of that epoch is made (on Ignite: at EPOCH_STARTED, with an
    epoch as long as the loader). The epoch lies in shared memory, so that loader workers that live on see it.

    Args:
        data: what the items are made from, for example cached volumes, cases or a `CubeStore`.
        transform: a MONAI transform (`Compose`, any `Randomizable`) or any callable; None gives the entry
            itself. Random steps have to draw from `self.R`, as MONAI's do; a plain callable is not seeded.
        seed: a whole number, at least 0.
        length: items in an epoch; `len(data)` by default.

    Raises:
        InputError: there is no data, or seed or length are out of range.

    Example:
        >>> dataset = SeededDataset([{"image": 1}, {"image": 2}], None, seed=0, length=4)
        >>> sorted(dataset[i]["image"] for i in range(4))
        [1, 1, 2, 2]
    """

    def __init__(
        self,
        data: Sequence[Any],
        transform: Callable[[Any], Any] | None = None,
        seed: int = 0,
        length: int | None = None,
    ) -> None:
        if len(data) == 0:
            raise InputError("There is nothing to sample from: the list of data is empty.")
        if seed < 0:
            raise InputError(f"seed is {seed}; expected a whole number of at least 0.")
        if length is not None and length < 1:
            raise InputError(f"length is {length}; expected at least one item an epoch.")
        self.data = data
        self.transform = transform
        self.seed = int(seed)
        self.length = len(data) if length is None else int(length)
        # A tensor and not a multiprocessing.Value: it can be copied and pickled too.
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, dtype=np.int64))

    @property
    def epoch(self) -> int:
        """The epoch whose items are given now."""
        return int(self._epoch[0])

    def set_epoch(self, epoch: int) -> None:
        """Give the items of this epoch (counted from 0) from now on, in running loader workers too."""
        if epoch < 0:
            raise InputError(f"epoch is {epoch}; expected at least 0.")
        self._epoch[0] = epoch

    def source_index(self, index: int, epoch: int) -> int:
        """Which entry of `data` item `index` of `epoch` is made from."""
        number, position = divmod(epoch * self.length + index, len(self.data))
        if self._order[0] != number:
            sequence = np.random.SeedSequence([self.seed, number], spawn_key=_ORDER)
            self._order = (number, np.random.default_rng(sequence).permutation(len(self.data)))
        return int(self._order[1][position])

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        if not -self.length <= index < self.length:
            raise IndexError(f"item {index} of a dataset of {self.length} items")
        index, epoch = index % self.length, self.epoch
        item = self.data[self.source_index(index, epoch)]
        if self.transform is None:
            return item
        if isinstance(self.transform, Randomizable):
            sequence = np.random.SeedSequence([self.seed, epoch, index])
            self.transform.set_random_state(seed=int(sequence.generate_state(1)[0]))
        return self.transform(item)


def collate(items: Sequence[Mapping[str, Any]]) -> Any:
    """Items to a batch, as torch collates them; images of several sizes are padded with zeros at the far ends.

    Where the picture lies in its image, its ``content``, stays true.
    """
    shapes = {item["image"].shape for item in items if isinstance(item, Mapping) and "image" in item}
    if len(shapes) < 2:
        return default_collate(list(items))
    image = items[0]["image"]
    sides = [max(shape[axis] for shape in shapes) for axis in range(1, image.ndim)]
    images = torch.zeros((len(items), len(image), *sides), dtype=image.dtype)
    for row, item in zip(images, items, strict=True):
        row[(slice(None), *(slice(side) for side in item["image"].shape[1:]))] = item["image"]
    rest = [{name: value for name, value in item.items() if name != "image"} for item in items]
    return {"image": images, **default_collate(rest)}


class WholeCases(Dataset[Item]):
    """Whole labeled cases: the image as the network takes it, the label on its file's own grid.

    Items are those of :meth:`~segxfer3d.data.preprocessing.protocol.Preprocessing.read`; they stay in memory as long as
    all of them together are not too large.

    Args:
        cases: labeled, of ``case_set``.
        case_set: the data set.
        preprocessing: of the images.
        kept: volumes that the check has read, which are not read again.
        stored: gives a case that lies preprocessed on disk, or None; where this is asked, nothing stays in memory.
        once: the cases are looked at once, but for the few that pictures are made of.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        case_set: CaseSet,
        preprocessing: Preprocessing,
        kept: KeptVolumes | None = None,
        stored: Callable[[Case], Item | None] | None = None,
        *,
        once: bool = False,
    ) -> None:
        self.cases = tuple(cases)
        self._most = CACHED_ONCE if once else CACHED_BYTES
        self.case_set = case_set
        self.preprocessing = preprocessing
        self._kept = kept
        self._stored = stored
        self._cache: dict[int, Item] = {}
        self._cached_bytes = 0

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> Item:
        if index in self._cache:
            return self._cache[index]
        if self._stored is not None:
            return self._stored(self.cases[index]) or self._read(index)
        item = self._read(index)
        self._cached_bytes += sum(_bytes(part) for part in item.values())
        if self._cached_bytes < self._most:
            self._cache[index] = item
        return item

    def _read(self, index: int) -> Item:
        return self.preprocessing.read(self.cases[index], self.case_set, label=True, kept=self._kept)


def _bytes(part: Any) -> int:
    """What a part of an item takes in memory."""
    if isinstance(part, ValueMasks):
        return part.values.nbytes
    return part.numel() * part.element_size() if isinstance(part, torch.Tensor) else 0
