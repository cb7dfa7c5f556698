"""Candidates for a plan, and cutting them to the memory that is there."""

from __future__ import annotations

import math
from dataclasses import dataclass

from segxfer3d.data.planning.fingerprint import Spacing
from segxfer3d.data.planning.price import Step, count_step
from segxfer3d.data.planning.topology import (
    NO_STEM,
    SMALLEST_MAP,
    Topology,
    Triple,
    kernels_along,
    padded,
    plan_topology,
)
from segxfer3d.errors import InputError

GIB = 2**30
BASE_FEATURES, LEAST_FEATURES, MOST_FEATURES = 32, 8, 320
LEAST_BATCH = 2  # of nnU-Net


@dataclass(frozen=True)
class Setting:
    """What all candidates of a plan share.

    Attributes:
        spacing: millimeters.
        shape: median voxels of the cases at that spacing.
        network: whose convolutions are counted.
        channels: of a volume.
        classes: foreground classes.
        amp: mixed precision.
        patch: set by hand, else None; and so on.
    """

    spacing: Spacing
    shape: tuple[float, float, float]
    network: str = "plain_unet"
    channels: int = 1
    classes: int = 1
    amp: bool = False
    patch: Triple | None = None
    batch: int | None = None
    strides: tuple[Triple, ...] | None = None
    kernels: tuple[Triple, ...] | None = None
    features: tuple[int, ...] | None = None
    width: int | None = None
    stem: Triple | None = None

    @property
    def may_narrow(self) -> bool:
        """Whether features may be fewer: nobody set them, or the first of them, by hand."""
        return self.features is None and self.width is None

    def topology(self, patch: Triple) -> Topology:
        """The levels for a patch, as far as they are not set by hand."""
        stem = self.stem or NO_STEM
        if self.strides is None:
            planned = plan_topology(self.spacing, patch, stem)
        else:
            planned = Topology(self.strides, kernels_along(self.spacing, self.strides, stem), stem)
        return planned if self.kernels is None else Topology(planned.strides, self.kernels, stem)

    def candidate(self, patch: Triple, *, base: int, batch: int) -> Candidate:
        """A plan with the patch, made larger where the strides do not divide it.

        Raises:
            InputError: features or kernels set by hand that are not as many as the levels.
        """
        topology = self.topology(patch)
        levels = len(topology.strides)
        first = self.width or base
        features = self.features or tuple(min(max(first, MOST_FEATURES), first * 2**level) for level in range(levels))
        for name, values in (("features", features), ("kernels", topology.kernels)):
            if len(values) != levels:
                raise InputError(f"{name}: expected {levels}, one for each level of the strides, got {len(values)}")
        return Candidate(self, padded(patch, topology.divisor), topology, features, self.batch or batch)


@dataclass(frozen=True)
class Candidate:
    """Values that belong together."""

    setting: Setting
    patch: Triple
    topology: Topology
    features: tuple[int, ...]
    batch: int

    @property
    def step(self) -> Step:
        """What one of its patches costs."""
        setting = self.setting
        return count_step(
            self.patch,
            self.topology,
            features=self.features,
            network=setting.network,
            channels=setting.channels,
            classes=setting.classes,
        )

    @property
    def memory(self) -> float:
        """GiB that training takes."""
        return self.step.memory(self.batch, amp=self.setting.amp) / GIB

    @property
    def price(self) -> float:
        """Of a step, in voxels of the reference network."""
        return self.batch * self.step.price

    def smaller(self, patch: Triple) -> Candidate:
        """With another patch."""
        return self.setting.candidate(patch, base=self.features[0], batch=self.batch)


def fit_memory(start: Candidate, memory: float) -> Candidate:
    """Shrink the patch, as nnU-Net does, until it fits; then halve the features.

    Args:
        start: with the least batch.
        memory: GiB.

    Raises:
        InputError: the smallest plan does not fit either; what it takes is named.
    """
    candidate, setting = start, start.setting
    while candidate.memory > memory:
        patch = None if setting.patch else _shrunk(candidate)
        if patch is not None:
            candidate = candidate.smaller(patch)
        elif setting.may_narrow and candidate.features[0] > LEAST_FEATURES:
            candidate = setting.candidate(candidate.patch, base=candidate.features[0] // 2, batch=candidate.batch)
        else:
            raise InputError(
                f"memory: {memory:.3g} GiB are too few; patches of {'x'.join(map(str, candidate.patch))} with "
                f"batch_size {candidate.batch} and features from {candidate.features[0]} take about "
                f"{candidate.memory:.2g} GiB"
            )
    return candidate


def _shrunk(candidate: Candidate) -> Triple | None:
    """A step smaller along the axis that is largest against the data; None where no axis can shrink."""
    setting, patch = candidate.setting, candidate.patch
    divisor = candidate.topology.divisor
    shares = [side / most for side, most in zip(patch, setting.shape, strict=True)]
    for axis in sorted(range(3), key=lambda axis: -shares[axis]):
        lower = list(patch)
        lower[axis] -= divisor[axis]
        if lower[axis] < SMALLEST_MAP:
            continue
        # with fewer levels smaller steps are possible: 224 after 256, not 192
        x, y, z = lower
        lower[axis] = patch[axis] - setting.topology((x, y, z)).divisor[axis]
        x, y, z = lower
        if math.prod(padded((x, y, z), setting.topology((x, y, z)).divisor)) < math.prod(patch):
            return x, y, z
    return None
