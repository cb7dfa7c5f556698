"""Evaluation of whole cases, in the geometry of their own files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events
from ignite.metrics import Metric
from monai.data import MetaTensor
from monai.engines import SupervisedEvaluator
from monai.transforms import Compose, Invertd
from torch import Tensor
from torch.utils.data import Dataset

from segxfer3d.data.case import Case
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.evaluation import previews
from segxfer3d.evaluation.lesions import lesion_summary, measure_lesions
from segxfer3d.evaluation.metrics import GenesisDice, GenesisIoU, case_row, summarize, voxel_volume
from segxfer3d.evaluation.previews import SHARED, Preview
from segxfer3d.evaluation.slices import to_ras
from segxfer3d.evaluation.summary import format_table
from segxfer3d.inference.labels import class_index
from segxfer3d.networks.forward import unwrap
from segxfer3d.run.folder import Session

__all__ = [
    "CaseDataset",
    "CaseTable",
    "Table",
    "format_table",
    "lesion_summary",
    "save_previews",
    "to_native",
]

CACHED_VOXELS = 500_000_000  # validation cases kept in memory: 2 GB of float32


class CaseDataset(Dataset[dict[str, Any]]):
    """Whole labeled cases: the image preprocessed, the label on its file's own grid.

    Args:
        cases: labeled.
        preprocessing: of the images.
        classes: label value to name; the label becomes one channel for each.
    """

    def __init__(self, cases: Sequence[Case], preprocessing: VolumePreprocessing, classes: dict[int, str]) -> None:
        self.cases = tuple(cases)
        self.preprocessing = preprocessing
        self.transform = preprocessing.image_transform()
        self.label_transform = Compose([preprocessing.native_transform("label"), preprocessing.one_hot(classes)])
        self._cache: dict[int, dict[str, Any]] = {}
        self._cached_voxels = 0

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index in self._cache:
            return self._cache[index]
        case = self.cases[index]
        item = {
            "image": self.transform({"image": str(case.image)})["image"],
            "label": self.label_transform({"label": str(case.label)})["label"],
            "case": case.name,
            "patient": case.patient,
        }
        self._cached_voxels += item["image"].numel() + item["label"].numel()
        if self._cached_voxels < CACHED_VOXELS:
            self._cache[index] = item
        return item


def to_native(probabilities: Tensor, image: MetaTensor, transform: Compose) -> MetaTensor:
    """Bring a prediction back to the grid of the file that ``image`` came from.

    Args:
        probabilities: (K, X, Y, Z) on the grid of ``image``.
        image: (1, X, Y, Z), what ``transform`` made of the file.
        transform: the loading transform, with key ``image``; its orientation and spacing are undone.
    """
    prediction = MetaTensor(
        probabilities.cpu(), meta=dict(image.meta), applied_operations=list(image.applied_operations)
    )
    inverse = Invertd("prediction", transform, orig_keys="image", nearest_interp=False, to_tensor=True)
    restored: MetaTensor = inverse({"prediction": prediction, "image": image})["prediction"]
    return restored


class Table:
    """Measures every case: rows in ``.rows``, means and pooled figures in ``engine.state.metrics``.

    Args:
        session: the run; where ``file`` is given, the rows are written there.
        dataset: the cases that the evaluator goes through, process by process; its ``cases`` have names.
        classes: label value to name.
        file: name of the CSV file in the run's folder, or empty.
    """

    def __init__(self, session: Session, dataset: Any, classes: dict[int, str], file: str = "") -> None:
        self.session = session
        self.dataset = dataset
        self.classes = classes
        self.file = file
        self.rows: list[dict[str, Any]] = []
        self.summary: dict[str, Any] = {}
        self.pooled: dict[str, Metric] = {"genesis_dice": GenesisDice(), "genesis_iou": GenesisIoU()}
        self._share: set[str] = set()

    def attach(self, engine: Engine) -> None:
        """Hang on an evaluator."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._measure)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._finish)

    def _start(self, _: Engine) -> None:
        self.rows = []
        cases = self.dataset.cases[idist.get_rank() :: idist.get_world_size()]
        self._share = {case.name for case in cases}
        for metric in self.pooled.values():
            metric.reset()

    def _measure(self, engine: Engine) -> None:
        raise NotImplementedError

    def predict(self, evaluator: SupervisedEvaluator, index: int) -> Preview:
        """The case of this index as it is shown, whole and without roles."""
        raise NotImplementedError

    def add(self, case: str, patient: str, probabilities: Tensor, label: Tensor, voxel: float) -> dict[str, Any] | None:
        """Measure one case (K, *spatial); its row, or None where the case is another process's."""
        if case not in self._share:
            return None
        row = case_row(case, patient, probabilities, label, voxel, list(self.classes.values()))
        self.rows.append(row)
        for metric in self.pooled.values():
            metric.update((probabilities, label))
        return row

    def more(self) -> dict[str, Any]:
        """Further entries of the summary, behind the last case; nothing here."""
        return {}

    def _finish(self, engine: Engine) -> None:
        self.rows = sorted(_of_all_processes(self.rows), key=lambda row: row["case"])
        self.summary = summarize(self.rows) | {name: metric.compute() for name, metric in self.pooled.items()}
        self.summary |= self.more()
        engine.state.metrics.update({k: v for k, v in self.summary.items() if isinstance(v, float)})
        if self.file:
            self.session.write_rows(self.file, self.rows)
            self.session.write_json(self.file.removesuffix(".csv") + "_summary.json", self.summary)


def _of_all_processes(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of every process, in each of them."""
    if idist.get_world_size() == 1:
        return rows
    gathered: list[Any] = [None] * idist.get_world_size()
    torch.distributed.all_gather_object(gathered, rows)
    return [row for part in gathered for row in part]


class CaseTable(Table):
    """A table of whole volumes (:class:`CaseDataset`), each measured on its file's own grid.

    Args:
        session, dataset, classes, file: see :class:`Table`.
        lesions: measure connected components too (:mod:`~.lesions`), each class on its own: ``lesions.csv``
            with a row for each labeled lesion, ``lesion_cases.csv`` with a row for each case and class, and in the
            summary what :func:`~segxfer3d.evaluation.lesions.summarize_lesions` gives. Costs seconds for a large scan.
        lesion_tolerance: of the surface dice, mm.
        lesion_min_iou: the IoU that finds a lesion; 0: any overlap does.
    """

    def __init__(
        self,
        session: Session,
        dataset: Any,
        classes: dict[int, str],
        file: str = "",
        lesions: bool = False,
        lesion_tolerance: float = 2.0,
        lesion_min_iou: float = 0.0,
    ) -> None:
        super().__init__(session, dataset, classes, file)
        self.lesions = lesions
        self.tolerance = lesion_tolerance
        self.min_iou = lesion_min_iou
        self.lesion_rows: list[dict[str, Any]] = []
        self.lesion_cases: list[dict[str, Any]] = []

    def _start(self, engine: Engine) -> None:
        super()._start(engine)
        self.lesion_rows, self.lesion_cases = [], []

    def _measure(self, engine: Engine) -> None:
        case = engine.state.batch
        if case["case"] not in self._share:
            return
        probabilities = torch.sigmoid(engine.state.output["pred"][0]).cpu()
        native = to_native(probabilities, case["image"], self.dataset.transform).as_tensor().clamp(0, 1)
        label = case["label"]
        self.add(case["case"], case["patient"], native, label.as_tensor(), voxel_volume(label.affine))
        if self.lesions:
            index, spacing = class_index(native), np.linalg.norm(np.asarray(label.affine)[:3, :3], axis=0).tolist()
            for k, name in enumerate(self.classes.values()):
                masks = (index == k + 1).numpy(), (label.as_tensor()[k] > 0.5).numpy()
                row, rows = measure_lesions(
                    case["case"], case["patient"], *masks, spacing, self.tolerance, self.min_iou
                )
                self.lesion_cases.append({"class": name, **row})
                self.lesion_rows += [{"class": name, **lesion} for lesion in rows]

    def more(self) -> dict[str, Any]:
        """What was found of the lesions."""
        if not self.lesions:
            return {}
        self.lesion_cases, self.lesion_rows = (
            sorted(_of_all_processes(rows), key=lambda row: row["case"])
            for rows in (self.lesion_cases, self.lesion_rows)
        )
        if self.file:
            self.session.write_rows("lesion_cases.csv", self.lesion_cases)
            if self.lesion_rows:
                self.session.write_rows("lesions.csv", self.lesion_rows)
        return lesion_summary(self.lesion_cases, self.lesion_rows)

    def predict(self, evaluator: SupervisedEvaluator, index: int) -> Preview:
        """The volume of this index on its file's own grid, in RAS."""
        item = self.dataset[index]
        inputs, _ = evaluator.prepare_batch(item, evaluator.state.device)
        logits = evaluator.inferer(inputs, unwrap(evaluator.network))[0]
        transform, image, label = self.dataset.transform, item["image"], item["label"]
        mask = class_index(to_native(torch.sigmoid(logits).cpu(), image, transform).as_tensor().clamp(0, 1))
        native = to_native(image.as_tensor(), image, transform).numpy()[0]
        truth = class_index(label.as_tensor())
        preprocessing = self.dataset.preprocessing
        hu = (preprocessing.window_low, preprocessing.window_high) if preprocessing.intensity == "window" else None
        affine = label.affine.numpy()
        turned = [to_ras(array, affine) for array in (previews.in_window(native, hu), truth.numpy(), mask.numpy())]
        (shown, spacing), (labeled, _), (predicted, _) = turned
        return Preview(item["case"], (), 0.0, shown[None], labeled, predicted, spacing)


def save_previews(session: Session, evaluator: SupervisedEvaluator, table: Table) -> None:
    """Keep a few of the cases that ``table`` measured as ``previews.npz``, see :mod:`segxfer3d.evaluation.previews`.

    Which they are is known only after all are measured, so the network sees them once more: six cases at most.
    """
    if not session.main:
        return
    dice = {row["case"]: row["dice"] for row in table.rows}
    kept: list[Preview] = []
    network = unwrap(evaluator.network)
    training = network.training
    network.eval()
    with torch.no_grad():
        index_of = {case.name: index for index, case in enumerate(table.dataset.cases)}
        for case, roles in previews.choose(table.rows).items():
            whole = table.predict(evaluator, index_of[case])
            own = tuple(role for role in roles if role != SHARED)
            volume = whole.label.ndim == 3
            if own:
                kept.append(replace(whole.cropped() if volume else whole, roles=own, dice=dice[case]))
            if SHARED in roles:
                cropped = whole.cropped().sliced() if volume else whole
                kept.append(replace(cropped, roles=(SHARED,), dice=dice[case]))
    network.train(training)
    previews.write_previews(session.folder, kept)
