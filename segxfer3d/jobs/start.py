"""The network that fine-tuning starts from: which checkpoint, and whether it fits."""

from __future__ import annotations

from typing import Any, Protocol

import torch

from segxfer3d.errors import InputError
from segxfer3d.jobs.generated import pretrain_on_generated
from segxfer3d.networks import PARTS, SegmentationNetwork
from segxfer3d.run.folder import Session
from segxfer3d.weights import checkpoint
from segxfer3d.weights import initialize as transfer
from segxfer3d.weights.formats import registry as formats
from segxfer3d.weights.formats.base import read_content


class Target(Protocol):
    """What a checkpoint is checked against: the data that a network will be fine-tuned on."""

    @property
    def name(self) -> str: ...

    @property
    def generated(self) -> bool: ...

    @property
    def test_patients(self) -> set[str]: ...

    @property
    def unit(self) -> str: ...

    @property
    def preprocessing(self) -> Any: ...


def start_network(session: Session, network: SegmentationNetwork, data: Target) -> SegmentationNetwork:
    """Initialize ``network`` as the knob ``init`` says, from the knob ``checkpoint``; on generated data a missing
    checkpoint is made by a short pretraining.

    Raises:
        InputError: a checkpoint is needed and missing, or does not fit.
    """
    knobs = session.knobs
    state_dict = None
    source = ""
    if transfer.needs_checkpoint(knobs.init):
        path = knobs.checkpoint
        if not path:
            if not data.generated:
                raise InputError(
                    f"checkpoint: init {knobs.init} needs one; make it with python -m monai.bundle run --config_file "
                    f"{knobs.pretrain_config} --dataset_dir {knobs.dataset_dir}, or start with --init random"
                )
            path = pretrain_on_generated(session)
        source = str(path)
        state_dict = read_weights(session, source, network, data)
    report = transfer.initialize(network, knobs.init, state_dict, source)
    session.record("transfer", report.as_dict())
    session.say(report.summary())
    return network


def leak(provenance: dict[str, Any], data: Target) -> str:
    """How many of the test part a checkpoint has seen while it was trained, in words; empty where none.

    Args:
        provenance: of the checkpoint.
        data: that the network will be fine-tuned and tested on.
    """
    seen = set(provenance.get("patients", [])) & data.test_patients if provenance.get("data") == data.name else ()
    if not seen:
        return ""
    # only the segmentation pretext and fine-tuning see masks
    unlabeled = ", without their masks" if provenance.get("pretext", "Segmentation") != "Segmentation" else ""
    return (
        f"this checkpoint was trained on {len(seen)} of the {len(data.test_patients)} test {data.unit}{unlabeled}; "
        "--pretrain_fraction in both trainings keeps them apart"
    )


def read_weights(session: Session, path: str, network: SegmentationNetwork, data: Target) -> dict[str, torch.Tensor]:
    """The state dict of a model of ours, or of a checkpoint from elsewhere (see :mod:`segxfer3d.weights.formats`),
    checked against ``network``.

    Raises:
        InputError: it is of another network, or its pretext did not train what ``init`` would load.
    """
    ours = network.definition["arguments"]
    content = read_content(path)
    if "format" not in content:
        state_dict, note = formats.translate(content, network.definition, f"checkpoint {path}", session.knobs)
        if note:
            session.say(f"note: {note}")
        return state_dict
    model = checkpoint.read_model(path)
    theirs = model["network"]["arguments"]
    if model["network"]["name"] != network.definition["name"]:
        raise InputError(
            f"checkpoint {path}: its network is {model['network']['name']}, this one {network.definition['name']}"
        )
    for name in ("width", "backbone", "in_channels"):
        if theirs.get(name) != ours.get(name):
            hint = f"; --{name} {theirs.get(name)}" if name in session.knobs else ""
            raise InputError(
                f"checkpoint {path}: its network has {name} {theirs.get(name)}, this one {ours.get(name)}{hint}"
            )
    trained = model["provenance"].get("trained_parts", PARTS)
    if untrained := [part for part in transfer.loaded_parts(session.knobs.init) if part not in trained]:
        raise InputError(
            f"init {session.knobs.init}: the pretext of {path} ({model['provenance'].get('pretext')}) did not train "
            f"the {' and '.join(untrained)}; expected --init encoder"
        )
    if warning := leak(model["provenance"], data):
        session.say(f"warning: {warning}")
    if model["preprocessing"] != data.preprocessing.as_dict():
        session.say("warning: the checkpoint was trained with other preprocessing than this run uses")
    weights: dict[str, torch.Tensor] = model["state_dict"]
    return weights
