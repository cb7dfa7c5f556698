"""What sizes a fine-tuning works with: set by hand, brought by the network that is transferred, or planned from the
cases whose labels train."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segxfer3d.config import groups, learning
from segxfer3d.config.initializations import needs_checkpoint
from segxfer3d.config.options import Options
from segxfer3d.data import preprocessing as preprocessings
from segxfer3d.data.planning import Plan, make_plan, take_fingerprint
from segxfer3d.data.planning.words import plan_text
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError
from segxfer3d.inference.settings import InferenceSettings
from segxfer3d.jobs.plan_files import plan_of_file, recorded_plan
from segxfer3d.jobs.source import Source, SplitRule, find_source, say_padding
from segxfer3d.networks import make_network
from segxfer3d.run import processes
from segxfer3d.run.devices import Place
from segxfer3d.run.folder import RunFolder
from segxfer3d.training.capacity import memory_of, voxels_per_second
from segxfer3d.weights import checkpoint
from segxfer3d.weights.formats.base import read_content

PLAN = "plan"
PUBLISHED_WIDTH = 32  # of Models Genesis' network
PLANNED_NETWORKS = ("plain_unet", "resenc_unet")  # whose levels follow from the data
_LEVELS = ("strides", "kernels", "features", "stem")
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
class Planned:
    """The cases of a fine-tuning, and the sizes that it works with.

    Attributes:
        source: the cases, with the preprocessing of the plan.
        patch_size: of what the network trains on, in every dimension.
        batch_size: patches in a step, for each process.
        shape: of the network.
        activation: of the network's output, ``sigmoid`` or ``softmax``.
        mirror_axes: along which inference turns images around too.
        plan: None where no plan was made.
    """

    source: Source
    patch_size: tuple[int, ...]
    batch_size: int
    shape: Shape
    activation: str
    mirror_axes: tuple[int, ...] = ()
    plan: Plan | None = None

    @property
    def outputs(self) -> int:
        """Channels of the network's output: one a foreground class, and with softmax one for the background."""
        return len(self.source.case_set.classes) + (self.activation == "softmax")

    @property
    def inference(self) -> InferenceSettings:
        """How outputs become masks while the network trains."""
        return InferenceSettings(self.activation)


def planned_source(options: Options, run: RunFolder, place: Place, *, dims: int, split_rule: SplitRule) -> Planned:
    """Find, check and split the data, and settle the sizes.

    Args:
        options: of the job.
        run: told what was found; records the plan.
        place: where it runs.
        dims: 3 for volumes, 2 for images.
        split_rule: who is in which part, and whose labels are drawn.

    Raises:
        InputError: anything wrong with the data, or sizes that cannot be used.
    """
    source = find_source(options, run, dims=dims, task="segmentation", split_rule=split_rule, labels=True)
    activation = _activation(options, len(source.case_set.classes))
    if dims == 2:
        size = options[groups.ImageNetwork].image_size
        shape, axes = _shape(options, _Brought()), _mirror_axes(options, dims, None)
        return Planned(source, (size, size), _batch(options), shape, activation, axes)
    brought = _brought(options, source)
    if options[learning.Planned].plan == "none":
        planned = _by_hand(options, source, brought)
    else:
        planned = _with_plan(options, run, place, source, brought)
    say_padding(run, source.report, planned.patch_size)
    axes = _mirror_axes(options, dims, planned.plan)
    return dataclasses.replace(planned, activation=activation, mirror_axes=axes)


@dataclass(frozen=True)
class PretrainingSizes:
    """What a pretraining on volumes works with: ``patch_size`` and ``shape``, as in :class:`Planned`."""

    patch_size: tuple[int, int, int]
    shape: Shape


def pretraining_sizes(options: Options) -> PretrainingSizes:
    """Sizes as the options say them; what they leave open is that of a plan's file.

    Raises:
        InputError: no such file, or a size that nothing says.
    """
    asked = options[learning.Planned].plan
    if asked == "data":
        raise InputError("plan data: needs labels; expected none, or the plan.json of a fine-tuning for pretraining")
    if options[groups.Volumes].intensity in ("foreground", "zscore"):
        raise InputError(
            "intensity: expected auto, window or percentile in pretraining, whose intensities are in [0, 1]"
        )
    plan = None if asked == "none" else plan_of_file(Path(asked), options)
    size = plan.patch_size if plan else options[groups.Volumes].patch_size
    if not size:
        raise InputError("patch_size: expected three numbers of voxels where --plan is none")
    return PretrainingSizes(size, _shape(options, _Brought(), plan))


def _by_hand(options: Options, source: Source, brought: _Brought) -> Planned:
    """Sizes as the options say them, or as the checkpoint brings them."""
    size = options[groups.Volumes].patch_size or brought.patch_size
    if size is None:
        raise InputError("patch_size: expected three numbers of voxels where --plan is none")
    return Planned(source, tuple(size), _batch(options), _shape(options, brought), "sigmoid")


def _mirror_axes(options: Options, dims: int, plan: Plan | None) -> tuple[int, ...]:
    """Along which inference mirrors: as training did; a network that never saw it is worse for it."""
    if not options[learning.Learning].mirrored_inference:
        return ()
    if dims == 2:
        return (1,)  # images are turned around from left to right only
    return planned_axes(options, plan) if options[learning.Augmentation].mirrors else ()


def planned_axes(options: Options, plan: Plan | None) -> tuple[int, ...]:
    """Along which training may mirror volumes: set by hand, else planned, else all."""
    axes = options[learning.Augmentation].mirror_axes
    if axes != "auto":
        return tuple("xyz".index(axis) for axis in axes)
    return plan.mirror_axes if plan else (0, 1, 2)


def _batch(options: Options) -> int:
    """Set by hand, or 4."""
    return options[groups.Training].batch_size or 4


def _activation(options: Options, classes: int) -> str:
    """What the option says; ``auto`` is softmax over several classes.

    Raises:
        InputError: softmax of one class.
    """
    activation = options[learning.Learning].activation
    if activation == "auto":
        return "softmax" if classes > 1 else "sigmoid"
    if activation == "softmax" and classes == 1:
        raise InputError("activation softmax: expected two classes or more beside the background; --activation sigmoid")
    return activation


@dataclass(frozen=True)
class _Brought:
    """What the network that is transferred was trained with; nothing where none is."""

    preprocessing: VolumePreprocessing | None = None
    patch_size: tuple[int, ...] | None = None
    name: str = ""
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def _brought(options: Options, source: Source) -> _Brought:
    start = options[groups.Start]
    if not needs_checkpoint(start.init):
        return _Brought()
    if not start.checkpoint:  # on generated data it is made in a moment, from intensities in [0, 1]
        return _Brought(VolumePreprocessing.for_modality(source.case_set.modality)) if source.generated else _Brought()
    content = read_content(start.checkpoint)
    if "format" not in content:
        return _Brought()
    model = checkpoint.read_model(start.checkpoint)
    preprocessing = preprocessings.from_dict(model["preprocessing"])
    if not isinstance(preprocessing, VolumePreprocessing):
        return _Brought()  # whoever loads it says that it is of images
    arguments = {name: value for name, value in model["network"]["arguments"].items() if name not in _OF_DATA}
    size = model["provenance"].get("patch_size")
    asked, its = options[groups.Network], arguments.get("width") or arguments.get("features", (None,))[0]
    if asked.network == model["network"]["name"] and asked.width and its and asked.width != its:
        raise InputError(
            f"checkpoint {start.checkpoint}: its network has width {its}, this one {asked.width}; --width {its}"
        )
    return _Brought(preprocessing, tuple(size) if size else None, model["network"]["name"], arguments)


def _shape(options: Options, brought: _Brought, plan: Plan | None = None) -> Shape:
    """Of the network: as the options say, else as the checkpoint brings it, else as planned."""
    network, before = options[groups.Network], brought.arguments
    norm = before.get("norm") if network.norm == "auto" else network.norm
    if network.network not in PLANNED_NETWORKS:
        return Shape(_own_width(options, brought), norm)
    width = network.width or before.get("width") or (plan.features[0] if plan else PUBLISHED_WIDTH)
    if brought.name == network.network:
        return Shape(width, norm, *(before.get(name) for name in _LEVELS))
    return Shape(width, norm, *(getattr(plan, name, None) for name in _LEVELS))


def _own_width(options: Options, brought: _Brought) -> int:
    """Of a network whose levels do not follow from the data."""
    return options[groups.Network].width or int(brought.arguments.get("width") or PUBLISHED_WIDTH)


def _own_levels(options: Options, brought: _Brought) -> dict[str, Any]:
    """The levels of the network that is not planned, or comes with a checkpoint; nothing where all is planned."""
    name = options[groups.Network].network
    if name in PLANNED_NETWORKS:
        return {level: brought.arguments.get(level) for level in _LEVELS} if brought.name == name else {}
    encoder = make_network(name, dims=3, in_channels=1, out_channels=1, width=_own_width(options, brought)).encoder
    return {
        "strides": encoder.strides, "features": encoder.channels, "kernels": [(3, 3, 3)] * len(encoder.channels),
        "stem": (1, 1, 1),
    }  # fmt: skip


def _with_plan(options: Options, run: RunFolder, place: Place, source: Source, brought: _Brought) -> Planned:
    """Sizes from a plan: of the run that goes on, of a file, or made from the training cases."""
    plan = _plan(options, run, place, source, brought)
    run.record(PLAN, plan.as_dict())
    preprocessing = plan.preprocessing()
    if brought.preprocessing is not None:
        preprocessing = _as_brought(options[groups.Volumes], brought.preprocessing, preprocessing)
    source = dataclasses.replace(source, preprocessing=preprocessing)
    return Planned(source, plan.patch_size, plan.batch_size, _shape(options, brought, plan), "sigmoid", plan=plan)


def _as_brought(
    volumes: groups.Volumes, before: VolumePreprocessing, planned: VolumePreprocessing
) -> VolumePreprocessing:
    """As the transferred network was trained; but what is set by hand, of which the user is warned, see
    :func:`~segxfer3d.weights.passport.read_weights`."""
    spacing = before.spacing if volumes.spacing is None else volumes.spacing
    return dataclasses.replace(before if volumes.intensity == "auto" else planned, spacing=spacing)


def _plan(options: Options, run: RunFolder, place: Place, source: Source, brought: _Brought) -> Plan:
    asked = options[learning.Planned].plan
    if run.resume:
        return recorded_plan(run.path / f"{PLAN}.json")
    if asked != "data":
        return plan_of_file(Path(asked), options)
    volumes, minutes = options[groups.Volumes], options[learning.Learning].minutes
    fixed: dict[str, Any] = {
        "spacing": volumes.spacing,
        "patch_size": volumes.patch_size or brought.patch_size,
        "batch_size": options[groups.Training].batch_size,
        "width": options[groups.Network].width if options[groups.Network].network in PLANNED_NETWORKS else None,
        "intensity": None if volumes.intensity == "auto" else volumes.intensity,
        "window_low": volumes.window_low,
        "window_high": volumes.window_high,
        **_own_levels(options, brought),
    }
    if brought.preprocessing is not None:
        fixed["spacing"] = fixed["spacing"] or brought.preprocessing.spacing
    amp = options[groups.Run].amp
    speed = None if minutes is None else voxels_per_second(place.device, amp=amp)
    plan = make_plan(
        take_fingerprint(source.split.labeled, source.case_set),
        memory=memory_of(place.device),
        minutes=minutes,
        voxels_per_second=speed,
        network=options[groups.Network].network,
        amp=amp,
        fixed=fixed,
    )
    plan = Plan.from_dict(json.loads(processes.of_first(json.dumps(plan.as_dict()))))  # speed and memory differ
    run.say(plan_text(plan))
    return plan
