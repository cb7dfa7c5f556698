"""Reading the files of one case of volumes, keeping what the check has read, and what a volume takes once resampled."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import nibabel
import numpy as np

from segxfer3d.data.case import Case
from segxfer3d.data.io import guard
from segxfer3d.data.io.volumes import Volume
from segxfer3d.data.preprocessing.loaded_channels import load_channels
from segxfer3d.data.preprocessing.loaded_labels import load_label
from segxfer3d.data.preprocessing.protocol import memory_limit
from segxfer3d.errors import InputError

KEPT_SHARE = 0.1  # of the machine's memory that kept volumes may take, and
KEPT_BYTES = 2**30  # beside what trains, whose memory is flat
_VOXEL = 4  # bytes of float32
_MANY = 8  # voxels along an axis, more than one can stand for


class LoadedVolume(NamedTuple):
    """A case in memory, on its files' own grids and in their own types: the first channel of its image, its label if it
    has one, and the other channels, on the grid of the first."""

    image: Volume
    label: Volume | None
    further: tuple[Volume, ...] = ()

    @property
    def channels(self) -> tuple[Volume, ...]:
        """All channels of the image."""
        return (self.image, *self.further)

    @property
    def bytes(self) -> int:
        """What all of it takes."""
        held = sum(channel.array.nbytes for channel in self.channels)
        return held + (0 if self.label is None else self.label.array.nbytes)


def load_volume(case: Case, *, label: bool = True) -> LoadedVolume:
    """Read the files of a case; its label on its image's grid, see :mod:`~segxfer3d.data.io.turned_labels`, and with
    the values that ``label_map`` says.

    Args:
        case: a volume.
        label: read the label too, where there is one.

    Raises:
        InputError: what :func:`~segxfer3d.data.io.volumes.read_channels` refuses; channels on different grids, or that
            are picked and not there.
    """
    first, *further = load_channels(case)
    if not label or case.label is None:
        return LoadedVolume(first, None, tuple(further))
    return LoadedVolume(first, load_label(case, first), tuple(further))


class KeptVolumes:
    """Cases that the check has read, kept until they are needed, so that their files are not read twice.

    They are kept as the files store them, which is the least that they can take, and as many as there is room for:
    the first ones. A copy in another process has none.

    Args:
        limit: bytes that may be taken; by default :data:`KEPT_SHARE` of the machine's memory, :data:`KEPT_BYTES` at
            most.
    """

    def __init__(self, limit: float | None = None) -> None:
        self.room = min(KEPT_SHARE * guard.memory(), KEPT_BYTES) if limit is None else limit
        self._cases: dict[Case, LoadedVolume] = {}
        self._lock = threading.Lock()

    def __call__(self, case: Case, loaded: LoadedVolume) -> None:
        """Keep a case, if there is room."""
        with self._lock:
            if loaded.bytes <= self.room:
                self._cases[case] = loaded
                self.room -= loaded.bytes

    def __len__(self) -> int:
        return len(self._cases)

    def __contains__(self, case: Case) -> bool:
        """Whether a case is here as the check has read it."""
        with self._lock:
            return case in self._cases

    def get(self, case: Case) -> LoadedVolume:
        """A case, which stays if it was kept, and is read if it was not; its arrays must not be changed."""
        with self._lock:
            kept = self._cases.get(case)
        return load_volume(case) if kept is None else kept

    def take(self, case: Case, *, label: bool = True) -> LoadedVolume:
        """A case, which is kept no longer, and is read if it was not."""
        with self._lock:
            kept = self._cases.pop(case, None)
            self.room += 0 if kept is None else kept.bytes
        return load_volume(case, label=label) if kept is None else kept

    def drop(self, cases: Iterable[Case]) -> None:
        """Keep these no longer."""
        with self._lock:
            for case in cases:
                kept = self._cases.pop(case, None)
                self.room += 0 if kept is None else kept.bytes

    def __reduce__(self) -> tuple[Any, ...]:
        return KeptVolumes, (0,)


def require_room(path: Path, volume: Volume, spacing: tuple[float, float, float] | None, *, channels: int = 1) -> None:
    """Make sure that a volume fits in memory once it is resampled, and that something is left of it.

    Args:
        path: of the volume, for the message.
        volume: on its file's grid.
        spacing: millimeters along x, y and z (RAS+) that it will be resampled to; None for none.
        channels: that there are of it.

    Raises:
        InputError: it would not; or a single voxel would be left, as where a file has meters and says
            millimeters.
    """
    if spacing is None:
        return
    axes = np.argsort(nibabel.orientations.io_orientation(volume.affine)[:, 0])
    shape = [round(volume.array.shape[axis] * volume.spacing[axis] / s) for axis, s in zip(axes, spacing, strict=True)]
    size = math.prod(max(1, side) for side in shape) * _VOXEL * channels
    before, after = ("x".join(map(str, sides)) for sides in (volume.array.shape, (max(1, side) for side in shape)))
    becomes = f"would become {after} at the spacing {' '.join(f'{s:g}' for s in spacing)} (mm)"
    if size > memory_limit():
        raise InputError(
            f"{path}: {before} voxels {becomes}, {size / 2**30:.4g} GiB; this machine has {guard.memory() / 2**30:.3g}"
        )
    if max(shape) < 2 and max(volume.array.shape) >= _MANY:
        sides = "x".join(f"{side:.4g}" for side in volume.spacing)
        raise InputError(
            f"{path}: {before} voxels of {sides} mm {becomes}, which leaves nothing; expected voxel sizes in "
            "millimeters, and a smaller --spacing where it is set"
        )
