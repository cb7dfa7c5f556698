"""How intensities are scaled: CT by what lies inside the labels, all else by each volume itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segxfer3d.config.channels import each_channel
from segxfer3d.config.groups import WINDOW
from segxfer3d.data.planning.fingerprint import Fingerprint, Foreground
from segxfer3d.data.planning.plan import Intensity
from segxfer3d.data.preprocessing.intensities import INTENSITIES
from segxfer3d.errors import InputError

AUTO = "auto"  # of a channel among others whose rules are set by hand
_MOSTLY_EMPTY = 0.75  # share of a volume's box of nonzero voxels, below which its zeros do not count


def plan_intensities(
    fingerprint: Fingerprint, values: Mapping[str, Any], reasons: dict[str, str]
) -> tuple[Intensity, ...]:
    """nnU-Net's rule for each channel, or the rule set by hand with its numbers.

    CT: clipped to the 0.5th and 99.5th percentile of the training cases' foreground, less its mean, over its SD. All
    else: each volume less its mean, over its SD; of nonzero voxels alone where those of any channel lie in a box that
    takes less than three quarters of the volume (median of the cases).

    Args:
        fingerprint: of the cases whose labels train.
        values: set by hand: ``intensity``, ``window_low`` and ``window_high`` are read, one or one for each channel;
            ``auto`` for a channel is nnU-Net's rule.
        reasons: gets ``intensity``.

    Raises:
        InputError: an unknown rule, one that needs foreground where there is none, or not as many as channels.
    """
    number = fingerprint.channels
    rules = each_channel("intensity", values.get("intensity") or AUTO, number)
    if values.get("intensity") == AUTO:
        raise InputError(f"intensity: expected one of {', '.join(INTENSITIES)}, got {AUTO!r}")
    lows = each_channel("window_low", values.get("window_low", WINDOW[0]), number)
    highs = each_channel("window_high", values.get("window_high", WINDOW[1]), number)
    modalities = fingerprint.modalities or (fingerprint.modality,)
    planned, why = [], []
    for rule, low, high, modality, inside in zip(
        rules, lows, highs, modalities, (fingerprint.foreground, *fingerprint.further), strict=True
    ):
        intensity, reason = _plan_channel(fingerprint, rule, (low, high), modality=modality, inside=inside)
        planned.append(intensity)
        why.append(reason)
    names = fingerprint.channel_names or tuple(f"channel {i}" for i in range(1, number + 1))
    said = [f"{name}: {reason}" for name, reason in zip(names, why, strict=True)]
    reasons["intensity"] = "; ".join(said) if len(set(why)) > 1 else why[0]
    return tuple(planned)


def _plan_channel(
    fingerprint: Fingerprint, rule: str, window: tuple[float, float], *, modality: str, inside: Foreground | None
) -> tuple[Intensity, str]:
    """The rule of one channel, and why."""
    by_hand = "" if rule == AUTO else "set by hand"
    if rule == AUTO:
        rule = "foreground" if modality == "CT" else "zscore"
    if rule not in INTENSITIES:
        raise InputError(f"intensity: expected one of {', '.join(INTENSITIES)}, got {rule!r}")
    if rule == "window":
        return Intensity(rule, *window), by_hand
    if rule == "foreground":
        if inside is None:
            raise InputError("intensity foreground: the labels of the training cases are empty")
        if inside.low < inside.high and inside.sd > 0:
            scale = Intensity(rule, inside.low, inside.high, inside.mean, inside.sd)
            return scale, by_hand or "CT: clipped and scaled by what lies inside the training labels"
        same = f"all voxels inside the training labels are {inside.low:g}"
        if by_hand:
            raise InputError(f"intensity foreground: {same}, which is no range; expected another intensity")
        return Intensity("window", *window), f"CT, but {same}: the window of {window[0]:g} to {window[1]:g} HU"
    nonzero = rule == "zscore" and fingerprint.nonzero_share < _MOSTLY_EMPTY
    why = "no CT, so each volume less its mean, over its SD"
    if nonzero:
        why += f"; zeros left out, for nonzero voxels lie in {fingerprint.nonzero_share:.0%} of it"
    return Intensity(rule, nonzero=nonzero), by_hand or why
