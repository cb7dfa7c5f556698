"""Pictures of a few of the cases that a table measured; what they are is :mod:`segxfer3d.evaluation.previews`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from monai.engines import SupervisedEvaluator
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import default_collate

from segxfer3d.data.modalities import modality_of_names
from segxfer3d.data.preprocessing.protocol import Item
from segxfer3d.data.preprocessing.scale import Scale
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.evaluation.evaluator import measured_by
from segxfer3d.evaluation.measuring import Measured
from segxfer3d.evaluation.previews import SHARED, Preview, choose, in_window
from segxfer3d.evaluation.slices import to_ras
from segxfer3d.evaluation.tables import CaseTable
from segxfer3d.networks.forward import unwrap


def take_previews(evaluator: SupervisedEvaluator, table: CaseTable) -> list[Preview]:
    """A few of the cases that ``table`` measured: best, median and worst, and three that all runs share.

    Which they are is known only after all are measured, so the network sees those once more, six cases at most, that
    the table does not keep.

    Args:
        evaluator: that the table was filled by; its network is left in the mode it is in.
        table: after a pass.
    """
    dice = {row["case"]: row["dice"] for row in table.rows}
    previews: list[Preview] = []
    network = unwrap(evaluator.network)
    training = network.training
    network.eval()
    with torch.no_grad():
        index_of = {case.name: index for index, case in enumerate(table.dataset.cases)}
        for case, roles in choose(table.rows).items():
            whole = preview_case(evaluator, table, index_of[case])
            volume = whole.label.ndim == 3
            small = whole.cropped() if volume else whole.thinned()
            if by_dice := tuple(role for role in roles if role != SHARED):
                previews.append(replace(small, roles=by_dice, dice=dice[case]))
            if SHARED in roles:
                previews.append(replace(small.sliced() if volume else small, roles=(SHARED,), dice=dice[case]))
    network.train(training)
    return previews


def preview_case(evaluator: SupervisedEvaluator, table: CaseTable, index: int) -> Preview:
    """The case of this index as it was measured, whole and without roles: a volume in RAS, or an image."""
    item = table.dataset[index]
    on_file = table.measured == "file" and table.preprocessing is not None
    batch = [item] if on_file else default_collate([item])
    name = table.dataset.cases[index].name
    measured = table.kept.get(name)
    network = unwrap(evaluator.network)
    if measured is None and table.unit == "mm3":
        measured = measured_by(evaluator, table, item, network)
    if measured is not None and on_file and table.preprocessing is not None:
        return _on_file(item, measured, table)
    images, target = evaluator.prepare_batch(batch, evaluator.state.device)
    if measured is None:
        logits = evaluator.inferer(images, network)[0]
        if on_file and table.preprocessing is not None:
            return _on_file(item, table.measured_item(item, logits), table)
        measured = table.measured_index(index, logits, target[0])
    return Preview(
        case=name,
        roles=(),
        dice=0.0,
        image=in_window(images[0].float().cpu().numpy(), None),
        label=_truth(measured, table),
        prediction=measured.classes.numpy(),
        spacing=(1.0, 1.0),
    )


def _truth(measured: Measured, table: CaseTable) -> NDArray[np.uint8]:
    """The class of each voxel by the label; of regions the one on top, as in a prediction."""
    numbers = table.inference.order(list(table.classes))
    found = np.zeros(measured.label.shape[1:], np.uint8)
    for k in numbers:
        found[measured.label.mask(k)] = k + 1
    return found


def _on_file(item: Item, measured: Measured, table: CaseTable) -> Preview:
    """A case on its file's grid; the image is what the network saw, brought back."""
    preprocessing = table.preprocessing
    assert preprocessing is not None
    unit = preprocessing.to_unit(item["image"].as_subclass(Tensor))
    image = preprocessing.restore(unit, item).as_subclass(Tensor).numpy()
    about, names = preprocessing.as_dict(), tuple[str, ...]()
    shown = in_window(image, _window(about))
    if (
        isinstance(preprocessing, VolumePreprocessing) and preprocessing.channels > 1
    ):  # channels of volumes are no colors
        names = preprocessing.channel_names or tuple(f"channel {number}" for number in range(1, len(image) + 1))
        windows = map(_window_of_channel, names, preprocessing.scales)
        shown = np.stack([in_window(*each) for each in zip(image, windows, strict=True)])
    truth, predicted = _truth(measured, table), measured.classes.numpy()
    if preprocessing.dims == 2:
        return Preview(item["case"], (), 0.0, shown, truth, predicted, (1.0, 1.0))
    affine = np.asarray(item["label"].affine)
    channels = [to_ras(channel, affine)[0] for channel in shown]
    (truth, spacing), (predicted, _) = to_ras(truth, affine), to_ras(predicted, affine)
    return Preview(item["case"], (), 0.0, np.stack(channels), truth, predicted, spacing, channels=names)


def _window_of_channel(name: str, scale: Scale) -> tuple[float, float] | None:
    """The HU that became 0 and 1 of one channel of several; None where it is no CT by its name."""
    return scale.clip if scale.intensity == "window" and modality_of_names([name]) == "CT" else None


def _window(preprocessing: Mapping[str, Any]) -> tuple[float, float] | None:
    """The HU that became 0 and 1; None where intensities have no unit."""
    if preprocessing.get("intensity") != "window":
        return None
    return preprocessing["window_low"], preprocessing["window_high"]
