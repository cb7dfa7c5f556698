"""What differs between images and volumes, as one protocol."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from segxfer3d.data.case import Case, CaseSet

if TYPE_CHECKING:
    from torch import Tensor

    from segxfer3d.data.preprocessing.loaded_volumes import KeptVolumes

MEMORY_SHARE = 0.6  # of the machine's memory that cases held in memory may take

Item = dict[str, Any]


class Preprocessing(Protocol):
    """From a case's files to the network and back; the same for every job, and saved with every checkpoint.

    Attributes:
        dims: 2 for images, 3 for volumes.
        unit: what a label's size is counted in: ``pixels`` or ``mm3``.
    """

    @property
    def dims(self) -> int: ...

    @property
    def unit(self) -> str: ...

    def hold(
        self,
        cases: Sequence[Case],
        case_set: CaseSet,
        *,
        labels: bool,
        progress: bool,
        size: int | None = None,
        kept: KeptVolumes | None = None,
    ) -> Sequence[Item]:
        """Cases in memory, in the form that trains: ``image`` (C, *spatial), with ``label`` (K, *spatial) on its grid.

        Args:
            cases: of ``case_set``, or a part of them.
            case_set: says how the files are read and which classes there are.
            labels: hold the labels too, which all cases must have.
            progress: show a bar.
            size: pixels of a side of images, where it is not what the network sees.
            kept: volumes that the check has read, which are not read again.

        Raises:
            InputError: cases that do not fit in memory, or a file that cannot be read.
        """
        ...

    def read(self, case: Case, case_set: CaseSet, *, label: bool, kept: KeptVolumes | None = None) -> Item:
        """One whole case: ``image`` (C, *spatial) float32 as the network takes it, ``case`` and ``patient`` (names),
        and what :meth:`restore` needs; with ``label`` also ``label``, on the file's own grid: of images (K, *spatial)
        with ``valid``, of volumes :class:`~segxfer3d.data.preprocessing.class_masks.ValueMasks`. What is in ``kept`` is
        not read again.

        Raises:
            InputError: a file that cannot be read.
        """
        ...

    def to_unit(self, image: Tensor) -> Tensor:
        """An image of :meth:`read` in [0, 1], for eyes."""
        ...

    def restore(self, probabilities: Tensor, item: Item) -> Tensor:
        """A prediction (K, *spatial) for an item of :meth:`read`, brought to the file's own grid, within [0, 1]."""
        ...

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for checkpoints."""
        ...


def memory_limit() -> float:
    """Bytes that cases held in memory may take."""
    return MEMORY_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
