"""What a file of a network says of it; :mod:`segxfer3d.networks.named` finds all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from segxfer3d.config import groups
from segxfer3d.config.options import Group
from segxfer3d.networks.parts import SegmentationNetwork

Builder = Callable[..., SegmentationNetwork]


@dataclass(frozen=True)
class Network:
    """A network that checkpoints and bundles name; its file ends with one of these, called ``NETWORK``.

    Attributes:
        name: in the ``definition`` of its checkpoints, and of the builder in ``segxfer3d.networks``.
        builder: makes it from plain arguments, which its ``definition`` repeats.
        dims: of the images that it takes: 2, 3 or both.
        title: what it is, in words.
        citation: authors, title and where it was published; empty for none.
        options: the groups of options that a bundle with it takes.
        backbones: value of the option ``backbone`` to what makes the network with it from ``in_channels``,
            ``out_channels`` and ``width``, for :func:`~segxfer3d.networks.image_unet`.
    """

    name: str
    builder: Builder
    dims: tuple[int, ...]
    title: str
    citation: str = ""
    options: tuple[type[Group], ...] = (groups.Network,)
    backbones: Mapping[str, Builder] = field(default_factory=dict)
