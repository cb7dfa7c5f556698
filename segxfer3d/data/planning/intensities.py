"""How intensities are scaled: CT by what lies inside the labels, all else by each volume itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segxfer3d.config.groups import WINDOW
from segxfer3d.data.planning.fingerprint import Fingerprint
from segxfer3d.data.planning.plan import Intensity
from segxfer3d.data.preprocessing.intensities import INTENSITIES
from segxfer3d.errors import InputError

_MOSTLY_EMPTY = 0.75  # share of a volume's box of nonzero voxels, below which its zeros do not count


def plan_intensity(fingerprint: Fingerprint, values: Mapping[str, Any], reasons: dict[str, str]) -> Intensity:
    """nnU-Net's rule, or the rule set by hand with its numbers.

    CT: clipped to the 0.5th and 99.5th percentile of the training cases' foreground, less its mean, over its SD. All
    else: each volume less its mean, over its SD; of nonzero voxels alone where these lie in a box that takes less than
    three quarters of the volume (median of the cases).

    Args:
        fingerprint: of the cases whose labels train.
        values: set by hand: ``intensity``, ``window_low`` and ``window_high`` are read.
        reasons: gets ``intensity``.

    Raises:
        InputError: an unknown rule, or one that needs foreground where there is none.
    """
    rule = values.get("intensity")
    by_hand = "set by hand" if rule else ""
    if rule is None:
        rule = "foreground" if fingerprint.modality == "CT" else "zscore"
    if rule not in INTENSITIES:
        raise InputError(f"intensity: expected one of {', '.join(INTENSITIES)}, got {rule!r}")
    if rule == "window":
        reasons["intensity"] = by_hand
        return Intensity(rule, values.get("window_low", WINDOW[0]), values.get("window_high", WINDOW[1]))
    if rule == "foreground":
        reasons["intensity"] = by_hand or "CT: clipped and scaled by what lies inside the training labels"
        inside = fingerprint.foreground
        if inside is None:
            raise InputError("intensity foreground: the labels of the training cases are empty")
        if inside.low < inside.high and inside.sd > 0:
            return Intensity(rule, inside.low, inside.high, inside.mean, inside.sd)
        same = f"all voxels inside the training labels are {inside.low:g}"
        if by_hand:
            raise InputError(f"intensity foreground: {same}, which is no range; expected another intensity")
        reasons["intensity"] = f"CT, but {same}: the window of {WINDOW[0]:g} to {WINDOW[1]:g} HU"
        return Intensity("window", *WINDOW)
    nonzero = rule == "zscore" and fingerprint.nonzero_share < _MOSTLY_EMPTY
    why = "no CT, so each volume less its mean, over its SD"
    if nonzero:
        why += f"; zeros left out, for nonzero voxels lie in {fingerprint.nonzero_share:.0%} of it"
    reasons["intensity"] = by_hand or why
    return Intensity(rule, nonzero=nonzero)
