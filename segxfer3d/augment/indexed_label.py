"""A label as one number a voxel, and a random voxel of a class of it: made once a case."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from segxfer3d.augment.kernels.labels import index_classes
from segxfer3d.errors import InputError

_SIZES = (2**8, 2**16)


@dataclass(frozen=True)
class IndexedLabel:
    """Which sets of classes occur together, and where.

    A voxel takes one or two bytes, however many classes there are and whether or not they overlap. For each class the
    voxels are counted row by row, so that any of them is found without a list of all.

    Attributes:
        index: (X, Y, Z) uint8 or uint16, the number of each voxel's set of classes; 0 is none.
        table: (P, K) float32, the set of each number, as 0 and 1.
        counts: (K, X * Y), the voxels of a class in a row and in all rows before it.
    """

    index: np.ndarray
    table: np.ndarray
    counts: np.ndarray

    @staticmethod
    def of(label: np.ndarray) -> IndexedLabel:
        """The index of a label (K, X, Y, Z) of 0 and 1.

        Raises:
            InputError: more than 65535 sets of classes occur together.
        """
        classes, *shape = label.shape
        rows = label.reshape(classes, shape[0] * shape[1], shape[2])
        counts = np.empty(rows.shape[:2], dtype=np.int64)
        for size in _SIZES:
            index = np.empty(shape, dtype=np.uint8 if size == _SIZES[0] else np.uint16)
            table = np.zeros((size, classes), dtype=np.float32)
            if used := index_classes(rows, index.reshape(rows.shape[1:]), table, counts):
                return IndexedLabel(index, table[:used].copy(), counts)
        raise InputError(f"label: {classes} classes overlap in more than {_SIZES[-1] - 1} ways; expected fewer")

    def random_voxel(self, which: float, where: float, *, classes: int) -> tuple[int, int, int] | None:
        """A voxel of a class, both drawn evenly: first a class of those that occur, then one of its voxels.

        Args:
            which, where: in [0, 1), that choose the class and its voxel.
            classes: the first so many channels are classes.

        Returns:
            Its place, or None where no class occurs.
        """
        totals = self.counts[:classes, -1]
        present = np.flatnonzero(totals)
        if not len(present):
            return None
        return self.voxel_of(int(present[int(which * len(present))]), where)

    def voxel_of(self, k: int, where: float) -> tuple[int, int, int] | None:
        """A voxel of channel ``k``, drawn evenly by ``where`` in [0, 1); None where it has none."""
        total = self.counts[k, -1]
        if not total:
            return None
        number = int(where * total)
        row = int(np.searchsorted(self.counts[k], number, side="right"))
        before = int(self.counts[k, row - 1]) if row else 0
        x, y = divmod(row, self.index.shape[1])
        inside = np.flatnonzero(self.table[self.index[x, y], k])
        return x, y, int(inside[number - before])


class IndexedLabels:
    """The indices of labels that stay in memory, each made when it is first asked for.

    A label that has been changed in place is indexed again; one that is gone is forgotten.
    """

    def __init__(self) -> None:
        self._known: MutableMapping[Tensor, tuple[int, IndexedLabel]] = WeakIdKeyDictionary()

    def __getstate__(self) -> dict[str, object]:
        return {}  # another process indexes for itself: an identity means nothing there

    def __setstate__(self, _: dict[str, object]) -> None:
        self.__init__()  # type: ignore[misc]

    def __call__(self, key: Tensor, masks: Callable[[], np.ndarray]) -> IndexedLabel:
        """The index of the masks (K, X, Y, Z) that belong to a tensor."""
        known = self._known.get(key)
        if known is None or known[0] != key._version:
            known = (key._version, IndexedLabel.of(masks()))
            self._known[key] = known
        return known[1]
