"""Small models whose masks are neither empty nor full."""

import torch

from tests.inference.models import IMAGES, VOLUMES, outputs, write

PATCH = [16, 16, 8]


def volume_model(path, classes=None, inference=None, preprocessing=None, network=None, channels=1):
    """A model of volumes with instance norm and weights that are not those of a fresh one."""
    classes = {1: "nodule"} if classes is None else classes
    arguments = {
        "in_channels": channels, "out_channels": outputs(classes, inference), "width": 4, "spatial_dims": 3,
        "strides": [1, 2], **(network or {}),
    }  # fmt: skip
    definition = {"name": "plain_unet", "arguments": arguments}
    write(path, definition, {**VOLUMES, **(preprocessing or {})}, classes, PATCH, inference)
    return shaken(path)


def image_model(path):
    """A model of gray images."""
    arguments = {"in_channels": 1, "out_channels": 1, "width": 2, "spatial_dims": 2}
    definition = {"name": "conrec_unet", "arguments": arguments}
    return shaken(write(path, definition, {**IMAGES, "channels": 1}, {1: "cat"}, [32, 32]))


def shaken(path):
    """The same file with other weights, and patients who have names."""
    content = torch.load(path, weights_only=True)
    torch.manual_seed(1)
    content["state_dict"] = {
        name: value + 0.1 * torch.randn(value.shape)
        if value.is_floating_point() and "running_var" not in name
        else value
        for name, value in content["state_dict"].items()
    }
    names = {"patients": ["Ann", "Bob"], "contents": ["1f"]}
    content["provenance"] |= {**names, "started_from": [{"job": "moco_pretrain", **names, "extra": {**names}}]}
    torch.save(content, path)
    return path
