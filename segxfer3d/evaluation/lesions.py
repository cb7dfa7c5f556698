"""Lesions found, missed and made up; and how well the found ones are outlined.

Dice over a whole scan says little about nodules: a large one hides the small ones that were missed. Here a lesion is a
connected component of the mask (voxels that touch by a face, an edge or a corner), so lesions that touch are one.

Two rules say which lesions are found:

- *any overlap* (``min_iou`` 0, the default): a lesion is found where it shares a voxel with the prediction; a predicted
  component that touches no lesion is a false positive. One component may find several lesions, and a lesion may be
  found in several pieces.
- *IoU* (``min_iou`` above 0): a lesion and a predicted component are a pair where their intersection over union is at
  least this; each has one partner at most, chosen so that there are as many pairs as possible, and among those
  the highest sum of IoU. Every component without a partner is a false positive.

**A missed lesion stays in every mean**: its dice and surface dice are 0, its volume error is -100 %. Distances, which
have no value for it, are not used; means over the found lesions alone are given under a name of their own.

Surface dice takes the axes of a grid to be at right angles, which those of a tilted gantry are not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.metrics import compute_surface_dice
from numpy.typing import NDArray
from scipy import ndimage, optimize

from segxfer3d.errors import InputError

Row = dict[str, str | float | int]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Matching:
    """Which predicted components find which lesions.

    Attributes:
        lesions: the label's components: 0 is background, lesion k of ``partners`` is k + 1.
        predicted: the prediction's components, numbered alike.
        partners: for each lesion the numbers of the predicted components that find it; none where it is missed.
        false_positives: numbers of the predicted components that find nothing.
    """

    lesions: NDArray[np.int32]
    predicted: NDArray[np.int32]
    partners: tuple[tuple[int, ...], ...]
    false_positives: tuple[int, ...]


def match_lesions(prediction: Mask, label: Mask, min_iou: float = 0.0) -> Matching:
    """Match the components of two boolean masks of one shape by the rule that ``min_iou`` states (see above).

    Raises:
        InputError: masks that are not boolean or whose shapes differ, or ``min_iou`` outside [0, 1].
    """
    _check_masks(prediction, label)
    if not 0 <= min_iou <= 1:
        raise InputError(f"min_iou: expected a number from 0 to 1, got {min_iou}")
    touching = np.ones((3,) * label.ndim, np.bool_)
    lesions, count = ndimage.label(label, touching)
    predicted, predicted_count = ndimage.label(prediction, touching)
    both = label & prediction
    pair = (lesions[both].astype(np.int64) - 1) * predicted_count + predicted[both] - 1
    shared = np.bincount(pair, minlength=count * predicted_count).reshape(count, predicted_count)
    if min_iou > 0:
        sizes = np.bincount(lesions[label], minlength=count + 1)[1:]
        predicted_sizes = np.bincount(predicted[prediction], minlength=predicted_count + 1)[1:]
        iou = shared / (sizes[:, None] + predicted_sizes - shared)
        allowed = iou >= min_iou
        # the IoUs together weigh less than one more pair
        weight = allowed * (1 + iou / (min(count, predicted_count) + 1))
        chosen = np.zeros_like(allowed)
        chosen[optimize.linear_sum_assignment(weight, maximize=True)] = True
        matched = chosen & allowed
    else:
        matched = shared > 0
    partners = tuple(tuple((np.flatnonzero(row) + 1).tolist()) for row in matched)
    return Matching(lesions, predicted, partners, tuple((np.flatnonzero(~matched.any(0)) + 1).tolist()))


def surface_dice(prediction: Mask, label: Mask, spacing: Sequence[float], tolerance_mm: float) -> float:
    """Share of both surfaces that lies within a tolerance of the other: the normalized surface dice.

    (area of P's surface within the tolerance of L's + of L's within that of P's) / (area of both). MONAI's, with
    surface elements between voxels, which is DeepMind's definition (Nikolov et al., Journal of Medical Internet
    Research 23 (2021) e26151). As for dice: 1.0 where both masks are empty, 0.0 where one is.

    Args:
        prediction, label: (X, Y, Z) or (X, Y), boolean.
        spacing: mm between voxels along each axis.
        tolerance_mm: distance up to which a surface counts as right.

    Raises:
        InputError: masks that are not boolean or whose shapes differ; spacing or tolerance that cannot be.
    """
    _check_masks(prediction, label)
    _check_geometry(label.ndim, spacing, tolerance_mm)
    if not (prediction.any() and label.any()):
        return float(prediction.any() == label.any())
    box = _box(prediction | label)
    p, y = (torch.from_numpy(np.ascontiguousarray(mask[box]))[None, None] for mask in (prediction, label))
    value = compute_surface_dice(
        p, y, [float(tolerance_mm)], include_background=True, spacing=[float(mm) for mm in spacing], use_subvoxels=True
    )
    return float(value)


def measure_lesions(
    case: str,
    patient: str,
    prediction: Mask,
    label: Mask,
    spacing: Sequence[float],
    tolerance_mm: float,
    min_iou: float = 0.0,
    voxel_mm3: float | None = None,
) -> tuple[Row, list[Row]]:
    """One case: a row for the case, and one for each of its lesions, in plain Python numbers.

    Args:
        case, patient: names.
        prediction, label: (X, Y, Z) or (X, Y), boolean, on one grid.
        spacing: mm between voxels along each axis.
        tolerance_mm: of the surface dice.
        min_iou: the rule of matching.
        voxel_mm3: volume of a voxel, of a grid whose axes are not at right angles; None for the product of the spacing.

    Returns:
        The case's row: case, patient, lesions, found, false_positives (counts); lesion_dice and lesion_surface_dice,
        means over its lesions (without any: 1.0 where nothing is predicted, else 0.0, as for dice);
        volume_error_mm3 of all foreground, predicted less labeled.

        A row for each lesion: case, patient, lesion (from 1), found (0 or 1), dice, surface_dice, label_mm3,
        prediction_mm3, volume_error_mm3, volume_error_percent (predicted less labeled). The prediction of a lesion is
        the whole of its partners, also where they find another lesion too.

    Raises:
        InputError: as :func:`match_lesions` and :func:`surface_dice`; the message names the case.
    """
    try:
        _check_geometry(label.ndim, spacing, tolerance_mm)
        _check_masks(prediction, label)
        box = _box(prediction | label)
        matching = match_lesions(prediction[box], label[box], min_iou)
    except InputError as error:
        raise InputError(f"case {case}: {error}") from error
    voxel = math.prod(float(mm) for mm in spacing) if voxel_mm3 is None else float(voxel_mm3)
    rows = []
    places, predicted_places = (ndimage.find_objects(parts) for parts in (matching.lesions, matching.predicted))
    for k, partners in enumerate(matching.partners):
        place = _around([places[k], *(predicted_places[number - 1] for number in partners)])
        lesion, outlined = matching.lesions[place] == k + 1, np.isin(matching.predicted[place], partners)
        volume, predicted_volume = int(lesion.sum()), int(outlined.sum())
        row: Row = {"case": case, "patient": patient, "lesion": k + 1, "found": int(bool(partners))}
        row["dice"] = 2 * int((lesion & outlined).sum()) / (volume + predicted_volume)
        row["surface_dice"] = surface_dice(outlined, lesion, spacing, tolerance_mm)
        row["label_mm3"], row["prediction_mm3"] = volume * voxel, predicted_volume * voxel
        row["volume_error_mm3"] = (predicted_volume - volume) * voxel
        row["volume_error_percent"] = 100 * (predicted_volume - volume) / volume
        rows.append(row)
    of_case: Row = {"case": case, "patient": patient, "lesions": len(rows)}
    of_case["found"] = sum(int(row["found"]) for row in rows)
    of_case["false_positives"] = len(matching.false_positives)
    nothing = float(not matching.false_positives)
    for name in ("dice", "surface_dice"):
        of_case[f"lesion_{name}"] = sum(float(row[name]) for row in rows) / len(rows) if rows else nothing
    of_case["volume_error_mm3"] = (int(prediction.sum()) - int(label.sum())) * voxel
    return of_case, rows


def summarize_lesions(cases: Sequence[Mapping[str, Any]], lesions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Numbers of a set of scans, from the rows of :func:`measure_lesions`; every lesion weighs the same.

    Args:
        cases: the cases' rows, at least one.
        lesions: the rows of their lesions.

    Returns:
        scans, lesions, found, false_positives (counts); sensitivity (found / lesions), false_positives_per_scan, f1
        (2 found / (2 found + false positives + missed)); lesion_dice, lesion_surface_dice, volume_error_percent,
        absolute_volume_error_percent (means over all lesions, the missed ones with 0, 0, -100 and 100);
        found_lesion_dice and found_lesion_surface_dice (over the found ones). None where there is nothing to count or
        to average.

    Raises:
        InputError: no cases, or lesions that do not belong to them.
    """
    if not cases:
        raise InputError("no cases to summarize: expected the row of at least one case")
    count = sum(int(row["lesions"]) for row in cases)
    strange = {row["case"] for row in lesions} - {row["case"] for row in cases}
    if strange or count != len(lesions):
        which = f", some of other cases ({', '.join(sorted(map(str, strange)))})" if strange else ""
        raise InputError(f"the cases have {count} lesions, but there are {len(lesions)} rows of lesions{which}")
    found = sum(int(row["found"]) for row in cases)
    false = sum(int(row["false_positives"]) for row in cases)
    summary: dict[str, Any] = {"scans": len(cases), "lesions": count, "found": found, "false_positives": false}
    summary["sensitivity"] = found / count if count else None
    summary["false_positives_per_scan"] = false / len(cases)
    summary["f1"] = 2 * found / (found + count + false) if count + false else None
    found_lesions = [row for row in lesions if row["found"]]
    for name in ("dice", "surface_dice"):
        summary[f"lesion_{name}"] = _mean([row[name] for row in lesions])
        summary[f"found_lesion_{name}"] = _mean([row[name] for row in found_lesions])
    errors = [row["volume_error_percent"] for row in lesions]
    summary["volume_error_percent"] = _mean(errors)
    summary["absolute_volume_error_percent"] = _mean([abs(error) for error in errors])
    return summary


def lesion_summary(cases: Sequence[Mapping[str, Any]], lesions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """:func:`summarize_lesions` of all classes together, under names that say what they are of."""
    scans: dict[str, dict[str, Any]] = {}
    for row in cases:
        scan = scans.setdefault(row["case"], {"case": row["case"], "lesions": 0, "found": 0, "false_positives": 0})
        for name in ("lesions", "found", "false_positives"):
            scan[name] += row[name]
    summary = summarize_lesions(list(scans.values()), lesions)
    plain = ("lesions", "false_positives", "false_positives_per_scan")
    return {
        name if name in plain or name.startswith(("lesion_", "found_lesion_")) else f"lesion_{name}": value
        for name, value in summary.items()
        if name != "scans"
    }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _box(mask: Mask) -> tuple[slice, ...]:
    """The smallest box around a mask; of an empty one the first voxel."""
    box = []
    for axis in range(mask.ndim):
        filled = np.flatnonzero(mask.any(tuple(other for other in range(mask.ndim) if other != axis)))
        box.append(slice(filled[0], filled[-1] + 1) if filled.size else slice(0, 1))
    return tuple(box)


def _around(boxes: Sequence[tuple[slice, ...]]) -> tuple[slice, ...]:
    """The smallest box around boxes."""
    return tuple(slice(min(s.start for s in axis), max(s.stop for s in axis)) for axis in zip(*boxes, strict=True))


def _check_masks(prediction: Mask, label: Mask) -> None:
    if prediction.dtype != np.bool_ or label.dtype != np.bool_:
        raise InputError(f"masks of type {prediction.dtype} and {label.dtype}: expected boolean masks")
    if prediction.shape != label.shape:
        raise InputError(f"masks of shape {prediction.shape} and {label.shape}: expected the same shape")
    if label.ndim not in (2, 3):
        raise InputError(f"masks of shape {label.shape}: expected (X, Y, Z) or (X, Y)")


def _check_geometry(dimensions: int, spacing: Sequence[float], tolerance_mm: float) -> None:
    if len(spacing) != dimensions or not all(math.isfinite(mm) and mm > 0 for mm in spacing):
        raise InputError(f"spacing: expected {dimensions} positive numbers in mm, got {list(spacing)}")
    if not (math.isfinite(tolerance_mm) and tolerance_mm >= 0):
        raise InputError(f"tolerance_mm: expected a number of at least 0, got {tolerance_mm}")
