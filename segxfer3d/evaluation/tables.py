"""The table of cases: each measured once, in the geometry of its own file or at the size that the network sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events
from ignite.metrics import Metric
from torch import Tensor

from segxfer3d.config import groups
from segxfer3d.data.preprocessing.protocol import Item, Preprocessing
from segxfer3d.errors import InputError
from segxfer3d.evaluation.lesions import lesion_summary, measure_lesions
from segxfer3d.evaluation.metrics import GenesisDice, GenesisIoU, case_row, summarize, voxel_volume
from segxfer3d.inference.labels import class_index, probabilities_on_file

MEASURED = ("file", "network")

Row = dict[str, Any]


class CaseTable:
    """Measures every case that an evaluator goes through, in batches of any size.

    After a pass (of all processes together) it holds ``rows``, one for each case, ``summary``, their means with the
    pooled figures (which are also in ``engine.state.metrics``), and what was found of the lesions. It writes nothing:
    :meth:`files` says what a run keeps.

    Two ways to measure:

    * ``file``: batches are items of ``preprocessing.read`` (one, or a list of them); the prediction is brought to the
      grid of the case's file and compared with the label there. Sizes are in mm3 in volumes, in pixels in images.
    * ``network``: batches are collated items of a dataset whose ``index`` names the case; the evaluator's target is
      (N, K + 1, *spatial) as :func:`~segxfer3d.losses.with_valid` makes it. Images are measured at the size that the
      network sees, in pixels. The padding around an image counts as background: the papers do not say.

    What a data set says to ignore is taken out of prediction and label alike.

    Args:
        dataset: the cases that the evaluator goes through, process by process; its ``cases`` have names and patients.
        classes: label value to name, in the order of the channels.
        measured: ``file`` or ``network``.
        preprocessing: what read the items of ``file``; the dataset's own where None.
        lesions: measure connected components too (:mod:`~segxfer3d.evaluation.lesions`), each class on its own:
            a row for each labeled lesion, one for each case and class, and their means in the summary. Of volumes
            only. Costs seconds for a large scan.
        lesion_tolerance: of the surface dice, mm.
        lesion_min_iou: the IoU that finds a lesion; 0: any overlap does.

    Raises:
        InputError: an unknown ``measured``, or lesions of what is not measured in millimeters.
    """

    def __init__(
        self,
        dataset: Any,
        classes: Mapping[int, str],
        *,
        measured: str = "file",
        preprocessing: Preprocessing | None = None,
        lesions: bool = False,
        lesion_tolerance: float = 2.0,
        lesion_min_iou: float = 0.0,
    ) -> None:
        if measured not in MEASURED:
            raise InputError(f"measured: expected {' or '.join(MEASURED)}, got {measured!r}")
        groups.Lesions(lesions=lesions, lesion_tolerance=lesion_tolerance, lesion_min_iou=lesion_min_iou)
        self.dataset = dataset
        self.classes = dict(classes)
        self.measured = measured
        self.preprocessing = preprocessing or getattr(dataset, "preprocessing", None)
        if measured == "file" and self.preprocessing is None:
            raise InputError("measured file: needs the preprocessing that read the cases")
        self.unit = self.preprocessing.unit if measured == "file" and self.preprocessing else "pixels"
        if lesions and self.unit != "mm3":
            raise InputError("lesions: measured in volumes only, for their surfaces are compared in millimeters")
        self.lesions = lesions
        self.tolerance = lesion_tolerance
        self.min_iou = lesion_min_iou
        self.rows: list[Row] = []
        self.summary: dict[str, Any] = {}
        self.lesion_rows: list[Row] = []
        self.lesion_cases: list[Row] = []
        self.pooled: dict[str, Metric] = {"genesis_dice": GenesisDice(), "genesis_iou": GenesisIoU()}
        self._share: set[str] = set()

    def attach(self, engine: Engine) -> None:
        """Hang on an evaluator."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._measure)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._finish)

    def files(self, name: str = "cases") -> dict[str, Any]:
        """What a run keeps of the table: file name to rows (CSV) or a dictionary (JSON).

        Args:
            name: of the rows' file, without its ending.
        """
        contents: dict[str, Any] = {}
        if self.lesions:
            contents["lesion_cases.csv"] = self.lesion_cases
            if self.lesion_rows:
                contents["lesions.csv"] = self.lesion_rows
        return contents | {f"{name}.csv": self.rows, f"{name}_summary.json": self.summary}

    def _start(self, _: Engine) -> None:
        self.rows, self.lesion_rows, self.lesion_cases = [], [], []
        # of cases that stand in for a process's empty share, only the process whose they are keeps the row
        self._share = {case.name for case in self.dataset.cases[idist.get_rank() :: idist.get_world_size()]}
        for metric in self.pooled.values():
            metric.reset()

    def _measure(self, engine: Engine) -> None:
        batch, output = engine.state.batch, engine.state.output
        if self.measured == "file":
            items = [batch] if isinstance(batch, Mapping) else batch
            for item, logits in zip(items, output["pred"], strict=True):
                self._measure_item(item, logits)
            return
        probabilities, target = torch.sigmoid(output["pred"].float()).cpu(), output["label"].cpu()
        for index, *case in zip(batch["index"].tolist(), probabilities, target, strict=True):
            self._measure_index(index, *case)

    def _measure_item(self, item: Item, logits: Tensor) -> None:
        """A case on its file's grid."""
        if item["case"] not in self._share or self.preprocessing is None:
            return
        probabilities, label = measured_on_file(item, logits, self.preprocessing)
        affine = item["label"].affine if self.unit == "mm3" else None
        voxel = 1.0 if affine is None else voxel_volume(affine)
        self._add(item["case"], item["patient"], probabilities, label, voxel)
        if self.lesions and affine is not None:
            self._add_lesions(item, class_index(probabilities), np.asarray(affine))

    def _measure_index(self, index: int, probabilities: Tensor, target: Tensor) -> None:
        """A case at the size that the network sees."""
        case = self.dataset.cases[index]
        if case.name in self._share:
            self._add(case.name, case.patient, *measured_as_seen(probabilities, target), 1.0)

    def _add(self, case: str, patient: str, probabilities: Tensor, label: Tensor, voxel: float) -> None:
        row = case_row(case, patient, probabilities, label, voxel, list(self.classes.values()))
        if self.unit != "mm3":
            for name in ("label", "prediction"):
                row[f"{name}_{self.unit}"] = row.pop(f"{name}_mm3")
        self.rows.append(row)
        for metric in self.pooled.values():
            metric.update((probabilities, label))

    def _add_lesions(self, item: Item, index: Tensor, affine: np.ndarray) -> None:
        spacing = np.linalg.norm(affine[:3, :3], axis=0).tolist()
        for k, name in enumerate(self.classes.values()):
            masks = (index == k + 1).numpy(), (item["label"].as_subclass(Tensor)[k] > 0.5).numpy()
            row, lesions = measure_lesions(item["case"], item["patient"], *masks, spacing, self.tolerance, self.min_iou)
            self.lesion_cases.append({"class": name, **row})
            self.lesion_rows += [{"class": name, **lesion} for lesion in lesions]

    def _finish(self, engine: Engine) -> None:
        self.rows = _of_all_processes(self.rows)
        self.summary = summarize(self.rows) | {name: metric.compute() for name, metric in self.pooled.items()}
        if self.lesions:
            self.lesion_cases, self.lesion_rows = map(_of_all_processes, (self.lesion_cases, self.lesion_rows))
            self.summary |= lesion_summary(self.lesion_cases, self.lesion_rows)
        engine.state.metrics.update({k: v for k, v in self.summary.items() if isinstance(v, float)})


def measured_on_file(item: Item, logits: Tensor, preprocessing: Preprocessing) -> tuple[Tensor, Tensor]:
    """Probabilities and label of a case that are compared, each (K, *file grid); 0 where the data set says to ignore.

    Args:
        item: of ``preprocessing.read``, with its label.
        logits: (K, *spatial), of the network.
        preprocessing: that read the item.
    """
    probabilities = probabilities_on_file(logits, item, preprocessing).as_subclass(Tensor)
    label = item["label"].as_subclass(Tensor)
    if "valid" not in item:
        return probabilities, label
    counts = item["valid"] != 0
    return probabilities * counts, label * counts


def measured_as_seen(probabilities: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The same at the size that the network sees, (K, *spatial) each.

    Args:
        probabilities: (K, *spatial).
        target: (K + 1, *spatial), as :func:`~segxfer3d.losses.with_valid` makes it.
    """
    counts = target[-1:] != 0
    return probabilities * counts, target[:-1] * counts


def _of_all_processes(rows: Sequence[Row]) -> list[Row]:
    """The rows of every process, in each of them, sorted by case."""
    gathered: list[Any] = [rows]
    if idist.get_world_size() > 1:
        gathered = [None] * idist.get_world_size()
        torch.distributed.all_gather_object(gathered, rows)
    return sorted((row for part in gathered for row in part), key=lambda row: str(row["case"]))
