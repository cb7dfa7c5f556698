"""The table of cases: each measured once, in the geometry of its own file or at the size that the network sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events
from torch import Tensor

from segxfer3d.config import groups
from segxfer3d.data.preprocessing.protocol import Item, Preprocessing
from segxfer3d.errors import InputError, of_case
from segxfer3d.evaluation.lesions import lesion_summary, measure_lesions
from segxfer3d.evaluation.measuring import Measured, measured_at_size, measured_on_file, measured_volume
from segxfer3d.evaluation.metrics import GenesisIoU, index_row, of_class, summarize, voxel_volume
from segxfer3d.evaluation.soft_dice import pooled_figures
from segxfer3d.inference.settings import InferenceSettings
from segxfer3d.inference.volume_masks import Way

MEASURED = ("file", "network")

Row = dict[str, Any]


class CaseTable:
    """Measures every case that an evaluator goes through, in batches of any size.

    After a pass (of all processes together) it holds ``rows``, one for each case, ``summary``, their means with the
    pooled figures (which are also in ``engine.state.metrics``), and what was found of the lesions; and ``pooled``, from
    which the pooled figures of several tables follow (:mod:`~segxfer3d.evaluation.folds`). It writes nothing:
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
        inference: how outputs become masks; as models of old do where None. It may be set anew between two passes.

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
        inference: InferenceSettings | None = None,
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
        self.inference = inference or InferenceSettings()
        self.on_case: Callable[[str, Measured], None] | None = None  # is shown each case that is measured
        self.most_kept = 0  # voxels of measured cases that stay in memory, for what looks at them again
        self.kept: dict[str, Measured] = {}
        self.rows: list[Row] = []
        self.summary: dict[str, Any] = {}
        self.lesion_rows: list[Row] = []
        self.lesion_cases: list[Row] = []
        self.pooled: Row = {}  # what the pooled figures are made of
        self._soft: list[Row] = []  # the soft sums of each case
        self._iou = GenesisIoU()
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
        contents |= {f"{name}.csv": self.rows, f"{name}_summary.json": self.summary}
        return contents | {f"{name}_pooled.json": self.pooled}

    def _start(self, _: Engine) -> None:
        self.rows, self.lesion_rows, self.lesion_cases = [], [], []
        self.kept = {}
        # of cases that stand in for a process's empty share, only the process whose they are keeps the row
        self._share = {case.name for case in self.dataset.cases[idist.get_rank() :: idist.get_world_size()]}
        self._soft = []
        self._iou.reset()

    def _measure(self, engine: Engine) -> None:
        batch, output = engine.state.batch, engine.state.output
        if self.measured == "file":
            items = [batch] if isinstance(batch, Mapping) else batch
            for item, logits in zip(items, output["pred"], strict=True):
                self._measure_item(item, logits)
            return
        for index, said, target in zip(batch["index"].tolist(), output["pred"], output["label"], strict=True):
            case = self.dataset.cases[index]
            if case.name in self._share:
                self._add(case.name, case.patient, self.measured_index(index, said, target), 1.0)

    def _measure_item(self, item: Item, said: Tensor | Measured) -> None:
        """A case on its file's grid."""
        if item["case"] not in self._share:
            return
        measured = self.measured_item(item, said)
        affine = item["label"].affine if self.unit == "mm3" else None
        voxel = 1.0 if affine is None else voxel_volume(affine)
        self._add(item["case"], item["patient"], measured, voxel)
        if self.lesions and affine is not None:
            self._add_lesions(item, measured, affine, voxel)

    def measured_item(self, item: Item, said: Tensor | Measured | Way) -> Measured:
        """What is compared of a case on its file's grid.

        Args:
            item: of ``preprocessing.read``, with its label.
            said: the logits of the network (outputs, *spatial); what was measured of them; or how to get at them,
                which holds no map for a class of a large volume.

        Raises:
            InputError: logits that are not finite; the message names the case.
        """
        if isinstance(said, Measured):
            return said
        assert self.preprocessing is not None
        with of_case(item["case"]):
            if isinstance(said, Way):
                return measured_volume(item, said, self.preprocessing)
            return measured_on_file(said, item, self.preprocessing, self.inference, list(self.classes))

    def measured_index(self, index: int, said: Tensor | Measured, target: Tensor) -> Measured:
        """What is compared of a case at the size that the network sees.

        Args:
            index: of the case in the dataset.
            said: the logits of the network (outputs, *spatial), or what was measured of them.
            target: (K + 1, *spatial), as :func:`~segxfer3d.losses.with_valid` makes it.

        Raises:
            InputError: as :meth:`measured_item`.
        """
        if isinstance(said, Measured):
            return said
        with of_case(self.dataset.cases[index].name):
            return measured_at_size(said, target, self.inference, list(self.classes))

    def _add(self, case: str, patient: str, measured: Measured, voxel: float) -> None:
        if self.on_case is not None:
            self.on_case(case, measured)
        self._keep(case, measured)
        names = list(self.classes.values())
        numbers = self._numbers if self.inference.regions else ()
        row = index_row(case, patient, measured.classes, measured.label, voxel, names, numbers)
        if self.unit != "mm3":
            for name in ("label", "prediction"):
                row[f"{name}_{self.unit}"] = row.pop(f"{name}_mm3")
        self.rows.append(row)
        self._soft.append({"case": case, "sums": measured.pooled.sums})
        self._iou.add(measured.pooled.reached)

    @property
    def _numbers(self) -> tuple[tuple[int, ...], ...]:
        return self.inference.numbers(list(self.classes))

    def _keep(self, case: str, measured: Measured) -> None:
        values = sum(kept.classes.numel() for kept in (*self.kept.values(), measured))
        if values <= self.most_kept:
            self.kept[case] = measured

    def _add_lesions(self, item: Item, measured: Measured, affine: np.ndarray, voxel: float) -> None:
        spacing = np.linalg.norm(affine[:3, :3], axis=0).tolist()
        for k, name in enumerate(self.classes.values()):
            masks = of_class(measured.classes.numpy(), k, self._numbers), measured.label.mask(k)
            row, lesions = measure_lesions(
                item["case"], item["patient"], *masks, spacing, self.tolerance, self.min_iou, voxel
            )
            self.lesion_cases.append({"class": name, **row})
            self.lesion_rows += [{"class": name, **lesion} for lesion in lesions]

    def _finish(self, engine: Engine) -> None:
        self.rows = of_all_processes(self.rows)
        soft = of_all_processes(self._soft)
        self.summary = summarize(self.rows) | pooled_figures([row["sums"] for row in soft])
        self.summary |= {"genesis_iou": self._iou.compute()}
        self.pooled = {"cases": {row["case"]: list(row["sums"]) for row in soft}, "voxels": self._iou.counted()}
        if self.lesions:
            self.lesion_cases, self.lesion_rows = map(of_all_processes, (self.lesion_cases, self.lesion_rows))
            self.summary |= lesion_summary(self.lesion_cases, self.lesion_rows)
        engine.state.metrics.update({k: v for k, v in self.summary.items() if isinstance(v, float)})


def of_all_processes(rows: Sequence[Row]) -> list[Row]:
    """The rows of every process, in each of them, sorted by case."""
    gathered: list[Any] = [rows]
    if idist.get_world_size() > 1:
        gathered = [None] * idist.get_world_size()
        torch.distributed.all_gather_object(gathered, rows)
    return sorted((row for part in gathered for row in part), key=lambda row: str(row["case"]))
