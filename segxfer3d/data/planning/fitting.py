"""Cutting a plan to the memory and to the time that are there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from segxfer3d.data.planning.fingerprint import Spacing
from segxfer3d.data.planning.price import REFERENCE_BATCH, REFERENCE_PATCH, Step, count_step
from segxfer3d.data.planning.topology import (
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
FEWEST_STEPS = 250
TIMED_BATCH = REFERENCE_BATCH
_STEPS_POWER = 0.6
_TIMED_SIDE = 16  # voxels below which time does not cut a patch
_STEP_VOXELS = REFERENCE_BATCH * math.prod(REFERENCE_PATCH)  # of a step that is worth taking


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

    @property
    def may_narrow(self) -> bool:
        """Whether features may be fewer: nobody set them, or the first of them, by hand."""
        return self.features is None and self.width is None

    def topology(self, patch: Triple) -> Topology:
        """The levels for a patch, as far as they are not set by hand."""
        if self.strides is None:
            planned = plan_topology(self.spacing, patch)
        else:
            planned = Topology(self.strides, kernels_along(self.spacing, self.strides))
        return planned if self.kernels is None else Topology(planned.strides, self.kernels)

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


def wanted_steps(voxels: float) -> float:
    """How many steps a time should be divided into.

    :data:`FEWEST_STEPS`, and where there is time for more than as many steps of 4 patches of 32x32x16, most of the
    surplus goes into more steps: their number grows with its power of 0.6, the price of one with its power of 0.4. That
    lies between two points that are known: these steps, and nnU-Net's 250,000 of its own plan, whose price by the same
    count is 80 times (hippocampus) to 400 times as high (2 patches of 128^3). In between nothing was measured.

    Args:
        voxels: of the reference network that the time is enough for.
    """
    return FEWEST_STEPS * math.pow(max(1.0, voxels / (FEWEST_STEPS * _STEP_VOXELS)), _STEPS_POWER)


def fit_time(full: Candidate, *, voxels: float, memory: float) -> Candidate:
    """The dearest candidate of which enough steps fit, see :func:`wanted_steps`; the cheapest where none does.

    A step has at least 4 patches here, also where nnU-Net's guard against overfitting allows 2: few steps see each case
    a few times only. In this order: fewer features (32, 16, 8), a smaller batch (down to 4), a smaller patch (its
    longest side in millimeters halved, to a power of two; of equal sides the last), a batch of 2.

    Args:
        full: what memory allows.
        voxels: of the reference network that the time is enough for.
        memory: GiB.
    """
    most = voxels / wanted_steps(voxels)
    if full.setting.batch is None:
        full = replace(full, batch=max(full.batch, TIMED_BATCH))
    candidate = full
    for candidate in _cheaper(full):
        if candidate.price <= most and candidate.memory <= memory:
            break
    if candidate.patch == full.patch and candidate.batch < full.batch:
        # between 4 and nnU-Net's
        return replace(candidate, batch=max(candidate.batch, min(full.batch, int(most / candidate.step.price))))
    return candidate


def _cheaper(full: Candidate) -> Iterator[Candidate]:
    setting, candidate = full.setting, full
    yield candidate
    while setting.may_narrow and candidate.features[0] > LEAST_FEATURES:
        base = max(LEAST_FEATURES, candidate.features[0] // 2)
        candidate = setting.candidate(candidate.patch, base=base, batch=candidate.batch)
        yield candidate
    if setting.batch is None and candidate.batch > TIMED_BATCH:
        candidate = replace(candidate, batch=TIMED_BATCH)
        yield candidate
    if setting.patch is None:
        while (patch := _halved(candidate)) is not None:
            candidate = candidate.smaller(patch)
            yield candidate
    if setting.batch is None and candidate.batch > LEAST_BATCH:
        yield replace(candidate, batch=LEAST_BATCH)


def _halved(candidate: Candidate) -> Triple | None:
    """The longest side in millimeters cut to the next lower power of two; None where all are short."""
    setting, patch = candidate.setting, candidate.patch
    lengths = [round(side * space, 6) for side, space in zip(patch, setting.spacing, strict=True)]
    for axis in sorted(range(3), key=lambda axis: (-lengths[axis], -axis)):
        side = 2 ** ((patch[axis] - 1).bit_length() - 1)  # the power of two below
        x, y, z = (side if other == axis else patch[other] for other in range(3))
        if side >= _TIMED_SIDE and setting.candidate((x, y, z), base=1, batch=1).patch[axis] < patch[axis]:
            return x, y, z
    return None
