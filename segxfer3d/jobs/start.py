"""The network that fine-tuning starts from: which checkpoint, and what is said of it."""

from __future__ import annotations

from typing import Protocol

from segxfer3d.errors import InputError
from segxfer3d.jobs.generated import pretrain_on_generated
from segxfer3d.networks import SegmentationNetwork
from segxfer3d.run.folder import Session
from segxfer3d.weights import passport
from segxfer3d.weights.initialize import initialize, needs_checkpoint


class Target(passport.Target, Protocol):
    """The data that a network will be fine-tuned on.

    Attributes:
        generated: whether they were made because none were given.
    """

    @property
    def generated(self) -> bool: ...


def start_network(session: Session, network: SegmentationNetwork, data: Target) -> SegmentationNetwork:
    """Initialize ``network`` as the knob ``init`` says, from the knob ``checkpoint``; on generated data a missing
    checkpoint is made by a short pretraining.

    Raises:
        InputError: a checkpoint is needed and missing, or does not fit.
    """
    knobs = session.knobs
    state_dict = None
    source = ""
    if needs_checkpoint(knobs.init):
        source = str(knobs.checkpoint)
        if not source:
            if not data.generated:
                raise InputError(
                    f"checkpoint: init {knobs.init} needs one; make it with python -m monai.bundle run --config_file "
                    f"{knobs.pretrain_config} --dataset_dir {knobs.dataset_dir}, or start with --init random"
                )
            source = str(pretrain_on_generated(session))
        state_dict, notes = passport.read_weights(source, network, data, init=knobs.init, options=list(knobs))
        for note in notes:
            session.say(note)
    report = initialize(network, knobs.init, state_dict, source)
    session.record("transfer", report.as_dict())
    session.say(report.summary())
    return network
