"""The table of images that were measured."""

from __future__ import annotations

import torch
from ignite.engine import Engine
from monai.engines import SupervisedEvaluator
from torch.utils.data import default_collate

from segxfer3d.evaluation.previews import Preview, in_window
from segxfer3d.evaluation.tables import Table
from segxfer3d.inference.labels import class_index
from segxfer3d.networks.forward import unwrap


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
