"""Training and evaluation batches of images, and the table of images that were measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from ignite.engine import Engine
from monai.engines import SupervisedEvaluator
from torch import Tensor
from torch.utils.data import default_collate

from segxfer3d.augment.finetune_views import FinetuneViews
from segxfer3d.evaluation.previews import Preview, in_window
from segxfer3d.evaluation.tables import Table
from segxfer3d.inference.labels import class_index
from segxfer3d.losses import with_valid
from segxfer3d.networks.forward import to_device, unwrap


class ImagePreparation:
    """Batches of :class:`~segxfer3d.data.preprocessing.images.HeldImages` as MONAI's trainer and evaluator take them.

    Augmentation is drawn for the whole batch, on the training device.

    Args:
        size: of the images that the network sees, height and width.
        augment: whether images are cropped and flipped, as in training.
    """

    def __init__(self, size: Sequence[int], augment: bool = False) -> None:
        self.views = FinetuneViews(size, augment)

    def __call__(
        self, batch: Mapping[str, Any], device: torch.device, non_blocking: bool = False, **_: Any
    ) -> tuple[Tensor, Tensor]:
        """The images (N, C, *size) in [0, 1], and their masks with what counts of them; see
        :func:`~segxfer3d.losses.with_valid`."""
        batch = self.views(to_device(batch, device))
        return batch["image"], with_valid(batch["label"], batch.get("valid"))


class ImageTable(Table):
    """A table of images, measured at the size that the network sees, in pixels.

    Pixels that the data set says to ignore are taken out of prediction and label alike. The padding around an image
    counts as background: the papers do not say.
    """

    def _measure(self, engine: Engine) -> None:
        batch = engine.state.batch
        probabilities = torch.sigmoid(engine.state.output["pred"].float()).cpu()
        target = engine.state.output["label"].cpu()
        counts = target[:, -1:] != 0
        for index, probability, label, counted in zip(
            batch["index"].tolist(), probabilities, target[:, :-1], counts, strict=True
        ):
            case = self.dataset.cases[index]
            row = self.add(case.name, case.patient, probability * counted, label * counted, 1.0)
            if row is not None:
                for name in ("label", "prediction"):
                    row[f"{name}_pixels"] = row.pop(f"{name}_mm3")

    def predict(self, evaluator: SupervisedEvaluator, index: int) -> Preview:
        """The picture of this index, at the size that the network sees."""
        images, target = evaluator.prepare_batch(default_collate([self.dataset[index]]), evaluator.state.device)
        logits = evaluator.inferer(images, unwrap(evaluator.network))[0]
        counted = target[0, -1:].cpu() != 0
        mask = class_index(torch.sigmoid(logits.float()).cpu() * counted)
        truth = class_index(target[0, :-1].cpu() * counted)
        shown = in_window(images[0].float().cpu().numpy(), None)
        return Preview(self.dataset.cases[index].name, (), 0.0, shown, truth.numpy(), mask.numpy(), (1.0, 1.0))
