"""Training patches of the recipe ``paper``: what MONAI's transforms draw and make, without what they cost.

MONAI's pipeline (pad, crop by label, three flips, scale, shift) draws these patches; on small ones its metadata took a
tenth of a training step, and finding a label's voxels anew for each patch takes seconds in a large CT. Here the random
numbers are the same, bit for bit, and so are the patches; a test compares.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.transforms import Randomizable, Transform
from monai.transforms.transform import MAX_SEED
from numpy.typing import NDArray
from torch import Tensor

from segxfer3d.augment.stored_masks import StoredMasks

KEYS = ("image", "label", "valid")
FLIP, SCALE, SHIFT = 0.5, 0.5, 0.5  # chances
FACTOR, OFFSET = 0.1, 0.05
# the steps that draw, each from a random state of its own: the crop, three flips, scale, shift; of these two MONAI has
# one transform to decide and another, seeded alike, to draw how much
_STEPS = (1, 1, 1, 1, 2, 2)


@dataclass(frozen=True)
class PatchDraw:
    """What was drawn for one patch.

    Attributes:
        start: first voxel of the patch; of a volume that is smaller than it, in the padded volume.
        flips: the axes (0, 1, 2) that are turned around.
        factor: that intensities are multiplied by; None where they stay.
        offset: that is added then; None where nothing is.
    """

    start: tuple[int, ...]
    flips: tuple[int, ...]
    factor: float | None
    offset: float | None


class PaperPatches(Randomizable, Transform):
    """One random patch of a volume and its label, anew at each call; see
    :func:`~segxfer3d.augment.patches.labeled_patches`.

    As in MONAI's crop, a label of several channels counts as one-hot with the background first: where there are two
    classes or more, the first one's voxels count as background. The recipe ``paper`` keeps that.

    Where some voxels do not count (``valid``), MONAI's crop would center patches on those, too, and a patch of nothing
    else teaches nothing: other patches than those on foreground then lie around a voxel that counts, as nnU-Net's do.

    Args:
        size: of the patch, in voxels.
        foreground_share: share of the patches that are centered on foreground, 0 to 1.
        mirror_axes: those (0, 1, 2) that may be turned around. What is drawn for the others is drawn and not used, so
            that everything else is the same whatever they are.
    """

    def __init__(self, size: Sequence[int], foreground_share: float, mirror_axes: Sequence[int] = (0, 1, 2)) -> None:
        self.size = tuple(int(side) for side in size)
        self.foreground_share = float(foreground_share)
        self.mirror_axes = tuple(mirror_axes)
        self._states = [[np.random.RandomState(0) for _ in range(count)] for count in _STEPS]
        # id of a label, or of its valid mask -> that, and how many voxels of each of its planes are foreground, or
        # count and are none
        self._counted: dict[int, tuple[weakref.ref[Tensor], NDArray[np.int64]]] = {}
        self.set_random_state()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_counted": {}}

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> PaperPatches:
        """Seed every step, as MONAI's ``Compose`` does."""
        super().set_random_state(seed, state)
        for states in self._states:
            step_seed = int(self.R.randint(MAX_SEED, dtype="uint32"))
            for own in states:
                own.seed(step_seed)
        return self

    def randomize(self, data: Tensor | StoredMasks, valid: Tensor | StoredMasks | None = None) -> PatchDraw:
        """The next patch of a volume with this label, (K, X, Y, Z), of which ``valid``, (1, X, Y, Z), counts."""
        (crop,), *flips, scale, shift = self._states
        start = self._start(crop, data, valid)
        turned = tuple(axis for axis, (own,) in enumerate(flips) if own.rand() < FLIP and axis in self.mirror_axes)
        factor, offset = _amount(scale, SCALE, FACTOR), _amount(shift, SHIFT, OFFSET)
        return PatchDraw(start, turned, None if factor is None else 1 + factor, offset)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Tensor]:
        """The patch (C, *size) of ``image`` (C, X, Y, Z) and of ``label`` (K, X, Y, Z), plain tensors of their own."""
        drawn = self.randomize(data["label"], data.get("valid"))
        patch: dict[Hashable, Tensor] = {}
        for key in (key for key in KEYS if key in data):
            cropped = _crop(_plain(data[key]), drawn.start, self.size)
            patch[key] = cropped.flip([axis + 1 for axis in drawn.flips]) if drawn.flips else cropped.clone()
        if drawn.factor is not None:
            patch["image"].mul_(drawn.factor)
        if drawn.offset is not None:
            patch["image"].add_(drawn.offset)
        return patch

    def _start(
        self, state: np.random.RandomState, label: Tensor | StoredMasks, valid: Tensor | StoredMasks | None
    ) -> tuple[int, ...]:
        """The patch around a voxel of the padded volume, moved inside."""
        counts = self._counts(label)
        shape = tuple(label.shape[1:])
        padded = tuple(max(side, length) for side, length in zip(self.size, shape, strict=True))
        found = _in_padded(counts, padded[0])
        others = np.prod(padded[1:], dtype=np.int64) - found
        if valid is not None and (counting := self._others(label, valid)).any() | found.any():
            others = _in_padded(counting, padded[0])
        else:
            valid = None  # resampling may leave nothing that counts
        total, rest = int(found.sum()), int(others.sum())
        share = self.foreground_share if total and rest else float(total > 0)
        foreground = state.rand() < share
        number = int(state.randint(total if foreground else rest))
        planes = found if foreground else others
        x = int(np.searchsorted(np.cumsum(planes), number, side="right"))
        known = _plain(label), None if valid is None else _plain(valid)
        plane = _plane(*known, x, padded, foreground=foreground, shows=bool(found[x]))
        index = np.flatnonzero(plane)[number - int(planes[:x].sum())]
        center = (x, *(int(i) for i in np.unravel_index(index, padded[1:])))
        middles = zip(center, self.size, padded, strict=True)
        return tuple(min(max(c - side // 2, 0), length - side) for c, side, length in middles)

    def _counts(self, label: Tensor | StoredMasks) -> NDArray[np.int64]:
        """Foreground voxels of each plane, counted once a label."""
        if isinstance(label, StoredMasks):
            return label.counts(*_foreground(label))
        return self._once(label, lambda: _marked(label.as_subclass(Tensor)))

    def _others(self, label: Tensor | StoredMasks, valid: Tensor | StoredMasks) -> NDArray[np.int64]:
        """Voxels of each plane that count and are no foreground, counted once a mask."""
        if isinstance(valid, StoredMasks) and isinstance(label, StoredMasks):
            return valid.counts(0, without=[label.channels[0] + k for k in _foreground(label)])
        assert isinstance(valid, Tensor)
        assert isinstance(label, Tensor)
        return self._once(valid, lambda: _counting(label.as_subclass(Tensor), valid.as_subclass(Tensor)))

    def _once(self, mask: Tensor, marked: Callable[[], Tensor]) -> NDArray[np.int64]:
        known = self._counted.get(id(mask))
        if known is not None and known[0]() is mask:
            return known[1]
        counts: NDArray[np.int64] = marked().flatten(1).sum(1).numpy().astype(np.int64)
        self._counted = {key: entry for key, entry in self._counted.items() if entry[0]() is not None}
        self._counted[id(mask)] = (weakref.ref(mask), counts)
        return counts


def _amount(states: Sequence[np.random.RandomState], chance: float, most: float) -> float | None:
    """A number from -most to most, with that chance."""
    decides, draws = states
    if decides.rand() >= chance:
        return None
    draws.rand()
    return float(draws.uniform(-most, most))


def _plain(value: Tensor | StoredMasks) -> Tensor | StoredMasks:
    """Without what MONAI keeps with a tensor."""
    return value if isinstance(value, StoredMasks) else value.as_subclass(Tensor)


def _marked(label: Tensor) -> Tensor:
    """Where (X, Y, Z) a label (K, X, Y, Z) is foreground to MONAI."""
    return (label if len(label) == 1 else label[1:]).ne(0).any(0)


def _foreground(label: Sized) -> range:
    """The channels of a label that are foreground to MONAI."""
    return range(len(label))[len(label) > 1 :]


def _counting(label: Tensor, valid: Tensor) -> Tensor:
    """Where (X, Y, Z) a voxel counts and is no foreground to MONAI."""
    return valid[0].ne(0) & ~_marked(label)


def _in_padded(planes: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Numbers of the planes of a volume as those of the padded volume."""
    result = np.zeros(length, dtype=np.int64)
    first = (length - len(planes)) // 2
    result[first : first + len(planes)] = planes
    return result


def _plane(
    label: Tensor | StoredMasks, valid: Tensor | StoredMasks | None, x: int, padded: tuple[int, ...],
    *, foreground: bool, shows: bool,
) -> NDArray[np.bool_]:  # fmt: skip
    """Where a plane (Y, Z) of the padded volume is foreground, or where it is not, of what counts.

    Args:
        label, valid: of the volume.
        x: number of the plane.
        padded: shape of the padded volume.
        foreground: which of the two.
        shows: whether the plane shows foreground; where it does not, and all counts, it need not be looked at.
    """
    before = [(length - side) // 2 for length, side in zip(padded, label.shape[1:], strict=True)]
    inside = tuple(slice(b, b + n) for b, n in zip(before[1:], label.shape[2:], strict=True))
    plane = np.full(padded[1:], not foreground and valid is None, dtype=bool)
    if shows or valid is not None:
        here = label[:, x - before[0]].unsqueeze(1)
        if foreground:
            plane[inside] = _marked(here)[0].numpy()
        elif valid is None:
            plane[inside] = ~_marked(here)[0].numpy()
        else:
            plane[inside] = _counting(here, valid[:, x - before[0]].unsqueeze(1))[0].numpy()
    return plane


def _crop(volume: Tensor | StoredMasks, start: Sequence[int], size: Sequence[int]) -> Tensor:
    """A patch (C, *size) of a volume (C, *spatial) that lies in the middle of zeros where it is smaller."""
    first = [s - max(0, (n - m) // 2) for s, n, m in zip(start, size, volume.shape[1:], strict=True)]
    ends = [f + n for f, n in zip(first, size, strict=True)]
    source = tuple(slice(max(f, 0), e) for f, e in zip(first, ends, strict=True))
    inside = volume[(slice(None), *source)]
    if inside.shape[1:] == torch.Size(size):
        return inside
    patch = inside.new_zeros((len(volume), *size))
    target = tuple(slice(max(-f, 0), max(-f, 0) + n) for f, n in zip(first, inside.shape[1:], strict=True))
    patch[(slice(None), *target)] = inside
    return patch
