"""What is made ready before a step: the network for its device, and batches for MONAI's trainer and evaluator."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from segxfer3d.augment.augmentation import Augmentation
from segxfer3d.augment.finetune_views import FinetuneViews
from segxfer3d.augment.patch_batches import BatchAugmentation
from segxfer3d.losses import with_valid
from segxfer3d.networks import SegmentationNetwork
from segxfer3d.networks.forward import layout_of, to_device
from segxfer3d.networks.room import require_step
from segxfer3d.pretexts.base import Pretext
from segxfer3d.training.norms import check_norms


def to_training(
    network: nn.Module,
    *,
    device: torch.device,
    batch_size: int = 1,
    world_size: int = 1,
    channels_last: bool = True,
    compile: bool = False,  # as the option is called
    decoder_warmup_epochs: int = 0,
    size: Sequence[int] = (),
    one_is_enough: bool = True,
) -> nn.Module:
    """Bring a network (or pretext) to the device, in the wanted layout, compiled and distributed as asked.

    Args:
        network: the network that is fine-tuned, or the pretext.
        device: that trains.
        batch_size: of one process, which a pretext checks.
        world_size: processes that train together.
        channels_last: whether weights lie channels last.
        compile: whether ``torch.compile`` compiles it.
        decoder_warmup_epochs: see :class:`~segxfer3d.training.warmup.DecoderWarmup`.
        size: of what the network sees; nothing is checked where it is not given.
        one_is_enough: let batch norm train on a batch of one.

    Raises:
        InputError: the batch is too small for the pretext or for a norm, or too large for the device, or a size that
            the network cannot take.
    """
    if isinstance(network, Pretext):
        network.check(batch_size)
    inner = network.network if isinstance(network, Pretext) else network
    if isinstance(inner, SegmentationNetwork) and size:
        require_step(inner, (batch_size, inner.encoder.in_channels, *size), device)
    if isinstance(network, SegmentationNetwork) and size:
        check_norms(network, (batch_size, network.encoder.in_channels, *size), one_is_enough=one_is_enough)
    network = network.to(device)
    if channels_last:
        network = network.to(memory_format=layout_of(network))  # type: ignore[call-overload]
    if world_size > 1:
        # a frozen encoder has no gradients in the first epochs of a decoder warm-up
        unused = decoder_warmup_epochs > 0
        # the head's 1x1x1 weights have no layout of their own: a note about speed that is of no use here
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        devices = [device.index] if device.type == "cuda" else None
        network = nn.parallel.DistributedDataParallel(network, devices, find_unused_parameters=unused)
    if compile:
        network.compile()
    return network


class ImagePreparation:
    """Batches of images of one size as MONAI's trainer and evaluator take them.

    Augmentation is drawn for the whole batch, on the training device.

    Args:
        size: of the images that the network sees, height and width.
        augment: whether images are cropped and flipped, as in training.
        augmentation: what happens to them instead of that, where it is given.
    """

    def __init__(self, size: Sequence[int], augment: bool = False, augmentation: Augmentation | None = None) -> None:
        self.views: FinetuneViews | BatchAugmentation = FinetuneViews(size, augment)
        if augmentation is not None:
            self.views = BatchAugmentation(size, augmentation)

    def __call__(
        self, batch: Mapping[str, Any], device: torch.device, non_blocking: bool = False, **_: Any
    ) -> tuple[Tensor, Tensor]:
        """The images (N, C, *size) in [0, 1], and their labels with what counts of them; see
        :func:`~segxfer3d.losses.with_valid`."""
        batch = self.views(to_device(batch, device))
        return batch["image"], with_valid(batch["label"], batch.get("valid"))


def prepare_patches(
    batch: Mapping[str, Any], device: torch.device, non_blocking: bool = False, **_: Any
) -> tuple[Tensor, Tensor]:
    """Patches of volumes as MONAI's trainer takes them: the images (N, C, *size), and their labels, with what counts of
    them (:func:`~segxfer3d.losses.with_valid`) where the data set ignores some voxels."""
    image, label = (batch[key].to(device, non_blocking=non_blocking) for key in ("image", "label"))
    valid = batch.get("valid")
    return image, label if valid is None else with_valid(label, valid.to(device, non_blocking=non_blocking))
