"""What a pretext is: a task that teaches a network without the target's labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from segxfer3d.errors import InputError
from segxfer3d.networks import PARTS, SegmentationNetwork


class View(Protocol):
    """A random view of a batch of images.

    Attributes:
        image: (N, C, *size) in [0, 1].
        plain: the same crop and flip before colors were changed and anything was blurred.
    """

    @property
    def image(self) -> Tensor: ...

    @property
    def plain(self) -> Tensor: ...


class Corrupted(Protocol):
    """Corrupted images.

    Attributes:
        image: (N, C, *size), what the network sees.
        where: (N, 1, *size), 1 where it was corrupted, else 0.
        blacked: (N, C, *size), the clean image, 0 where it was corrupted.
    """

    @property
    def image(self) -> Tensor: ...

    @property
    def where(self) -> Tensor: ...

    @property
    def blacked(self) -> Tensor: ...


class Views(Protocol):
    """Draws a view of a batch, another one at each call, from torch's random numbers."""

    def __call__(self, batch: Mapping[str, Tensor], /) -> View: ...


class Corruption(Protocol):
    """Corrupts a batch of images (N, C, *size) in [0, 1], at random."""

    def __call__(self, images: Tensor, /) -> Corrupted: ...


def entry(batch: Mapping[str, Tensor], key: str) -> Tensor:
    """``batch[key]``.

    Raises:
        InputError: the batch has none.
    """
    if key not in batch:
        raise InputError(f"this pretext needs '{key}', the data have {', '.join(sorted(batch))} only")
    return batch[key]


def unit_images(batch: Mapping[str, Tensor]) -> Tensor:
    """The images of a batch as float32, bytes scaled to [0, 1]."""
    images = entry(batch, "image")
    return images.float() / 255 if images.dtype == torch.uint8 else images.float()


class Pretext(nn.Module, ABC):
    """A pretext: its network, its loss, and what happens after a step.

    Attributes:
        network: what will be transferred. Heads that only the pretext needs are further children.
        trained_parts: the parts of the network that the pretext teaches. The others are frozen while it trains: they
            keep their random values, and no process waits for their gradients.
        smallest_batch: fewer samples in a process's batch than this cannot teach, and are not validated on.
        dims: of the images that it can be trained on.
    """

    network: SegmentationNetwork
    trained_parts: ClassVar[tuple[str, ...]] = PARTS
    smallest_batch: ClassVar[int] = 1
    dims: ClassVar[tuple[int, ...]] = (2, 3)

    def __init__(self, network: SegmentationNetwork) -> None:
        super().__init__()
        self.network = network
        network.freeze(part for part in PARTS if part not in self.trained_parts)

    @abstractmethod
    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Compute ``{"loss": scalar to minimize, ...}`` for a batch on the network's device; further entries are
        scalars, logged beside it: ``loss_...``, parts of the loss; others, signs of whether it teaches."""

    def after_step(self) -> None:
        """Called after each optimizer step: momentum encoders, queues."""

    def check(self, batch_size: int) -> None:
        """To be called before training starts.

        Args:
            batch_size: samples in a batch of one process.

        Raises:
            InputError: the batch is too small for this pretext, or its network gives logits at several levels, which
                fine-tuning alone has a loss for.
        """
        if self.network.deep_supervision:
            raise InputError(
                f"deep_supervision: {type(self).__name__} trains a network without; fine-tuning can have it"
            )
        if batch_size < self.smallest_batch:
            raise InputError(
                f"batch_size: {type(self).__name__} needs at least {self.smallest_batch} samples a batch and process, "
                f"got {batch_size}"
            )

    def embed(self, batch: Mapping[str, Tensor]) -> Tensor:
        """One vector for each image as it is, without views: (N, D) float32, the mean over positions of the encoder's
        coarsest feature. For probes: call it in evaluation mode and without gradients."""
        return self.pool(self.network.encoder(unit_images(batch))[-1])

    def pool(self, features: Tensor) -> Tensor:
        """(N, C, *spatial) to (N, C), float32; the mean unless the pretext trains a pooling of its own."""
        return features.float().flatten(2).mean(dim=2)

    def pictures(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What a person looks at to see whether the pretext works: columns of pictures, (N, 1 or 3, *size) in [0, 1].

        Two views of each image where the pretext draws views, else the images. Call it as :meth:`embed`.
        """
        views: Views | None = getattr(self, "views", None)
        if views is None:
            return {"image": unit_images(batch)}
        return {"view": views(batch).image, "another view": views(batch).image}
