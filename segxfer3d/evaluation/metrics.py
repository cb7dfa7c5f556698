"""Dice and IoU of each case, and the two numbers that the Models Genesis tables call Dice and IoU.

Two families, never mixed. `dice` and `iou` compare masks at threshold 0.5, case by case, and are averaged
over cases: they answer how well one case is segmented. `genesis_dice` and `genesis_iou` pool voxels, of batches of
cases and of the whole evaluation set: they are what stands beside the published tables of Models Genesis.

Shapes: probabilities and labels are (K, *spatial), one channel per foreground class, no background channel: volumes
(K, X, Y, Z) and images (K, H, W) alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from ignite.exceptions import NotComputableError
from ignite.metrics import Metric
from ignite.metrics.metric import reinit__is_reduced, sync_all_reduce

from segxfer3d.cells import class_column
from segxfer3d.data.preprocessing.class_masks import ChannelMasks, ClassMasks
from segxfer3d.errors import InputError
from segxfer3d.evaluation.soft_dice import GenesisDice, voxel_chunks
from segxfer3d.inference.labels import check_range, class_index

__all__ = ["GenesisDice", "GenesisIoU", "case_row", "dice", "index_row", "iou", "summarize", "voxel_volume"]

Row = dict[str, str | float | int]

GENESIS_THRESHOLDS = tuple(percent / 100 for percent in range(50, 100, 5))
_NOT_AVERAGED = ("case", "patient", "empty_label")


def dice(prediction: np.ndarray | torch.Tensor, label: np.ndarray | torch.Tensor) -> float:
    """Dice 2 |P and L| / (|P| + |L|) of two boolean masks of the same shape, of one case and one class.

    Both masks empty: 1.0, because finding nothing where there is nothing is right. One of them empty: 0.0. So
    an empty mask always has a number, and never turns a mean into NaN.

    Raises:
        InputError: the masks are not boolean or their shapes differ.
    """
    return _dice(*_overlap(prediction, label))


def iou(prediction: np.ndarray | torch.Tensor, label: np.ndarray | torch.Tensor) -> float:
    """Foreground intersection over union |P and L| / |P or L|; masks, empty masks and errors as in `dice`."""
    return _iou(*_overlap(prediction, label))


def voxel_volume(affine: np.ndarray | torch.Tensor) -> float:
    """Volume of a voxel in mm3, from the (4, 4) affine that maps voxel indices to world mm."""
    return float(abs(np.linalg.det(np.asarray(affine, dtype=np.float64)[:3, :3])))


def case_row(
    case: str,
    patient: str,
    probabilities: torch.Tensor,
    label: torch.Tensor,
    voxel_mm3: float,
    class_names: Sequence[str] = (),
) -> Row:
    """One line of the table of cases, by probabilities and a label of a channel for each class.

    Args:
        case, patient, voxel_mm3, class_names: see :func:`index_row`.
        probabilities: (K, *spatial) in [0, 1]; turned into masks by `class_index`.
        label: (K, *spatial), 0 or 1, one channel per class; a voxel belongs to one class at most.

    Raises:
        InputError: shapes or names that do not fit, values out of range; the message names the case.
    """
    if probabilities.shape != label.shape:
        raise InputError(
            f"case {case}: probabilities of shape {tuple(probabilities.shape)} "
            f"but a label of shape {tuple(label.shape)}: expected one grid and one channel per class in both"
        )
    try:
        index = class_index(probabilities)
        check_range(label, "the label")
    except InputError as error:
        raise InputError(f"case {case}: {error}") from error
    masks = ChannelMasks(label.as_subclass(torch.Tensor).cpu())
    return index_row(case, patient, index, masks, voxel_mm3, class_names)


def index_row(
    case: str,
    patient: str,
    index: torch.Tensor,
    label: ClassMasks,
    voxel_mm3: float,
    class_names: Sequence[str] = (),
    numbers: Sequence[Sequence[int]] = (),
) -> Row:
    """One line of the table of cases, in plain Python numbers, class by class.

    Args:
        case: name of the case.
        patient: whose case it is.
        index: the class of each voxel (*spatial): 0 is background, k + 1 is channel k.
        label: the masks of K classes, of the same grid.
        voxel_mm3: volume of a voxel of this grid.
        class_names: K different names, in the order of the channels; needed for K > 1 only.
        numbers: what in the index is of each class, where that is not its own number alone (classes that overlap).

    Returns:
        case, patient, dice, iou (means over the classes), for K > 1 also dice_<name> and iou_<name> of each
        class; label_mm3 and prediction_mm3 (volume of all foreground); empty_label, 1 where the label has no
        foreground at all, else 0. A class that the label lacks counts like every empty mask: see `dice`.

    Raises:
        InputError: shapes or names that do not fit; the message names the case.
    """
    classes = label.shape[0]
    if classes > 1 and (len(class_names) != classes or len(set(class_names)) != classes):
        raise InputError(f"case {case}: expected {classes} different class names, got {list(class_names)}")
    found = index.cpu().numpy()
    overlaps = []
    anywhere = np.zeros(found.shape, np.bool_) if numbers else None
    for k in range(classes):
        mask = label.mask(k)
        overlaps.append(_overlap(of_class(found, k, numbers), mask))
        if anywhere is not None:
            anywhere |= mask
    scores = [(_dice(*overlap), _iou(*overlap)) for overlap in overlaps]
    row: Row = {"case": case, "patient": patient}
    row["dice"] = sum(score[0] for score in scores) / classes
    row["iou"] = sum(score[1] for score in scores) / classes
    if classes > 1:
        for name, score in zip(class_names, scores, strict=True):
            row[f"dice_{name}"], row[f"iou_{name}"] = score
    labeled, predicted = (sum(overlap[which] for overlap in overlaps) for which in (2, 1))
    if anywhere is not None:
        labeled, predicted = int(np.count_nonzero(anywhere)), int(np.count_nonzero(found))
    row["label_mm3"] = labeled * float(voxel_mm3)
    row["prediction_mm3"] = predicted * float(voxel_mm3)
    row["empty_label"] = int(labeled == 0)
    return row


def of_class(index: np.ndarray, k: int, numbers: Sequence[Sequence[int]] = ()) -> np.ndarray:
    """Where class ``k`` is in an index, see :func:`index_row`."""
    first, *others = numbers[k] if numbers else (k + 1,)
    found: np.ndarray = index == first
    for number in others:
        found |= index == number
    return found


def summarize(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation over cases of every number that `case_row` gives.

    Args:
        rows: rows with the same columns, at least one; every case weighs the same.

    Returns:
        cases, patients and empty_labels (counts), then for each number its mean under its own name and its
        standard deviation under <name>_std: the sample's (n - 1), and 0.0 for a single case. A class that is called
        like a standard deviation has another name (:func:`~segxfer3d.cells.class_column`).

    Raises:
        InputError: no rows, rows with other columns than the first, or a number that is not finite.
    """
    if not rows:
        raise InputError("no cases to summarize: expected the row of at least one case")
    for row in rows:
        if row.keys() != rows[0].keys():
            odd = sorted(row.keys() ^ rows[0].keys())
            raise InputError(f"case {row.get('case')}: its columns differ from those of the first case in {odd}")
    summary: dict[str, Any] = {
        "cases": len(rows),
        "patients": len({row["patient"] for row in rows}),
        "empty_labels": sum(int(row["empty_label"]) for row in rows),
    }
    for name in rows[0]:
        if name in _NOT_AVERAGED:
            continue
        values = np.array([row[name] for row in rows], dtype=np.float64)
        if not np.isfinite(values).all():
            worst = rows[int(np.flatnonzero(~np.isfinite(values))[0])]
            raise InputError(f"case {worst['case']}: {name} is {worst[name]}, expected a finite number")
        column = class_column(name)
        summary[column] = float(values.mean())
        summary[f"{column}_std"] = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return summary


class GenesisIoU(Metric):
    """Two-class mean IoU over ten thresholds, pooled over the set: the IoU of the Models Genesis tables.

    For each threshold t in 0.50, 0.55, ..., 0.95 the foreground is p >= t; the mean of the foreground's and
    the background's IoU over every voxel of every case, averaged over the thresholds. The background's IoU,
    close to 1 for small structures, lifts it: this is how the tables' IoU exceeds their Dice, which no
    foreground IoU can. The source does not say whether p = t is foreground: it is here, as in the masks of
    `dice` and `iou`. A class without a voxel in the labels and the predictions of the whole set has IoU
    1.0. Several classes are pooled: their channels count as further voxels. Voxels are counted in int64 and
    added up across processes, so the result is exact for probabilities of single precision (others are
    rounded to it).

    `update` takes (probabilities, label) of any one shape; batches, lists of cases and single cases give the same.
    Errors and source as in `GenesisDice`.

    Example:
        >>> metric = GenesisIoU()
        >>> metric.update((torch.tensor([0.99, 0.7, 0.1, 0.1]), torch.tensor([1, 1, 0, 0])))
        >>> round(metric.compute(), 4)  # 1 for the thresholds up to 0.70, (1/2 + 2/3) / 2 for the other five
        0.7917
    """

    @reinit__is_reduced
    def reset(self) -> None:
        # voxels by label (2) and by the number of thresholds that their probability reaches (11)
        self._counts = torch.zeros(2, len(GENESIS_THRESHOLDS) + 1, dtype=torch.int64, device=self._device)

    @reinit__is_reduced
    def update(self, output: Sequence[torch.Tensor]) -> None:
        for p, y in voxel_chunks(*output):
            self._counts += thresholds_reached(p, y).to(self._counts.device)

    @reinit__is_reduced
    def add(self, counts: torch.Tensor) -> None:
        """Add the counts of a case, see :func:`thresholds_reached`."""
        self._counts += counts.to(self._counts.device)

    @sync_all_reduce("_counts")
    def compute(self) -> float:
        counts = self._counts.cpu().numpy()
        if not counts.any():
            raise NotComputableError("GenesisIoU needs at least one case before it is computed")
        return genesis_iou_of(counts)

    @sync_all_reduce("_counts")
    def counted(self) -> list[list[int]]:
        """The voxels of all processes without (first) and with a label, by how many thresholds their probability
        reaches; those of parts of a set add up to those of the set, see :func:`genesis_iou_of`."""
        counts: list[list[int]] = self._counts.tolist()
        return counts


def thresholds_reached(probabilities: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Voxels without (first) and with a label, by the number of thresholds that their probability reaches: (2, 11)
    int64 on the CPU, of what :func:`~segxfer3d.evaluation.soft_dice.voxel_chunks` gives."""
    levels = len(GENESIS_THRESHOLDS) + 1
    thresholds = torch.tensor(GENESIS_THRESHOLDS, dtype=torch.float32, device=probabilities.device)
    some = probabilities >= thresholds[0]  # few do
    reached = torch.bucketize(probabilities[some], thresholds, out_int32=True, right=True)
    counts = torch.bincount(reached + levels * label[some], minlength=2 * levels).view(2, levels).cpu()
    labeled = int(torch.count_nonzero(label))
    counts[:, 0] = torch.tensor([label.numel() - labeled, labeled]) - counts.sum(1)
    return counts


def genesis_iou_of(counts: np.ndarray) -> float:
    """The figure of :class:`GenesisIoU` by its counts (2, thresholds + 1), see :meth:`GenesisIoU.counted`."""
    totals = counts.sum(axis=1)
    ious = []
    for above in range(1, counts.shape[1]):
        false, true = (int(number) for number in counts[:, above:].sum(axis=1))
        foreground = _iou(true, true + false, int(totals[1]))
        background = _iou(int(totals[0]) - false, int(totals.sum()) - true - false, int(totals[0]))
        ious.append((foreground + background) / 2)
    return sum(ious) / len(ious)


def _overlap(prediction: np.ndarray | torch.Tensor, label: np.ndarray | torch.Tensor) -> tuple[int, int, int]:
    """Voxels in both masks, in the prediction, in the label."""
    p, y = (mask.cpu().numpy() if isinstance(mask, torch.Tensor) else mask for mask in (prediction, label))
    if p.dtype != np.bool_ or y.dtype != np.bool_:
        raise InputError(f"masks of type {p.dtype} and {y.dtype}: expected boolean masks")
    if p.shape != y.shape:
        raise InputError(f"masks of shape {p.shape} and {y.shape}: expected the same shape")
    return int(np.count_nonzero(p & y)), int(np.count_nonzero(p)), int(np.count_nonzero(y))


def _dice(both: int, predicted: int, labeled: int) -> float:
    return 2 * both / (predicted + labeled) if predicted + labeled else 1.0


def _iou(both: int, predicted: int, labeled: int) -> float:
    union = predicted + labeled - both
    return both / union if union else 1.0
