"""The network of a fine-tuning: as the options say, else as the network that is transferred, else as planned."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from segxfer3d.config import groups, learning
from segxfer3d.config.initializations import needs_checkpoint
from segxfer3d.config.options import Options
from segxfer3d.data import preprocessing as preprocessings
from segxfer3d.data.planning import Plan
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError
from segxfer3d.jobs.source import Source
from segxfer3d.networks import make_network
from segxfer3d.weights import checkpoint, formats
from segxfer3d.weights.formats.base import read_content

PUBLISHED_WIDTH = 32  # of Models Genesis' network
PLANNED_NETWORKS = ("plain_unet", "resenc_unet")  # whose levels follow from the data
FEW_LEVELS = 2  # of a network whose decoder has one
LEVELS = ("strides", "kernels", "features", "stem")
_OF_DATA = ("in_channels", "out_channels", "spatial_dims", "deep_supervision")  # arguments that no checkpoint brings


@dataclass(frozen=True)
class Shape:
    """Arguments of :func:`~segxfer3d.networks.make_network` that follow from a plan or from the network that is
    transferred; None leaves them to the network."""

    width: int
    norm: str | None = None
    strides: Any = None
    kernels: Any = None
    features: Any = None
    stem: Any = None


@dataclass(frozen=True)
class Brought:
    """What the network that is transferred was trained with; nothing where none is.

    Attributes:
        published: the file is from elsewhere, whose preprocessing runs of earlier versions did not take over.
    """

    preprocessing: VolumePreprocessing | None = None
    patch_size: tuple[int, ...] | None = None
    name: str = ""
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    published: bool = False


def find_brought(options: Options, source: Source) -> Brought:
    start = options[groups.Start]
    if not needs_checkpoint(start.init):
        return Brought()
    if not start.checkpoint:  # on generated data it is made in a moment, from intensities in [0, 1]
        volumes = source.generated and source.case_set.dims == 3
        return Brought(VolumePreprocessing.for_modality(*source.case_set.modalities)) if volumes else Brought()
    content = read_content(start.checkpoint)
    if "format" not in content:
        return _published(content, options[groups.Network].network)
    model = checkpoint.read_model(start.checkpoint)
    preprocessing = preprocessings.from_dict(model["preprocessing"], str(start.checkpoint))
    if preprocessing.dims != source.case_set.dims:
        return Brought()  # whoever loads it says that it is of images, or of volumes
    arguments = {name: value for name, value in model["network"]["arguments"].items() if name not in _OF_DATA}
    asked, its = options[groups.Network], checkpoint.width_of(arguments)
    if asked.network == model["network"]["name"] and asked.width and its and asked.width != its:
        raise InputError(
            f"checkpoint {start.checkpoint}: its network has width {its}, this one {asked.width}; --width {its}"
        )
    if not isinstance(preprocessing, VolumePreprocessing):
        return Brought(name=model["network"]["name"], arguments=arguments)
    size = model["provenance"].get("patch_size")
    return Brought(preprocessing, tuple(size) if size else None, model["network"]["name"], arguments)


def _published(content: Mapping[str, Any], network: str) -> Brought:
    """What the authors of a file from elsewhere trained with, as far as its format says so."""
    known = formats.recognize(content)
    if known is None or known.network != network or known.preprocessing is None:
        return Brought()  # a file for another network is refused by whoever loads it
    preprocessing = VolumePreprocessing.from_dict(known.preprocessing)
    return Brought(preprocessing, known.patch_size or None, network, known.variants[0], published=True)


def shape_of(options: Options, brought: Brought, plan: Plan | None = None) -> Shape:
    """Of the network: as the options say, else as the checkpoint brings it, else as planned."""
    network, before = options[groups.Network], brought.arguments
    norm = before.get("norm") if network.norm == "auto" else network.norm
    if network.network not in PLANNED_NETWORKS:
        return Shape(_own_width(options, brought), norm)
    width = network.width or before.get("width") or (plan.features[0] if plan else PUBLISHED_WIDTH)
    if brought.name == network.network:
        return Shape(width, norm, *(before.get(name) for name in LEVELS))
    return Shape(width, norm, *(getattr(plan, name, None) for name in LEVELS))


def _own_width(options: Options, brought: Brought) -> int:
    """Of a network whose levels do not follow from the data."""
    return options[groups.Network].width or int(brought.arguments.get("width") or PUBLISHED_WIDTH)


def own_levels(options: Options, brought: Brought) -> dict[str, Any]:
    """The levels of the network that is not planned, or comes with a checkpoint; nothing where all is planned."""
    name = options[groups.Network].network
    if name in PLANNED_NETWORKS:
        return {level: brought.arguments.get(level) for level in LEVELS} if brought.name == name else {}
    encoder = make_network(name, dims=3, in_channels=1, out_channels=1, width=_own_width(options, brought)).encoder
    return {
        "strides": encoder.strides, "features": encoder.channels, "kernels": [(3, 3, 3)] * len(encoder.channels),
        "stem": (1, 1, 1),
    }  # fmt: skip


def is_deep(options: Options, shape: Shape) -> bool:
    """Whether the loss is taken at each level: as somebody set it; else where the recipe has it and there are levels
    enough: two in the decoder."""
    asked = options[learning.Learning].deep_supervision
    if "deep_supervision" in options.by_hand or not shape.strides:
        return asked
    return asked and len(shape.strides) > FEW_LEVELS
