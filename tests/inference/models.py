"""Tiny models of volumes and of images as files, with random weights."""

import torch

from segxfer3d.networks import build
from segxfer3d.weights import checkpoint

VOLUMES = {"spacing": None, "intensity": "window", "window_low": -1000.0, "window_high": 1000.0, "orientation": "RAS"}
IMAGES = {"image_size": 32, "channels": 3}


def write(path, network, preprocessing, classes, patch_size, inference=None):
    torch.manual_seed(0)
    built = build(network)
    provenance = {"patch_size": patch_size, "patients": [], "data": "somewhere"}
    checkpoint.write_model(path, built.state_dict(), network, preprocessing, classes, provenance, inference)
    return path


def outputs(classes, inference):
    return max(1, len(classes)) + ((inference or {}).get("activation") == "softmax")


def volume_model(path, classes=None, inference=None):
    """A model of volumes."""
    classes = {1: "nodule"} if classes is None else classes
    arguments = {"in_channels": 1, "out_channels": outputs(classes, inference), "width": 2, "batch_statistics": True}
    return write(path, {"name": "genesis_unet", "arguments": arguments}, VOLUMES, classes, [16, 16, 16], inference)


def image_model(path, classes=None, inference=None):
    """A model of color images."""
    classes = {1: "cat"} if classes is None else classes
    arguments = {"in_channels": 3, "out_channels": outputs(classes, inference), "width": 2, "spatial_dims": 2}
    return write(path, {"name": "conrec_unet", "arguments": arguments}, IMAGES, classes, [32, 32], inference)
