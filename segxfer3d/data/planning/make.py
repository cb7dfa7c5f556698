"""A plan from a fingerprint: nnU-Net's rules, then what memory and time leave of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from segxfer3d.data.planning.fingerprint import Fingerprint, Spacing
from segxfer3d.data.planning.fitting import (
    BASE_FEATURES,
    GIB,
    LEAST_BATCH,
    MOST_FEATURES,
    Candidate,
    Setting,
    fit_memory,
)
from segxfer3d.data.planning.intensities import plan_intensities
from segxfer3d.data.planning.plan import Plan, triple
from segxfer3d.data.planning.timing import TIMED_BATCH, fit_time
from segxfer3d.data.planning.topology import (
    NO_STEM,
    SMALLEST_MAP,
    Triple,
    first_patch,
    median_shape,
    next_sizes,
    sides,
    target_spacing,
)
from segxfer3d.errors import InputError

COVERED = 0.05  # of the training voxels that a step may see at most, a guard of nnU-Net against overfitting
LEVELS = 3  # of a network that may be supervised deeply
BY_HAND = "set by hand"


def make_plan(
    fingerprint: Fingerprint,
    *,
    memory: float,
    minutes: float | None = None,
    voxels_per_second: float | None = None,
    network: str = "plain_unet",
    amp: bool = False,
    fixed: Mapping[str, Any] | None = None,
    sources: Mapping[str, str] | None = None,
) -> Plan:
    """Plan a training as nnU-Net does (Isensee et al. 2021, Nature Methods 18), then cut it to memory and time.

    Args:
        fingerprint: of the cases whose labels train.
        memory: GiB that a training step may take.
        minutes: of training; None: as long as it takes, which is nnU-Net's own plan.
        voxels_per_second: of patches that the device trains the reference network with (plain U-Net, features 8 to 64,
            4 patches of 32x32x16); needed with ``minutes``.
        network: ``plain_unet`` or ``resenc_unet``, whose levels are planned; any other counts as a plain U-Net, and its
            ``strides`` and ``features`` are handed in as ``fixed``.
        amp: mixed precision, which takes less memory.
        fixed: option -> value that is not planned, one of :data:`FIXABLE`; None leaves the value to the plan.
        sources: option -> where such a value comes from, as a reason of the plan; by hand where nothing is said.

    Raises:
        InputError: a value set by hand that cannot be used; a plan that does not fit in memory, with what would; sides
            of a patch that the strides do not divide, with the next sizes.
    """
    values = _by_hand(fixed or {})
    if minutes is not None and not (minutes > 0 and voxels_per_second and voxels_per_second > 0):
        raise InputError(
            f"minutes: expected minutes and voxels_per_second above 0, got {minutes:g} and {voxels_per_second}"
        )
    reasons: dict[str, str] = {}
    spacing = _spacing(fingerprint, values, reasons)
    setting = Setting(
        spacing=spacing,
        shape=median_shape(fingerprint.shapes, fingerprint.spacings, spacing),
        network=network,
        channels=fingerprint.channels,
        classes=fingerprint.classes,
        amp=amp,
        patch=values.get("patch_size"),
        batch=values.get("batch_size"),
        strides=values.get("strides"),
        kernels=values.get("kernels"),
        features=values.get("features"),
        width=values.get("width"),
        stem=values.get("stem"),
    )
    first = setting.candidate(
        setting.patch or first_patch(spacing, setting.shape), base=BASE_FEATURES, batch=LEAST_BATCH
    )
    _refuse_patch(setting, first)
    fitting = _fitting(first, memory)
    _refuse_flat(first, fitting, memory)
    full = replace(fitting, batch=setting.batch or _batch(fitting, memory, len(fingerprint.shapes)))
    chosen, steps = full, None
    if minutes is not None and voxels_per_second:
        voxels = 60 * minutes * voxels_per_second
        chosen = fit_time(full, voxels=voxels, memory=memory)
        steps = max(1, int(voxels / chosen.price))
    _explain(reasons, values, cuts=(first, full, chosen), memory=memory, cases=len(fingerprint.shapes))
    if minutes is not None:
        reasons["steps"] = f"about as many fit in {minutes:g} min on this device"
    reasons["memory"] = f"estimated; {memory:.3g} GiB may be used"
    reasons.update({name: text for name, text in (sources or {}).items() if name in values})
    intensity, *further = plan_intensities(fingerprint, values, reasons)
    return Plan(
        spacing=spacing,
        patch_size=chosen.patch,
        batch_size=chosen.batch,
        strides=chosen.topology.strides,
        kernels=chosen.topology.kernels,
        features=chosen.features,
        intensity=intensity,
        mirror_axes=fingerprint.mirror_axes,
        reasons=reasons,
        memory=round(chosen.memory, 3),
        steps=steps,
        stem=chosen.topology.stem,
        network=network,
        further=tuple(further),
    )


def _spacing(fingerprint: Fingerprint, values: Mapping[str, Any], reasons: dict[str, str]) -> Spacing:
    if "spacing" in values:
        reasons["spacing"] = BY_HAND
        a, b, c = values["spacing"]
        return a, b, c
    spacing, reasons["spacing"] = target_spacing(fingerprint.shapes, fingerprint.spacings)
    return spacing


def _numbers(value: Any) -> tuple[float, ...]:
    a, b, c = (float(each) for each in value)
    return a, b, c


def _rules(value: Any) -> str | tuple[str, ...]:
    return str(value) if isinstance(value, str) else tuple(str(each) for each in value)


def _ends(value: Any) -> float | tuple[float, ...]:
    return tuple(float(each) for each in value) if isinstance(value, (list, tuple)) else float(value)


def _triples(value: Any) -> tuple[Triple, ...]:
    return tuple(triple(each) for each in value)


def _widths(value: Any) -> tuple[int, ...]:
    return tuple(int(each) for each in value)


_READ: dict[str, tuple[Callable[[Any], Any], str]] = {
    "spacing": (_numbers, "three numbers of millimeters above 0"),
    "patch_size": (triple, "three whole numbers above 0"),
    "batch_size": (int, "a whole number above 0"),
    "strides": (_triples, "three whole numbers above 0 for each level"),
    "kernels": (_triples, "three whole numbers above 0 for each level"),
    "features": (_widths, "a whole number above 0 for each level"),
    "width": (int, "a whole number above 0"),
    "stem": (triple, "three whole numbers above 0"),
    "intensity": (_rules, ""),
    "window_low": (_ends, ""),
    "window_high": (_ends, ""),
}
FIXABLE = tuple(_READ)


def _by_hand(fixed: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are set by hand, each in the form that a plan has.

    Raises:
        InputError: one that a plan does not have or that cannot be used.
    """
    values: dict[str, Any] = {}
    for name, value in fixed.items():
        if name not in _READ:
            raise InputError(f"{name}: no value of a plan; expected one of {', '.join(FIXABLE)}")
        if value is None:
            continue
        read, expected = _READ[name]
        try:
            values[name] = read(value)
            if expected and not np.all(np.array(values[name]) > 0):
                raise ValueError
        except (TypeError, ValueError):
            raise InputError(f"{name}: expected {expected or 'a number'}, got {value!r}") from None
    return values


def _refuse_patch(setting: Setting, candidate: Candidate) -> None:
    if setting.patch and candidate.patch != setting.patch:
        by = "the strides" if candidate.topology.stem == NO_STEM else "the stem and the strides"
        low, high = next_sizes(setting.patch, candidate.topology.divisor)
        raise InputError(
            f"patch_size {sides(setting.patch)}: {by} divide by {sides(candidate.topology.divisor)}; "
            f"the next sizes are {sides(low)} and {sides(high)}"
        )


def _refuse_flat(first: Candidate, fitting: Candidate, memory: float) -> None:
    """Refuse patches that leave a U-Net nothing to go down to.

    Raises:
        InputError: a single level; or levels that only want of memory takes away.
    """
    if len(first.topology.strides) == 1:
        what = "patch_size" if first.setting.patch else "cases of"
        raise InputError(
            f"{what} {sides(first.patch)}: too small for two levels of a network; expected at least "
            f"{2 * SMALLEST_MAP} voxels along two axes, or {3 * SMALLEST_MAP} along one"
        )
    if len(fitting.topology.strides) < min(LEVELS, len(first.topology.strides)):
        raise InputError(
            f"memory: batch_size {fitting.batch} with features from {fitting.features[0]} leaves room for patches of "
            f"{sides(fitting.patch)} only, {memory:.3g} GiB may be used; expected a smaller --batch_size or --width"
        )


def _fitting(first: Candidate, memory: float) -> Candidate:
    """What fits in memory; where values set by hand keep it from that, what would."""
    setting = first.setting
    try:
        return fit_memory(first, memory)
    except InputError:
        if not (setting.patch or setting.batch):
            raise
        patch = first_patch(setting.spacing, setting.shape)
        loose = replace(setting, patch=None, batch=None)
        smaller = fit_memory(loose.candidate(patch, base=BASE_FEATURES, batch=LEAST_BATCH), memory)
        raise InputError(
            f"memory: patches of {sides(first.patch)} with batch_size {first.batch} take about {first.memory:.3g} GiB, "
            f"{memory:.3g} may be used; {sides(smaller.patch)} with {_room(smaller, memory)} would fit"
        ) from None


def _room(candidate: Candidate, memory: float) -> int:
    """The largest batch that fits in memory."""
    return candidate.step.most(memory * GIB, amp=candidate.setting.amp)


def _batch(candidate: Candidate, memory: float, cases: int) -> int:
    seen = round(COVERED * cases * math.prod(candidate.setting.shape) / math.prod(candidate.patch))
    return max(LEAST_BATCH, min(_room(candidate, memory), seen))


def _explain(
    reasons: dict[str, str],
    values: Mapping[str, Any],
    *,
    cuts: tuple[Candidate, Candidate, Candidate],
    memory: float,
    cases: int,
) -> None:
    """Why patch, batch, levels and features are what they are, after what came first, what fits in memory, in time."""
    first, full, chosen = cuts
    shape = sides([round(side) for side in chosen.setting.shape])
    time, room = "cut so that enough steps fit in the time", f"cut to fit in {memory:.3g} GiB"
    patch = f"the cases' median shape {shape}, up to what the strides divide"
    if first.patch != full.patch:
        patch = f"of the cases' median shape {shape}, {room}"
    reasons["patch_size"] = patch if chosen.patch == full.patch else f"of the cases' median shape {shape}, {time}"
    batch = f"at most {COVERED:.0%} of the voxels of {cases} cases, at least {LEAST_BATCH}"
    if full.batch == _room(full, memory):
        batch = f"as many as fit in {memory:.3g} GiB"
    if (chosen.batch, chosen.patch) != (full.batch, full.patch):
        timed = {LEAST_BATCH: time, TIMED_BATCH: f"at least {TIMED_BATCH} where the time is set"}
        batch = timed.get(chosen.batch, "as many as the time leaves room for")
    reasons["batch_size"] = batch
    reasons["strides"] = f"an axis is halved while {SMALLEST_MAP} voxels are left, and a coarse one later"
    reasons["kernels"] = "3 voxels; 1 along an axis while it is twice as coarse as another"
    widths = f"from {BASE_FEATURES}, doubled at each level, at most {MOST_FEATURES}"
    if chosen.features[0] != BASE_FEATURES:
        widths = f"doubled at each level; {time if chosen.features[0] != full.features[0] else room}"
    reasons["features"] = f"from the width that is {BY_HAND}, doubled at each level" if "width" in values else widths
    reasons["stem"] = "none: each level has the resolution that nnU-Net gives it"
    if chosen.topology.stem != NO_STEM:
        reasons["stem"] = "2 where time is short, so that a step costs less than half; 1 along coarse and short axes"
    reasons["mirror_axes"] = "those along which no two classes keep their order from case to case"
    reasons.update(dict.fromkeys(reasons.keys() & values.keys(), BY_HAND))
