"""Engines that are none: they compute by torch, and note what they were asked."""

import copy

import torch

from segxfer3d.inference.engines.engine import Engine
from segxfer3d.networks import make_network
from tests.inference.models import VOLUMES, write


class Fake:
    """An engine whose logits are torch's times ``factor``; ``compiled`` are the examples' shapes and the precision."""

    def __init__(self, name="openvino", factor=1.0, absent="", error=None):
        self.compiled, self.converted = [], 0
        self.factor, self.error = factor, error
        self.engine = Engine(
            name, "a stand-in", "", (), ("cpu",), "bfloat16", self.convert, self.compile, needs=lambda _: absent
        )  # fmt: skip

    def convert(self, network, example):
        if self.error:
            raise self.error
        self.converted += 1
        return copy.deepcopy(network)

    def compile(self, frozen, example, amp):
        self.compiled.append((tuple(example.shape), amp))

        def forward(batch):
            with torch.no_grad():
                return frozen(batch) * self.factor

        return forward


def small_network(seed=0, **more):
    """A network that tells windows apart, in evaluation mode."""
    torch.manual_seed(seed)
    asked = {"dims": 3, "in_channels": 1, "out_channels": 2, "width": 4, "strides": [1, 2], **more}
    return make_network("plain_unet", **asked).eval()


def plain_model(path, seed=0, **inference):
    """The file of a model of volumes whose mask is neither empty nor full."""
    arguments = {"in_channels": 1, "out_channels": 1, "width": 4, "spatial_dims": 3, "strides": [1, 2]}
    network = {"name": "plain_unet", "arguments": arguments}
    write(path, network, VOLUMES, {1: "nodule"}, [16, 16, 8], {"activation": "sigmoid", **inference})
    content = torch.load(path, weights_only=True)
    torch.manual_seed(seed)
    content["state_dict"] = {k: v + 0.1 * torch.randn(v.shape) for k, v in content["state_dict"].items()}
    torch.save(content, path)
    return path
