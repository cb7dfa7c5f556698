"""All networks of this folder by name, and how a network is made again from what its checkpoint says."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from typing import Any

from segxfer3d import networks
from segxfer3d.errors import InputError
from segxfer3d.networks.declaration import Builder, Network
from segxfer3d.networks.parts import SegmentationNetwork


def by_name(declared: Iterable[tuple[str, Network]]) -> dict[str, Network]:
    """Name to network.

    Args:
        declared: each network with the file that declares it.

    Raises:
        InputError: two files have a network, or a backbone, of one name; both are named.
    """
    known: dict[str, Network] = {}
    files: dict[str, str] = {}
    for file, network in declared:
        for what in (f"network {network.name}", *(f"backbone {name}" for name in network.backbones)):
            if what in files:
                raise InputError(f"{what}: declared by {files[what]} and by {file}; expected two names")
            files[what] = file
        known[network.name] = network
    return known


def _declared() -> Iterable[tuple[str, Network]]:
    """The networks of all files here that end with a ``NETWORK``."""
    for module in pkgutil.iter_modules(networks.__path__):
        name = f"{networks.__name__}.{module.name}"
        if name != __name__ and (network := getattr(importlib.import_module(name), "NETWORK", None)):
            yield f"networks/{module.name}.py", network


NETWORKS = by_name(_declared())
# name in a definition -> what makes the network from the arguments there
BUILDERS: dict[str, Builder] = {name: network.builder for name, network in NETWORKS.items()}
BACKBONES: dict[str, Builder] = {
    backbone: builder for network in NETWORKS.values() for backbone, builder in network.backbones.items()
}


def image_unet(
    backbone: str = "conrec", in_channels: int = 3, out_channels: int = 1, width: int = 64
) -> SegmentationNetwork:
    """A 2D U-Net by the name of its encoder, as the bundles' option ``backbone`` spells it.

    Args:
        backbone: ``conrec`` for :func:`~segxfer3d.networks.conrec_unet`, or one of
            :func:`~segxfer3d.networks.imagenet_unet`.
        in_channels: of the image.
        out_channels: of the output.
        width: of ``conrec``; the others have one width only.

    Raises:
        InputError: an unknown ``backbone``.
    """
    if backbone not in BACKBONES:
        raise InputError(f"backbone: expected one of {', '.join(BACKBONES)}, got {backbone!r}")
    return BACKBONES[backbone](in_channels=in_channels, out_channels=out_channels, width=width)


def build(definition: dict[str, Any]) -> SegmentationNetwork:
    """Make a network again from its ``definition``; only networks of this package are known.

    Raises:
        InputError: an unknown name, or arguments that it does not take.
    """
    try:
        return BUILDERS[definition["name"]](**definition["arguments"])
    except (KeyError, TypeError, RuntimeError) as error:  # torch refuses a negative width with a RuntimeError
        known = ", ".join(BUILDERS)
        raise InputError(f"network {definition!r}: expected one of {known} with its arguments") from error
