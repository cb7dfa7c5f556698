"""Dice and IoU for each case, and the two pooled figures that stand beside the paper's Table 3.

The two families are not comparable. ``dice`` and ``iou`` are the foreground's, at threshold 0.5, for one case;
``genesis_dice`` and ``genesis_iou`` pool all voxels of the evaluation set: the soft dice of raw probabilities, and
the two-class mean IoU averaged over ten thresholds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from ignite.metrics import Metric
from ignite.metrics.metric import reinit__is_reduced
from torch import Tensor

THRESHOLD = 0.5
GENESIS_THRESHOLDS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))


def dice(prediction: Tensor, label: Tensor) -> float:
    """Dice 2|P and L| / (|P| + |L|) of two boolean masks of one shape.

    Both empty: 1.0, the case is right. One of them empty: 0.0.
    """
    total = int(prediction.sum()) + int(label.sum())
    return 2.0 * int((prediction & label).sum()) / total if total else 1.0


def iou(prediction: Tensor, label: Tensor) -> float:
    """Foreground IoU |P and L| / |P or L| of two boolean masks; empty masks as in :func:`dice`."""
    union = int((prediction | label).sum())
    return int((prediction & label).sum()) / union if union else 1.0


def case_row(
    case: str, patient: str, probabilities: Tensor, label: Tensor, classes: Mapping[int, str], voxel_mm3: float
) -> dict[str, Any]:
    """The row of one case in ``cases.csv``.

    Args:
        case: its name.
        patient: whose it is.
        probabilities: (K, X, Y, Z), one channel for each foreground class.
        label: (K, X, Y, Z), one-hot.
        classes: label value to name, K of them, in the channels' order.
        voxel_mm3: volume of a voxel.

    Returns:
        ``dice`` and ``iou`` (means over the classes, and of each class where there are several), the volumes of
        label and prediction in cubic millimeters, and whether the label is empty.
    """
    predicted = probabilities >= THRESHOLD
    truth = label > 0.5
    dices = [dice(p, t) for p, t in zip(predicted, truth, strict=True)]
    ious = [iou(p, t) for p, t in zip(predicted, truth, strict=True)]
    row: dict[str, Any] = {"case": case, "patient": patient, "dice": float(np.mean(dices)), "iou": float(np.mean(ious))}
    if len(classes) > 1:
        for name, one_dice, one_iou in zip(classes.values(), dices, ious, strict=True):
            row[f"dice_{name}"], row[f"iou_{name}"] = one_dice, one_iou
    row["label_mm3"] = int(truth.sum()) * voxel_mm3
    row["prediction_mm3"] = int(predicted.sum()) * voxel_mm3
    row["empty_label"] = int(not bool(truth.any()))
    return row


def summarize(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means and sample standard deviations over cases of the columns ``dice*`` and ``iou*``.

    The standard deviation of a single case is 0. No figure is NaN, because :func:`case_row` never gives one.
    """
    summary: dict[str, Any] = {
        "cases": len(rows),
        "patients": len({row["patient"] for row in rows}),
        "empty_labels": sum(int(row["empty_label"]) for row in rows),
    }
    if rows:
        for column in rows[0]:
            if column.startswith(("dice", "iou")):
                values = np.array([row[column] for row in rows], dtype=float)
                summary[column] = float(values.mean())
                summary[f"{column}_std"] = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return summary


class GenesisDice(Metric):
    """Soft dice of raw probabilities with smoothing 1, all voxels (and classes) of the set pooled.

    (2 sum(p l) + 1) / (sum(p) + sum(l) + 1), the figure in the Dice column of the paper's Table 3.

    Example:
        >>> metric = GenesisDice()
        >>> metric.update((torch.tensor([1.0, 0.0]), torch.tensor([1.0, 0.0])))
        >>> metric.compute()
        1.0
    """

    @reinit__is_reduced
    def reset(self) -> None:
        """Forget everything seen."""
        self._sums = torch.zeros(2, dtype=torch.float64)

    @reinit__is_reduced
    def update(self, output: tuple[Tensor, Tensor]) -> None:
        """``(probabilities, one-hot label)`` of one shape."""
        probabilities, label = (t.detach().cpu().double() for t in output)
        self._sums += torch.stack([(probabilities * label).sum(), probabilities.sum() + label.sum()])

    def compute(self) -> float:
        """The figure over everything seen, by all processes."""
        overlap, total = idist.all_reduce(self._sums.clone()).tolist()
        return (2.0 * overlap + 1.0) / (total + 1.0)


class GenesisIoU(Metric):
    """Mean over the thresholds 0.50, 0.55, ..., 0.95 of the mean of foreground's and background's IoU.

    All voxels (and classes) of the set are pooled. A voxel counts as foreground where its probability is above the
    threshold (the source does not say whether equality counts). A class that neither prediction nor label has
    counts 1.

    Example:
        >>> metric = GenesisIoU()
        >>> metric.update((torch.tensor([0.99, 0.01]), torch.tensor([1.0, 0.0])))
        >>> metric.compute()
        1.0
    """

    @reinit__is_reduced
    def reset(self) -> None:
        """Forget everything seen."""
        # voxels by label (rows) and by how many thresholds their probability exceeds (columns)
        self._counts = torch.zeros(2, len(GENESIS_THRESHOLDS) + 1, dtype=torch.int64)

    @reinit__is_reduced
    def update(self, output: tuple[Tensor, Tensor]) -> None:
        """``(probabilities, one-hot label)`` of one shape."""
        probabilities, label = (t.detach().cpu().flatten() for t in output)
        bins = len(GENESIS_THRESHOLDS) + 1
        exceeded = torch.bucketize(probabilities.float(), torch.tensor(GENESIS_THRESHOLDS), right=False)
        code = exceeded + bins * (label > 0.5).long()
        self._counts += torch.bincount(code, minlength=2 * bins).view(2, bins)

    def compute(self) -> float:
        """The figure over everything seen, by all processes."""
        counts = idist.all_reduce(self._counts.clone()).double()
        # above[l, k]: voxels of label l whose probability exceeds threshold k
        above = counts.flip(1).cumsum(1).flip(1)[:, 1:]
        totals = counts.sum(1)
        true_positive, false_positive = above[1], above[0]
        false_negative, true_negative = totals[1] - true_positive, totals[0] - false_positive
        wrong = false_positive + false_negative
        both = [_ratio(right, right + wrong) for right in (true_positive, true_negative)]
        return float(((both[0] + both[1]) / 2).mean())


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return torch.where(whole > 0, part / whole.clamp(min=1), torch.ones_like(whole))
