"""Whether a pretext teaches anything, seen while it trains: probes of its embeddings, and pictures."""

from __future__ import annotations

from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import Tensor
from torch.utils.data import DataLoader, default_collate

from segxfer3d.errors import InputError
from segxfer3d.jobs.images import EVALUATION_BATCH, ImagePretrainingData
from segxfer3d.networks.forward import to_device, unwrap
from segxfer3d.pretexts.base import Pretext
from segxfer3d.run.folder import Session
from segxfer3d.training.probes import image_grid, linear_accuracy, neighbor_accuracy

PICTURES = 8  # rows of a picture file


class PretextMonitor:
    """Every ``interval`` epochs, and after the last: ``pictures/epoch-00010.png``, and two probes in the metrics.

    The probes are accuracies on images whose classes are known: ``neighbor_accuracy`` and ``linear_accuracy``, see
    :mod:`~segxfer3d.training.probes`. They and the pictures leave training's random numbers as they were.

    Args:
        session: the run.
        network: the pretext, maybe distributed.
        data: what it trains on.
        interval: epochs; 0 for never.
    """

    def __init__(self, session: Session, network: torch.nn.Module, data: ImagePretrainingData, interval: int) -> None:
        self.session = session
        self.network = network
        self.data = data
        self.interval = interval

    def attach(self, engine: Engine) -> None:
        """Hang on a trainer, before the record of its metrics."""
        if self.interval > 0 and self.session.main:
            engine.add_event_handler(Events.EPOCH_STARTED, lambda e: e.state.metrics.clear())
            engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """At an epoch's end."""
        epoch = engine.state.epoch
        if epoch % self.interval and epoch != engine.state.max_epochs:
            return
        pretext = unwrap(self.network)
        if not isinstance(pretext, Pretext):
            raise TypeError("the monitor needs a pretext")
        pretext.eval()
        device = self.session.device
        devices = [device] if device.type == "cuda" else []
        with torch.no_grad(), torch.random.fork_rng(devices):
            torch.manual_seed(0)
            items = [self.data.train.data[i] for i in range(min(PICTURES, len(self.data.train.data)))]
            columns = pretext.pictures(to_device(default_collate(items), device))
            folder = self.session.folder / "pictures"
            try:
                folder.mkdir(exist_ok=True)
                image_grid(columns, folder / f"epoch-{epoch:05d}.png", PICTURES)
            except OSError as error:
                raise InputError(f"{folder} could not be written ({error}); the last training state is kept") from error
            if self.data.probe is not None:
                engine.state.metrics.update(self.probe(pretext, *self.data.probe))

    def probe(self, pretext: Pretext, fit: Any, test: Any) -> dict[str, float]:
        """Accuracies of both probes, fitted on one sample of images, tested on another."""
        sides = [self._embeddings(pretext, side) for side in (fit, test)]
        return {
            "neighbor_accuracy": neighbor_accuracy(*sides[0], *sides[1]),
            "linear_accuracy": linear_accuracy(*sides[0], *sides[1]),
        }

    def _embeddings(self, pretext: Pretext, images: Any) -> tuple[Tensor, Tensor]:
        rows, categories = [], []
        for batch in DataLoader(images, batch_size=EVALUATION_BATCH):
            rows.append(pretext.embed(to_device(batch, self.session.device)).float().cpu())
            categories.append(batch["category"])
        return torch.cat(rows), torch.cat(categories)
