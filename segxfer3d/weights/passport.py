"""Does a checkpoint fit this network and this data? What is wrong is refused, what a user should know is noted."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Protocol

from torch import Tensor

from segxfer3d.config.initializations import loaded_parts
from segxfer3d.data.class_names import refuse_other_order
from segxfer3d.data.content_hash import SAME
from segxfer3d.data.layouts.request import BY_TARGET
from segxfer3d.errors import InputError
from segxfer3d.networks import PARTS, SegmentationNetwork
from segxfer3d.weights import checkpoint, formats
from segxfer3d.weights.formats.base import read_content
from segxfer3d.weights.lineage import Sighting, sightings
from segxfer3d.weights.stem import has_rule

# arguments of a network that have to be the checkpoint's
COMPARED = ("width", "features", "strides", "kernels", "norm", "backbone", "stem", "in_channels")
_OTHER_PREPROCESSING = "warning: the checkpoint was trained with other preprocessing than this run uses"


class Preprocessing(Protocol):
    """How cases become what a network sees."""

    def as_dict(self) -> dict[str, Any]: ...


class Target(Protocol):
    """What a checkpoint is checked against: the data that a network will be fine-tuned on.

    Attributes:
        name: of the data set.
        test_patients: patients of the test part; of images, what is never split.
        test_contents: what the cases of the test part show, as hashes of their decoded values: each that a case is
            known by, and the one that stands for the case.
        dims: 3 for volumes, 2 for images.
        unit: what ``test_patients`` are, in words, such as ``patients``.
        preprocessing: of every case.
        classes: label value to name.
    """

    @property
    def name(self) -> str: ...

    @property
    def test_patients(self) -> set[str]: ...

    @property
    def test_contents(self) -> Mapping[str, str]: ...

    @property
    def dims(self) -> int: ...

    @property
    def unit(self) -> str: ...

    @property
    def preprocessing(self) -> Preprocessing: ...

    @property
    def classes(self) -> Mapping[int, str]: ...


def leaks(provenance: Mapping[str, Any], target: Target) -> list[str]:
    """How many of the test part a checkpoint has seen while it, or what it started from, was trained, in words.

    Args:
        provenance: of the checkpoint.
        target: the data that the network will be fine-tuned and tested on.
    """
    found = sightings(provenance, name=target.name, patients=target.test_patients, contents=target.test_contents)
    return [text for sighting in found for text in _leaks(sighting, target)]


def _leaks(sighting: Sighting, target: Target) -> Iterator[str]:
    trained, how = "this checkpoint was trained on", sighting.how
    apart, away = "--pretrain_fraction in both trainings keeps them apart", "leave them out of one of the two"
    if sighting.through_start:
        trained = f"through its start, {trained}"
        apart = "--pretrain_fraction in all trainings keeps them apart"
        away = "leave them out of the test part, or of its start's data"
    if target.name in BY_TARGET:
        apart += ", with the same --target"
    if sighting.extra:
        apart = "leave them out of extra_dataset_dir"
    if sighting.patients:
        text = f"{trained} {len(sighting.patients)} of the {len(target.test_patients)} test {target.unit}, {how}"
        if sighting.layout:
            yield f"{text}, in the data set {sighting.layout}, which is of the same files; {away}"
        elif sighting.nameless:
            yield (
                f"{text}, if the same names are the same {target.unit}: its cube store {sighting.nameless} does not "
                "say of which data set it is; segxfer3d data cubes writes one that does"
            )
        else:
            yield f"{text}; {apart}"
    if sighting.contents:
        (what, same), number = SAME[target.dims], len(set(target.test_contents.values()))
        yield (
            f"{trained} {len(sighting.contents)} of the {number} test {what}, {how}: the same "
            f"{same}, in the data set {' and '.join(sighting.places)}; {away}"
        )


def read_weights(
    path: str, network: SegmentationNetwork, target: Target, *, init: str, options: Collection[str] = ()
) -> tuple[dict[str, Tensor], list[str]]:
    """The state dict of a model of ours, or of a checkpoint from elsewhere (see :mod:`segxfer3d.weights.formats`),
    checked against a network and its data.

    Args:
        path: of the checkpoint.
        network: that it is for.
        target: the data that the network will be fine-tuned on.
        init: name of the initialization, which says what will be loaded.
        options: names of those that the user can turn, for messages.

    Returns:
        the state dict, and what the user should hear, such as ``warning: ...``.

    Raises:
        InputError: it is of another network, or its pretext did not train what ``init`` would load.
    """
    content = read_content(path)
    if "format" not in content:
        state_dict, note = formats.translate(content, network.definition, f"checkpoint {path}", options)
        known, used = formats.recognize(content), target.preprocessing.as_dict()
        other = known is not None and any(
            used.get(name) != value for name, value in (known.preprocessing or {}).items()
        )
        return state_dict, ([f"note: {note}"] if note else []) + ([_OTHER_PREPROCESSING] if other else [])
    model = checkpoint.read_model(path)
    _refuse_another_network(path, model["network"], network.definition, options)
    _refuse_untrained(path, model["provenance"], init)
    notes = _check_classes(path, model["classes"], target, init)
    notes += _other_statistics(model["network"]["arguments"], network.definition["arguments"])
    notes += [f"warning: {leak}" for leak in leaks(model["provenance"], target)]
    if model["preprocessing"] != target.preprocessing.as_dict():
        notes.append(_OTHER_PREPROCESSING)
    weights: dict[str, Tensor] = model["state_dict"]
    return weights, notes


def _refuse_another_network(
    path: str, theirs: Mapping[str, Any], ours: Mapping[str, Any], options: Collection[str]
) -> None:
    if theirs["name"] != ours["name"]:
        hint = f"; --network {theirs['name']}" if "image_size" in options else ""  # volumes' jobs take it by themselves
        raise InputError(f"checkpoint {path}: its network is {theirs['name']}, this one {ours['name']}{hint}")
    for name in COMPARED:
        their_value, our_value = theirs["arguments"].get(name), ours["arguments"].get(name)
        if name == "in_channels" and has_rule(their_value, our_value):
            continue
        if their_value != our_value:
            hint = f"; --{name} {their_value}" if name in options else ""
            raise InputError(f"checkpoint {path}: its network has {name} {their_value}, this one {our_value}{hint}")


def _other_statistics(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    """A network may go on with the other kind, but it says something else in evaluation. Runs of earlier versions did,
    so it is no reason to refuse."""
    name = "batch_statistics"
    trained, used = bool(theirs.get(name)), bool(ours.get(name))
    if trained == used:
        return []
    return [f"warning: the checkpoint was trained with {name} {trained}, this run has {used}; --{name} {trained}"]


def _check_classes(path: str, classes: Mapping[int, str], target: Target, init: str) -> list[str]:
    """A head that is loaded has an output for each class, in the order of their values."""
    if "head" not in loaded_parts(init) or len(classes) != len(target.classes):
        return []
    place = f"dataset {target.name}"
    theirs = dict(zip(sorted(target.classes), (classes[value] for value in sorted(classes)), strict=True))
    note = refuse_other_order(target.classes, theirs, place=place, checkpoint=path)
    return [f"note: {note}"] if note else []


def _refuse_untrained(path: str, provenance: Mapping[str, Any], init: str) -> None:
    trained = provenance.get("trained_parts", PARTS)
    if untrained := [part for part in loaded_parts(init) if part not in trained]:
        raise InputError(
            f"init {init}: the pretext of {path} ({provenance.get('pretext')}) did not train "
            f"the {' and '.join(untrained)}; expected --init encoder"
        )
