"""Measuring a model on labeled cases, with or without a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ignite.distributed as idist
import torch
from monai.engines import SupervisedEvaluator
from monai.inferers import Inferer
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from segxfer3d.data.case import NOUNS, Case, CaseSet
from segxfer3d.data.class_names import refuse_other_order
from segxfer3d.data.dataset import WholeCases
from segxfer3d.data.preprocessing.loaded_volumes import KeptVolumes
from segxfer3d.data.preprocessing.protocol import Item
from segxfer3d.errors import InputError
from segxfer3d.evaluation.evaluator import CaseEvaluator
from segxfer3d.evaluation.tables import CaseTable
from segxfer3d.inference.channels import ModelChannels
from segxfer3d.inference.inputs import MODELS
from segxfer3d.inference.model import Model, network_input, stacked
from segxfer3d.losses import with_valid
from segxfer3d.networks.forward import to_device


def evaluate(
    model: Model,
    cases: Sequence[Case],
    case_set: CaseSet,
    *,
    measured: str = "file",
    lesions: bool = False,
    lesion_tolerance: float = 2.0,
    lesion_min_iou: float = 0.0,
    progress: bool = False,
) -> CaseTable:
    """Dice, IoU and sizes of labeled cases.

    Args:
        model: see :func:`~segxfer3d.inference.model.load_model`.
        cases: labeled, of ``case_set``; all of them are measured, those that trained the model too.
        case_set: the data set, of the model's classes.
        measured, lesions, lesion_tolerance, lesion_min_iou: see :class:`~segxfer3d.evaluation.tables.CaseTable`.
        progress: show a bar while images are loaded.

    Returns:
        the table: ``rows``, ``summary``, ``lesion_rows``, ``lesion_cases``.

    Raises:
        InputError: no cases, cases of another kind (images, volumes) or with other classes than the model's, or a file
            that cannot be read.

    Example:
        >>> case_set = find_cases("horses", Request(dims=2, task="segmentation"))  # doctest: +SKIP
        >>> table = evaluate(load_model("model.pt"), case_set.labeled, case_set)  # doctest: +SKIP
        >>> print(format_table("horses", table.summary))  # doctest: +SKIP
    """
    check_fit(model, case_set)
    if not cases:
        raise InputError(f"{case_set.root}: no cases to evaluate")
    table = empty_table(
        model,
        cases,
        case_set,
        measured=measured,
        lesions=lesions,
        lesion_tolerance=lesion_tolerance,
        lesion_min_iou=lesion_min_iou,
        progress=progress,
    )
    case_evaluator(model.network, table, inferer=model.inferer, device=model.device, batch_size=model.batch_size).run()
    return table


def empty_table(
    model: Model,
    cases: Sequence[Case],
    case_set: CaseSet,
    *,
    measured: str = "file",
    lesions: bool = False,
    lesion_tolerance: float = 2.0,
    lesion_min_iou: float = 0.0,
    progress: bool = False,
    kept: KeptVolumes | None = None,
    stored: Callable[[Case], Item | None] | None = None,
) -> CaseTable:
    """A table of labeled cases, preprocessed as the model needs them, before any is measured; see :func:`evaluate`.

    Raises:
        InputError: as :class:`~segxfer3d.evaluation.tables.CaseTable`; or, where ``measured`` is ``network``, a file
            that cannot be read.
    """
    dataset: Any = WholeCases(cases, case_set, model.preprocessing, kept, stored, once=True)
    if measured == "network":
        dataset = model.preprocessing.hold(cases, case_set, labels=True, progress=progress)
    return CaseTable(
        dataset,
        model.classes,
        measured=measured,
        preprocessing=model.preprocessing,
        lesions=lesions,
        lesion_tolerance=lesion_tolerance,
        lesion_min_iou=lesion_min_iou,
        inference=model.inference,
    )


def check_fit(model: Model, case_set: CaseSet) -> str:
    """Refuse a data set that the model cannot be measured on.

    Returns:
        what a user should hear of other names of classes; empty where they are the model's.

    Raises:
        InputError: volumes for a model of images or the other way round, other label values, classes that the model
            knows by other values, or other channels.
    """
    if model.dims != case_set.dims:
        raise InputError(
            f"checkpoint {model.path}: {MODELS[model.dims]}; dataset_dir {case_set.root} holds {NOUNS[case_set.dims]}"
        )
    place = f"dataset_dir {case_set.root}"
    way_on = "expected the model's regions and regions_class_order in its dataset.json" if case_set.regions else ""
    note = refuse_other_order(case_set.classes, model.classes, place=place, checkpoint=model.path, way_on=way_on)
    if case_set.classes.keys() != model.classes.keys():
        raise InputError(
            f"dataset_dir {case_set.root}: label values {list(case_set.classes)}, the model knows {list(model.classes)}"
        )
    if model.inference.regions != case_set.regions:
        known = [dict(regions) for regions in (case_set.regions, model.inference.regions)]
        raise InputError(
            f"dataset_dir {case_set.root}: {_told(known[0])}, checkpoint {model.path} was trained on {_told(known[1])}"
        )
    if model.dims == 3:
        about = model.preprocessing.as_dict()
        ModelChannels.of(about, model.path).refuse_others(place, case_set)
        return note
    channels = model.preprocessing.as_dict().get("channels", case_set.channels)
    if channels != case_set.channels:
        raise InputError(
            f"dataset_dir {case_set.root}: images of {case_set.channels} channels; checkpoint {model.path} was trained "
            f"on {channels}"
        )
    return note


def _told(regions: Mapping[int, tuple[int, ...]]) -> str:
    """Regions in words."""
    listed = ", ".join(f"{value}: {list(part)}" for value, part in regions.items())
    return f"regions ({listed})" if regions else "no regions"


def case_evaluator(
    network: nn.Module,
    table: CaseTable,
    *,
    inferer: Inferer,
    device: torch.device,
    batch_size: int = 1,
    prepare_batch: Any = None,
) -> SupervisedEvaluator:
    """An evaluator that fills ``table``; gone through on demand, after training or alone.

    Args:
        network: to measure.
        table: of the cases.
        inferer: how the network is applied.
        device: where the network is.
        batch_size: images of a forward pass; volumes come one at a time.
        prepare_batch: images and targets of a batch; the usual one of the table's way to measure where None.
    """
    usual = prepare_items if table.measured == "file" else prepare_held
    return CaseEvaluator(
        table=table,
        device=device,
        val_data_loader=case_loader(table, batch_size=batch_size),
        network=network,
        prepare_batch=prepare_batch or usual,
        inferer=inferer,
        val_handlers=[table],
        decollate=False,
    )


def case_loader(table: CaseTable, *, batch_size: int = 1) -> DataLoader[Any]:
    """The cases of a table as it measures them, each process taking its share.

    Args:
        table: its dataset is gone through.
        batch_size: cases in a batch; volumes, whose shapes differ, come one at a time.
    """
    # an engine refuses an empty loader; the table passes over a case that is not its process's
    indices = list(range(idist.get_rank(), len(table.dataset), idist.get_world_size())) or [0]
    if table.measured == "network":
        return DataLoader(Subset(table.dataset, indices), batch_size=batch_size)
    size = batch_size if table.unit == "pixels" else 1
    return DataLoader(Subset(table.dataset, indices), batch_size=size, collate_fn=list)


def prepare_items(
    batch: Item | Sequence[Item], device: torch.device | None = None, non_blocking: bool = False, **_: Any
) -> tuple[Tensor, list[Tensor]]:
    """Items of ``preprocessing.read`` as MONAI's evaluator takes them: the images (N, C, *spatial) on the device, and
    the labels, each on the grid of its file, where they are."""
    items = [batch] if isinstance(batch, Mapping) else list(batch)
    images = stacked(items).to(device, non_blocking=non_blocking)
    return images, [item["label"] for item in items]


def prepare_held(
    batch: Mapping[str, Any], device: torch.device, non_blocking: bool = False, **_: Any
) -> tuple[Tensor, Tensor]:
    """Collated items of ``preprocessing.hold`` as MONAI's evaluator takes them: the images (N, C, *size) in [0, 1], and
    their labels with what counts of them, see :func:`~segxfer3d.losses.with_valid`."""
    tensors = to_device(batch, device)
    return network_input(tensors["image"]), with_valid(tensors["label"], tensors.get("valid"))
