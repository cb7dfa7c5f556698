"""Cutting a plan to the time that is there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from segxfer3d.data.planning.fitting import BASE_FEATURES, LEAST_BATCH, LEAST_FEATURES, Candidate
from segxfer3d.data.planning.price import CONVOLUTIONS, REFERENCE_BATCH, small_price
from segxfer3d.data.planning.topology import NO_STEM, Triple, stem_for

FEWEST_STEPS, ENOUGH_STEPS = 250, 10_000
TIMED_BATCH = REFERENCE_BATCH
STEM_FEATURES = 16
_STEPS_POWER = 0.35
_DEARER = 1.5  # than a small step, and still one
_TIMED_SIDE = 16  # voxels below which time does not cut a patch
_STEM_LEVELS = 3  # deep supervision needs a decoder of two stages


def wanted_steps(small: float) -> float:
    """How many steps a time should be divided into.

    The small steps that it is enough for, see :func:`~segxfer3d.data.planning.price.small_price`, at least
    :data:`FEWEST_STEPS` and at most :data:`ENOUGH_STEPS`. Beyond, their number grows with the power of 0.35 of the time
    and the price of one with that of 0.65, which leads to nnU-Net's 250,000 steps of its own plan (price by the same
    count 200 times a small step's for hippocampus, 1000 times for 2 patches of 128^3).

    Tried were half a minute and one minute of one thread, 5 labeled cases of hippocampus and of nodules: 700 to 1500
    small steps behind a stem, and 200 to 400 of features 8 to 64 without. Dice on validation cases was alike for
    hippocampus; for nodules, strongly augmented, it was better behind the stem (one seed). What lies between these and
    nnU-Net's is extrapolated.

    Args:
        small: steps that the time is enough for.
    """
    more = math.pow(max(1.0, small / ENOUGH_STEPS), _STEPS_POWER)
    return max(FEWEST_STEPS, min(small, ENOUGH_STEPS * more))


def fit_time(full: Candidate, *, voxels: float, memory: float) -> Candidate:
    """The dearest candidate of which enough steps fit, see :func:`wanted_steps`; the cheapest where none does.

    A step has at least 4 patches here, also where nnU-Net's guard against overfitting allows 2: few steps see each case
    a few times only. In this order: fewer features (32, 16), a stem (then 32, 16 again), a smaller batch (down to 4), a
    smaller patch (its longest side in millimeters halved, to a power of two; of equal sides the last), a batch of 2.
    Where there can be no stem, features go down to 8 instead.

    Args:
        full: what memory allows.
        voxels: of the reference network that the time is enough for.
        memory: GiB.
    """
    setting, stem = full.setting, _stem(full)
    behind = stem != NO_STEM
    price = small_price(stem=behind, network=setting.network, channels=setting.channels, classes=setting.classes)
    most = _DEARER * voxels / wanted_steps(voxels / price)
    if setting.batch is None:
        full = replace(full, batch=max(full.batch, TIMED_BATCH))
    candidate = full
    for candidate in _cheaper(full, stem):
        if candidate.price <= most and candidate.memory <= memory:
            break
    if candidate.patch == full.patch and candidate.batch < full.batch:
        # between 4 and nnU-Net's
        return replace(candidate, batch=max(candidate.batch, min(full.batch, int(most / candidate.step.price))))
    return candidate


def _stem(full: Candidate) -> Triple:
    """The stem that a short time asks for; what is set by hand stays, and enough levels have to be left."""
    setting = full.setting
    if setting.stem is not None or setting.network not in CONVOLUTIONS:
        return setting.stem or NO_STEM
    if setting.strides or setting.kernels or setting.features:
        return NO_STEM
    stem = stem_for(setting.spacing, full.patch)
    candidate = _behind(full, stem)
    return stem if _fits(candidate) and not (setting.patch and candidate.patch != setting.patch) else NO_STEM


def _behind(full: Candidate, stem: Triple) -> Candidate:
    setting = replace(full.setting, stem=stem)
    return setting.candidate(full.patch, base=BASE_FEATURES, batch=full.batch)


def _fits(candidate: Candidate) -> bool:
    """Whether a stem leaves enough levels."""
    return candidate.topology.stem == NO_STEM or len(candidate.topology.strides) >= _STEM_LEVELS


def _cheaper(full: Candidate, stem: Triple) -> Iterator[Candidate]:
    candidate = full
    yield candidate
    if stem != full.topology.stem:
        yield from _narrower(candidate, STEM_FEATURES)
        candidate = _behind(full, stem)
        yield candidate
    setting = candidate.setting
    for narrower in _narrower(candidate, LEAST_FEATURES if stem == NO_STEM else STEM_FEATURES):
        candidate = narrower
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


def _narrower(candidate: Candidate, least: int) -> Iterator[Candidate]:
    """With half the features, a quarter and so on."""
    setting = candidate.setting
    while setting.may_narrow and candidate.features[0] > least:
        base = max(least, candidate.features[0] // 2)
        candidate = setting.candidate(candidate.patch, base=base, batch=candidate.batch)
        yield candidate


def _halved(candidate: Candidate) -> Triple | None:
    """The longest side in millimeters cut to the next lower power of two; None where all are short."""
    setting, patch = candidate.setting, candidate.patch
    lengths = [round(side * space, 6) for side, space in zip(patch, setting.spacing, strict=True)]
    for axis in sorted(range(3), key=lambda axis: (-lengths[axis], -axis)):
        side = 2 ** ((patch[axis] - 1).bit_length() - 1)  # the power of two below
        x, y, z = (side if other == axis else patch[other] for other in range(3))
        if side < _TIMED_SIDE:
            continue
        smaller = setting.candidate((x, y, z), base=1, batch=1)
        if smaller.patch[axis] < patch[axis] and _fits(smaller):
            return x, y, z
    return None
