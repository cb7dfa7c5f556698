"""Preprocessed volumes on disk, as items that patches and cubes are drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import overload

import torch

from segxfer3d.augment.stored_masks import StoredMasks
from segxfer3d.data.preprocessing.protocol import Item
from segxfer3d.data.store.entry import entry_array
from segxfer3d.data.store.place import IMAGES, LABELS, VolumeStore


class StoredVolumes(Sequence[Item]):
    """Items whose voxels stay on disk until they are looked at.

    Each has ``image`` (C, X, Y, Z) float32, a map of its file, and, of labeled cases, ``label`` and perhaps ``valid``,
    :class:`~segxfer3d.augment.stored_masks.StoredMasks`. A map is closed when its item goes. Loader processes have maps
    of their own, of the same memory.

    Args:
        store: where they are.
        keys: of each item, kind -> key of its entries.
        classes: channels of a label.
        ignores: whether some voxels do not count.
    """

    def __init__(self, store: VolumeStore, keys: Sequence[Mapping[str, str]], *, classes: int, ignores: bool) -> None:
        self.store = store
        self.keys = tuple(keys)
        self.classes = classes
        self.ignores = ignores

    def part(self, numbers: Sequence[int]) -> StoredVolumes:
        """Some of the items."""
        keys = [self.keys[number] for number in numbers]
        return StoredVolumes(self.store, keys, classes=self.classes, ignores=self.ignores)

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> StoredVolumes: ...
    def __getitem__(self, index: int | slice) -> Item | StoredVolumes:
        if isinstance(index, slice):
            return self.part(range(len(self))[index])
        keys = self.keys[index]
        image = self.store.path(IMAGES, keys[IMAGES])
        item: Item = {"image": torch.from_numpy(entry_array(image, "image"))}
        if LABELS in keys:
            label = self.store.path(LABELS, keys[LABELS])
            numbers, table, planes = (entry_array(label, name) for name in ("index", "table", "planes"))
            masks = StoredMasks(numbers, table, planes, (0, table.shape[1]))
            item["label"] = masks.part(0, self.classes)
            if self.ignores:
                item["valid"] = masks.part(self.classes, table.shape[1])
        return item
