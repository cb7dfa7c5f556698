"""What computes a network when it is applied: torch, or an engine of this folder, each in a file of its own."""

from __future__ import annotations

import importlib
import pkgutil

from segxfer3d.config.engines import AUTO, TORCH
from segxfer3d.errors import InputError
from segxfer3d.inference.engines.engine import Engine
from segxfer3d.inference.engines.graphs import takes_batch_statistics
from segxfer3d.inference.engines.network import EngineNetwork
from segxfer3d.networks import SegmentationNetwork

BATCH_STATISTICS = (
    "it normalizes by statistics of the batch in evaluation too (batch_statistics), so that what it says of a window "
    "depends on those beside it; only torch computes it"
)

_WINDOWS = 100


def engines() -> dict[str, Engine]:
    """All but torch, by name; importing their files imports none of their packages."""
    modules = (importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    return {module.ENGINE.name: module.ENGINE for module in modules if hasattr(module, "ENGINE")}


def _choose(network: EngineNetwork, shape: tuple[int, ...]) -> None:
    """Where nobody has said how many windows there will be: those of a scan or two."""
    from segxfer3d.inference.engines.choice import settle

    settle(network, shape, windows=_WINDOWS)


def with_engine(
    network: SegmentationNetwork, engine: str, *, amp: bool, channels_last: bool
) -> tuple[SegmentationNetwork, bool, bool]:
    """A network that an engine computes, and what is left for whoever applies it.

    Args:
        network: in evaluation mode, on its device.
        engine: a name, ``torch``, or ``auto``, for :func:`~segxfer3d.inference.engines.choice.settle` to measure:
            called by a job, which knows how many windows there are, or before the first window.
        amp: compute in 16 bits where the engine can.
        channels_last: of torch.

    Returns:
        the network itself for ``torch``, else an :class:`EngineNetwork`; ``amp`` and ``channels_last`` as they go on.

    Raises:
        InputError: an unknown engine, one that cannot be used here, or that cannot take the network.
    """
    if engine == TORCH:
        return network, amp, channels_last
    if engine == AUTO:
        undecided = EngineNetwork(network, None, amp=amp, channels_last=channels_last, choose=_choose)
        return undecided, False, False
    known = engines()
    if engine not in known:
        raise InputError(f"engine {engine!r}: unknown; expected one of {', '.join((TORCH, *known, AUTO))}")
    if why := known[engine].absent(next(network.parameters()).device):
        raise InputError(f"engine {engine}: {why}; --engine {TORCH} needs nothing more")
    if takes_batch_statistics(network):
        raise InputError(f"engine {engine}: cannot take the network: {BATCH_STATISTICS}")
    return EngineNetwork(network, known[engine], amp=amp, channels_last=channels_last), False, False
