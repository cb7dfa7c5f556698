"""All networks of this folder by name, and how a network is made again from what its checkpoint says."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Sequence
from typing import Any

from segxfer3d import networks
from segxfer3d.errors import InputError
from segxfer3d.networks.declaration import Builder, Network
from segxfer3d.networks.initial_weights import draw_initial_weights
from segxfer3d.networks.parts import SegmentationNetwork
from segxfer3d.networks.room import require_weights
from segxfer3d.networks.stages import PerStage


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


def choices(dims: int) -> list[str]:
    """The names that :func:`make_network` takes for images of these dimensions."""
    complete = [name for name, network in NETWORKS.items() if dims in network.dims and not _needed(network.builder)]
    return complete + (list(BACKBONES) if dims == 2 else [])


def _needed(builder: Builder) -> list[str]:
    """The arguments of a builder that have no default."""
    parameters = inspect.signature(builder).parameters.items()
    return [name for name, parameter in parameters if parameter.default is parameter.empty]


def make_network(
    name: str,
    *,
    dims: int,
    in_channels: int,
    out_channels: int,
    width: int,
    batch_statistics: bool = False,
    norm: str | None = None,
    deep_supervision: bool = False,
    strides: PerStage | None = None,
    kernels: PerStage | None = None,
    features: Sequence[int] | None = None,
    stem: Sequence[int] | int | None = None,
    initial_weights: str = "torch",
) -> SegmentationNetwork:
    """Any network of this folder, by its name or that of its encoder; options that it does not take stay unset.

    Args:
        name: a network, such as ``plain_unet``, or in 2D a backbone of :func:`image_unet`.
        dims: 2 or 3.
        in_channels: of the image.
        out_channels: of the output.
        width: channels of the finest stage; networks of one width only ignore it.
        batch_statistics: of batch norm in evaluation too.
        norm: ``instance`` or ``batch``; None, or empty, for the network's own.
        deep_supervision: in training, give a list of logits, at the resolution of the image and coarser ones.
        strides: of each stage; None, or empty, for the network's own.
        kernels: likewise.
        features: channels of each stage, likewise.
        stem: voxels of the image that become channels before the first stage; None, empty or ones for none, which is
            what a network has that does not take it.
        initial_weights: ``torch``: what torch's layers draw; ``glorot``: what Keras' do, as ConRec's code.

    Raises:
        InputError: an unknown network or ``initial_weights``, other dimensions than it has, or an option that it does
            not take.

    Example:
        >>> network = make_network("plain_unet", dims=3, in_channels=1, out_channels=2, width=8, strides=[1, (2, 2, 1)])
        >>> network.encoder.channels, network.encoder.divisors
        ((8, 16), (2, 2, 1))
    """
    if name not in choices(dims):
        elsewhere = " for images of other dimensions" if name in {*choices(2), *choices(3)} else ""
        raise InputError(f"network {name!r}: is{elsewhere or ' unknown'}; expected one of {', '.join(choices(dims))}")
    builder = BACKBONES[name] if name in BACKBONES else BUILDERS[name]
    takes = inspect.signature(builder).parameters
    folds = [stem] * dims if isinstance(stem, int) else list(stem or [])
    asked = {
        "batch_statistics": batch_statistics, "norm": norm, "deep_supervision": deep_supervision, "strides": strides,
        "kernels": kernels, "features": features, "stem": folds if any(side != 1 for side in folds) else None,
    }  # fmt: skip
    arguments: dict[str, Any] = {key: value for key, value in asked.items() if value}
    if refused := [key for key in arguments if key not in takes]:
        raise InputError(f"network {name}: has no {' and no '.join(refused)} to choose")
    sizes = {"in_channels": in_channels, "out_channels": out_channels, "width": width, "spatial_dims": dims}
    arguments |= {key: value for key, value in sizes.items() if key in takes}
    require_weights(builder, arguments, name)
    network = builder(**arguments)
    draw_initial_weights(network, initial_weights)
    return network


def takes(name: str, option: str) -> bool:
    """Whether a network, by its name or that of its encoder, has an option of :func:`make_network` to choose.

    Example:
        >>> takes("plain_unet", "deep_supervision"), takes("resnet50", "deep_supervision")
        (True, False)
    """
    builder = BACKBONES.get(name) or BUILDERS.get(name)
    return builder is None or option in inspect.signature(builder).parameters


def build(definition: dict[str, Any]) -> SegmentationNetwork:
    """Make a network again from its ``definition``; only networks of this package are known.

    Raises:
        InputError: an unknown name, or arguments that it does not take.
    """
    try:
        name, arguments = definition["name"], definition["arguments"]
        builder = BUILDERS[name]
        require_weights(builder, arguments, name)
        return builder(**arguments)
    except InputError:
        raise
    except Exception as error:  # whatever arguments of a damaged file, such as a negative width, end in
        known = ", ".join(BUILDERS)
        raise InputError(f"network {repr(definition)[:200]}: expected one of {known} with its arguments") from error
