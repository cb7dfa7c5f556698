"""Grad-CAM: where in an image a network finds the evidence for a class (Selvaraju et al., ICCV 2017)."""

from __future__ import annotations

import copy
from typing import Any

import torch
from monai.visualize import GradCAM
from torch import Tensor, nn

from segxfer3d.errors import InputError
from segxfer3d.interpret.features import find_layer
from segxfer3d.networks.blocks import FeatureEncoder


class ForegroundScore(nn.Module):
    """A segmentation network as a classifier: one score for each foreground class.

    The score is the sum of a class's logits over the voxels that are predicted to be of this class: those where its
    logit is at least 0 (probability 0.5) and the highest of all classes. This is Seg-Grad-CAM (Vinogradova et al.,
    AAAI 2020) with the predicted object as the set of voxels. Where nothing is predicted the score is 0, and so is its
    map.

    Layers keep their names behind ``network.``: ``grad_cam(ForegroundScore(unet), images, "network.encoder")``.

    Args:
        network: (N, C, *spatial) to logits (N, K, *spatial).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *spatial) to scores (N, K)."""
        logits: Tensor = self.network(x)
        predicted = (logits >= 0) & (logits == logits.amax(dim=1, keepdim=True))
        return (logits * predicted).flatten(2).sum(dim=2)


class _ChosenClass(nn.Module):
    """Logits (N, classes) to the one that is asked for, (N, 1).

    MONAI's own choice of the highest class scores every image of a batch with the classes of all of them.
    """

    def __init__(self, network: nn.Module, class_index: int | None) -> None:
        super().__init__()
        self.network = network
        self.class_index = class_index

    def forward(self, x: Tensor) -> Tensor:
        logits = self.network(x)
        if not isinstance(logits, Tensor) or logits.ndim != 2:
            what = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise InputError(f"Grad-CAM: expected a network that gives logits (N, classes), got {what}")
        if self.class_index is None:
            return logits.amax(dim=1, keepdim=True)
        if not 0 <= self.class_index < logits.shape[1]:
            raise InputError(f"class_index {self.class_index}: expected 0 to {logits.shape[1] - 1}")
        return logits[:, [self.class_index]]


def grad_cam(
    network: nn.Module, images: Tensor, target_layer: str = "encoder", class_index: int | None = None
) -> Tensor:
    """Heat maps of a class at the resolution of the images.

    The channels of the layer's output, each weighted with the mean of the score's gradient over its positions, are
    summed; what is negative (evidence against the class) becomes 0. The map is enlarged linearly, and each image's is
    divided by its own highest value: 1 is the strongest evidence in this image, 0 none, and a map of zeros says that
    nothing in the layer speaks for the class. So heat does not compare between images.

    It works on a copy of the network in evaluation mode: modes, gradients, hooks and frozen parts of the original stay.

    Args:
        network: (N, C, *spatial) to logits (N, classes); wrap a segmentation network in :class:`ForegroundScore`.
        images: (N, C, *spatial), 2D or 3D, on the network's device.
        target_layer: as in ``network.named_modules()``; its output has to be one map (N, channels, *spatial). For an
            encoder of this package its last layer is taken.
        class_index: of the class for all images, or None for the highest of each image.

    Returns:
        (N, *spatial) float in [0, 1], on the device of the images.

    Raises:
        InputError: no such layer or class, a layer that is not used or gives no map, or no logits (N, classes).
    """
    # the layer is found before anything is copied, and by the caller's name
    layer = find_layer(network, target_layer)
    name = target_layer
    if isinstance(layer, FeatureEncoder) and layer.last_layer:
        name += f".{layer.last_layer}"
    scorer = _ChosenClass(copy.deepcopy(network), class_index).eval()
    for module in scorer.modules():
        if "inplace" in vars(module):
            vars(module)["inplace"] = False  # or a ReLU behind the layer changes what was recorded of it
    used = False

    def check(_module: nn.Module, _inputs: Any, output: Any) -> None:
        nonlocal used
        used = True
        if not isinstance(output, Tensor) or output.ndim != images.ndim:
            what = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise InputError(f"layer {target_layer!r}: expected an output (N, channels, *spatial), got {what}")

    scorer.get_submodule(f"network.{name}").register_forward_hook(check)
    # without the default post-processing, which turns the highest heat into 0
    cam = GradCAM(scorer, target_layers=f"network.{name}", postprocessing=lambda heat: heat)
    # the gradient of the images keeps frozen layers in the graph
    inputs = images.detach().contiguous().clone().requires_grad_()
    with torch.enable_grad():
        try:
            heat = cam(inputs, class_idx=0).detach()[:, 0]
        except KeyError as error:
            if used:
                raise
            raise InputError(f"layer {target_layer!r}: the network does not use it in its forward pass") from error
    highest = heat.flatten(1).amax(dim=1).view(-1, *[1] * (heat.ndim - 1))
    return torch.where(highest > 0, heat / highest.clamp(min=torch.finfo(heat.dtype).tiny), 0.0)
