"""Whether a pretext teaches anything, seen while it trains: probes of its embeddings, and pictures."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from ignite.engine import Engine, Events
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

from segxfer3d.data.dataset import collate
from segxfer3d.errors import InputError
from segxfer3d.networks import build
from segxfer3d.networks.forward import to_device, unwrap
from segxfer3d.pretexts.base import Pretext, unit_images
from segxfer3d.run.folder import RunFolder
from segxfer3d.training.loaders import EVALUATION_BATCH
from segxfer3d.training.probes import linear_accuracy, neighbor_accuracy

PICTURES = 8  # rows of a picture file
_GAP = 2  # pixels between the pictures of a grid

Items = Sequence[Mapping[str, Any]]
Embed = Callable[[Mapping[str, Tensor]], Tensor]  # a batch to a vector for each image


class PretextMonitor:
    """Every ``interval`` epochs, and after the last: ``pictures/epoch-00010.png``, and two probes in the metrics.

    The probes are accuracies on images whose classes are known: ``neighbor_accuracy`` and ``linear_accuracy``, see
    :mod:`~segxfer3d.training.probes`, and beside them those of a network of the same kind that was never trained,
    ``untrained_...``: what a pretext has to be better than. They and the pictures leave training's random numbers as
    they were.

    Args:
        run: whose folder takes the pictures.
        network: the pretext, maybe distributed.
        pictures: items that the pretext trains on, each with an ``image``; the first are shown.
        probe: items with ``image`` and ``category`` to fit the probes on, and others to test them on; None where no
            classes are known.
        interval: epochs; 0 for never.
        device: that the pretext is on.
    """

    def __init__(
        self,
        run: RunFolder,
        network: torch.nn.Module,
        *,
        pictures: Items,
        probe: tuple[Items, Items] | None,
        interval: int,
        device: torch.device,
    ) -> None:
        self.run = run
        self.network = network
        self.pictures = pictures
        self.probe = probe
        self.interval = interval
        self.device = device
        self._untrained: dict[str, float] = {}  # the same at every look, so measured once

    def attach(self, engine: Engine) -> None:
        """Hang on a trainer, before the record of its metrics."""
        if self.interval > 0 and self.run.main:
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
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.no_grad(), torch.random.fork_rng(devices):
            torch.manual_seed(0)
            items = [self.pictures[i] for i in range(min(PICTURES, len(self.pictures)))]
            columns = pretext.pictures(to_device(collate(items), self.device))
            self._write(f"epoch-{epoch:05d}.png", image_grid(columns))
            if self.probe is not None:
                engine.state.metrics.update(self._accuracies(pretext.embed, *self.probe))
                engine.state.metrics.update(self._of_untrained(pretext, *self.probe))

    def _write(self, name: str, picture: NDArray[np.uint8]) -> None:
        content = io.BytesIO()
        Image.fromarray(picture).save(content, format="PNG")
        try:
            self.run.write_bytes(f"pictures/{name}", content.getvalue())
        except InputError as error:
            raise InputError(f"{error}; the last training state is kept") from error

    def _accuracies(self, embed: Embed, fit: Items, test: Items, name: str = "") -> dict[str, float]:
        """Of both probes, fitted on one sample of images, tested on another."""
        fitted, tested = self._embeddings(embed, fit), self._embeddings(embed, test)
        return {
            f"{name}neighbor_accuracy": neighbor_accuracy(*fitted, *tested),
            f"{name}linear_accuracy": linear_accuracy(*fitted, *tested),
        }

    def _of_untrained(self, pretext: Pretext, fit: Items, test: Items) -> dict[str, float]:
        """The probes of this kind of network with random weights, the same in every run and at every look.

        They see means over positions: a pooling that a pretext trains is part of what it taught.
        """
        if not self._untrained:
            torch.manual_seed(0)
            network = build(pretext.network.definition).to(self.device).eval()

            def embed(batch: Mapping[str, Tensor]) -> Tensor:
                features: Tensor = network.encoder(unit_images(batch))[-1]
                return features.float().flatten(2).mean(dim=2)

            self._untrained = self._accuracies(embed, fit, test, "untrained_")
        return self._untrained

    def _embeddings(self, embed: Embed, items: Items) -> tuple[Tensor, Tensor]:
        rows, categories = [], []
        for batch in DataLoader(cast(Any, items), batch_size=EVALUATION_BATCH):
            rows.append(embed(to_device(batch, self.device)).float().cpu())
            categories.append(batch["category"])
        return torch.cat(rows), torch.cat(categories)


def image_grid(columns: Mapping[str, Tensor], count: int = PICTURES) -> NDArray[np.uint8]:
    """Pictures of a batch side by side, one row for each image.

    Volumes are shown by their middle slice along the last axis, turned as radiologists look at it where the axes are
    RAS: the patient's right on the left, the front on top; several channels are pictures side by side.

    Args:
        columns: from left to right, such as inputs, corrupted inputs, outputs and targets: (N, C, *spatial) in
            [0, 1], C 1 or 3 of images, all of the same N and spatial shape. The names say in messages which is wrong.
        count: at most so many rows.

    Returns:
        the picture, uint8 (height, width, 3).

    Raises:
        InputError: no columns, or shapes that do not fit.
    """
    if not columns:
        raise InputError("image grid: no columns")
    first = next(iter(columns.values()))
    for name, images in columns.items():
        if images.ndim not in (4, 5) or (images.ndim == 4 and images.shape[1] not in (1, 3)):
            raise InputError(
                f"image grid: {name}: expected (N, 1 or 3, *spatial) in two or three dimensions, "
                f"got {tuple(images.shape)}"
            )
        if len(images) != len(first) or images.shape[2:] != first.shape[2:]:
            raise InputError(f"image grid: {name} is {tuple(images.shape)}, the first column {tuple(first.shape)}")
    pictures = torch.stack([each for images in columns.values() for each in _pictures(images[:count])], dim=1)
    padded = F.pad(pictures, (0, 0, 0, _GAP, 0, _GAP), value=255)
    rows, across, height, width, _ = padded.shape
    joined = padded.permute(0, 2, 1, 3, 4).reshape(rows * height, across * width, 3)
    grid: NDArray[np.uint8] = joined[:-_GAP, :-_GAP].numpy()
    return grid


def _pictures(images: Tensor) -> list[Tensor]:
    """(N, C, *spatial) in [0, 1] to bytes (N, height, width, 3) on the CPU, of volumes one for each channel."""
    images = images.detach().float().cpu()
    parts = [images]
    if images.ndim == 5:
        parts = list(torch.split(images[..., images.shape[-1] // 2].transpose(2, 3).flip(2, 3), 1, dim=1))
    colored = (part.expand(-1, 3, -1, -1).permute(0, 2, 3, 1) for part in parts)
    return [(part.clamp(0, 1) * 255).round().to(torch.uint8) for part in colored]
