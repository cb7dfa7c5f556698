"""Two-step fine-tuning: first the decoder alone, then everything."""

from __future__ import annotations

import logging

from ignite.engine import Engine, Events
from torch import nn

from segxfer3d.networks import SegmentationNetwork
from segxfer3d.networks.forward import unwrap

logger = logging.getLogger(__name__)


class DecoderWarmup:
    """Two-step fine-tuning: the encoder is frozen for the first ``epochs``, then everything trains.

    What the initialization froze stays frozen.
    """

    def __init__(self, network: nn.Module, epochs: int) -> None:
        self.network = network
        self.epochs = epochs
        self.frozen: list[str] = []

    def attach(self, engine: Engine) -> None:
        """Hang on a trainer; nothing to do where there is no warm-up."""
        if self.epochs > 0:
            self.frozen = list(self._segmentation_network().frozen)
            engine.add_event_handler(Events.EPOCH_STARTED, self)

    def _segmentation_network(self) -> SegmentationNetwork:
        network = unwrap(self.network)
        if not isinstance(network, SegmentationNetwork):
            raise TypeError("decoder warm-up needs a SegmentationNetwork")
        return network

    def __call__(self, engine: Engine) -> None:
        """At an epoch's start."""
        network = self._segmentation_network()
        warming = engine.state.epoch <= self.epochs
        if "encoder" not in self.frozen and warming != ("encoder" in network.frozen):
            network.freeze([*self.frozen, "encoder"] if warming else self.frozen)
            logger.info("epoch %d: encoder %s", engine.state.epoch, "frozen" if warming else "trains")
