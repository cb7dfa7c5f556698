"""Of which classes only the largest connected component is kept: what validation cases say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from monai.inferers import Inferer
from torch import nn

from segxfer3d.evaluation.evaluate import case_evaluator
from segxfer3d.evaluation.measuring import Measured
from segxfer3d.evaluation.metrics import dice
from segxfer3d.evaluation.tables import CaseTable, of_all_processes
from segxfer3d.inference.settings import keep_largest

Row = dict[str, Any]


@dataclass(frozen=True)
class ComponentChoice:
    """What was chosen, with the numbers that it was chosen by.

    Attributes:
        cases: of the validation part; none chooses nothing.
        rows: of each class: ``value``, ``class``, ``dice`` (mean over the cases), ``dice_largest`` (the same with the
            largest component alone) and ``kept``, whether only that is kept.
    """

    cases: int
    rows: tuple[Row, ...]

    @property
    def values(self) -> tuple[int, ...]:
        """Label values of the classes that keep one component."""
        return tuple(row["value"] for row in self.rows if row["kept"])

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a run's folder."""
        return {"cases": self.cases, "classes": [dict(row) for row in self.rows]}

    def text(self) -> str:
        """A line for the console."""
        if not self.rows:
            return "largest component: chosen for no class, for there are no validation cases"
        words = [
            f"{row['class']} {'yes' if row['kept'] else 'no'} "
            f"(dice {row['dice']:.3f}, with it {row['dice_largest']:.3f})"
            for row in self.rows
        ]
        return f"largest component only, by {self.cases} validation case{'s' * (self.cases != 1)}: {', '.join(words)}"


def decide(scores: Sequence[Row], classes: Mapping[int, str]) -> ComponentChoice:
    """Keep the largest component of a class where the mean dice of the cases is higher with it.

    Args:
        scores: of each case, see :func:`component_scores`.
        classes: label value to name.
    """
    rows = []
    for value, name in classes.items() if scores else ():
        plain, largest = (sum(row["dice"][value][k] for row in scores) / len(scores) for k in range(2))
        rows.append({"value": value, "class": name, "dice": plain, "dice_largest": largest, "kept": largest > plain})
    return ComponentChoice(len(scores), tuple(rows))


def component_scores(case: str, measured: Measured, classes: Mapping[int, str]) -> Row:
    """``case``, and ``dice``: label value of each class to its dice, and to that with its largest component alone.

    What a data set says to ignore has been taken out of the prediction before its components are looked at.
    """
    scores: dict[int, tuple[float, float]] = {}
    for number, value in enumerate(classes, 1):
        label = measured.label.mask(number - 1)
        alone = keep_largest(measured.classes, number)
        scores[value] = dice(measured.classes == number, label), dice(alone == number, label)
    return {"case": case, "dice": scores}


def choose_components(
    network: nn.Module,
    table: CaseTable,
    *,
    inferer: Inferer,
    device: torch.device,
    batch_size: int = 1,
    prepare_batch: Any = None,
) -> ComponentChoice:
    """Segment the validation cases once and decide of which classes only the largest component is kept.

    Args:
        network: as trained.
        table: of the validation cases, if there are any; its rows are those of this pass, with all components.
        inferer, device, batch_size, prepare_batch: see :func:`~segxfer3d.evaluation.evaluate.case_evaluator`; the
            inferer is the one that the model will be used with.
    """
    if table.dataset is None or not len(table.dataset):
        return decide([], table.classes)
    scores: list[Row] = []
    evaluator = case_evaluator(
        network, table, inferer=inferer, device=device, batch_size=batch_size, prepare_batch=prepare_batch
    )
    before = table.inference
    table.inference = replace(before, largest_component=())
    table.on_case = lambda case, measured: scores.append(component_scores(case, measured, table.classes))
    try:
        evaluator.run()
    finally:
        table.inference, table.on_case = before, None
    return decide(of_all_processes(scores), table.classes)
