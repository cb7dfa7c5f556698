"""Compiled loops over whole labels: classes as one number a voxel, and how often each class is in each row.

All in one file, because Numba's cache would not notice a change in another one.
"""

from __future__ import annotations

import numpy as np

from segxfer3d.augment.compiled import compiled

PIECE = 4096  # voxels that stay in the processor's cache


@compiled
def index_classes(label: np.ndarray, index: np.ndarray, table: np.ndarray, counts: np.ndarray) -> int:
    """Number the sets of classes that occur together: 0 is none of them.

    Args:
        label: (K, R, Z) of 0 and 1, R rows of Z voxels.
        index: (R, Z) unsigned, filled with the number of each voxel's set.
        table: (P, K) float32 zeros, of whose rows each is filled with the set of its number, as 0 and 1.
        counts: (K, R) filled with the voxels of a class in this row and all rows before it.

    Returns:
        How many rows of the table are used, or 0 where it has too few.
    """
    used = 1
    index[:] = 0
    joined = np.empty(len(table), dtype=np.int64)
    for k in range(len(label)):
        joined[:] = 0  # set number and this class: the number of both together, 0 while it has none
        total = 0
        for r in range(label.shape[1]):
            row, numbers = label[k, r], index[r]
            for z in range(len(row)):
                if row[z] > 0.5:
                    total += 1
                    before = np.int64(numbers[z])
                    if joined[before] == 0:
                        if used == len(table):
                            return 0
                        for earlier in range(k):  # element by element: Numba takes 2 s to compile a copied row
                            table[used, earlier] = table[before, earlier]
                        table[used, k] = 1
                        joined[before] = used
                        used += 1
                    numbers[z] = joined[before]
            counts[k, r] = total
    return used


@compiled
def paint(numbers: np.ndarray, table: np.ndarray, label: np.ndarray) -> None:
    """The classes of each voxel, as 0 and 1.

    Args:
        numbers: (V,), numbers of sets of classes.
        table: (P, K), as :func:`index_classes` fills it.
        label: (K, V) float32, filled.
    """
    if len(table) == 2 and len(label) == 1:  # the numbers themselves
        row = label[0]
        for i in range(len(row)):
            row[i] = np.float32(numbers[i])
        return
    for begin in range(0, len(numbers), PIECE):
        piece = numbers[begin : begin + PIECE]
        for k in range(len(label)):
            row, column = label[k, begin : begin + PIECE], table[:, k].copy()
            for i in range(len(piece)):
                row[i] = column[piece[i]]
