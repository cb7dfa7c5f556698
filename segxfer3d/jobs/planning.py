"""What sizes a fine-tuning works with: set by hand, brought by the network that is transferred, or planned from the
cases whose labels train."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from segxfer3d.config import groups, learning
from segxfer3d.config.options import Options
from segxfer3d.data.planning import Plan
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError
from segxfer3d.inference.settings import InferenceSettings
from segxfer3d.jobs.plans import PLAN, find_plan, plan_of_file
from segxfer3d.jobs.shape import Brought, Shape, find_brought, shape_of
from segxfer3d.jobs.source import Source, SplitRule, find_source, say_padding
from segxfer3d.run.devices import Place
from segxfer3d.run.folder import RunFolder


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
        shape, axes = shape_of(options, Brought()), _mirror_axes(options, dims, None)
        return Planned(source, (size, size), _batch(options), shape, activation, axes)
    brought = find_brought(options, source)
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
    return PretrainingSizes(size, shape_of(options, Brought(), plan))


def _by_hand(options: Options, source: Source, brought: Brought) -> Planned:
    """Sizes as the options say them, or as the checkpoint brings them."""
    size = options[groups.Volumes].patch_size or brought.patch_size
    if size is None:
        raise InputError("patch_size: expected three numbers of voxels where --plan is none")
    return Planned(source, tuple(size), _batch(options), shape_of(options, brought), "sigmoid")


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


def _with_plan(options: Options, run: RunFolder, place: Place, source: Source, brought: Brought) -> Planned:
    """Sizes from a plan: of the run that goes on, of a file, or made from the training cases."""
    plan = find_plan(options, run, place, source, brought)
    run.record(PLAN, plan.as_dict())
    preprocessing = plan.preprocessing()
    if brought.preprocessing is not None:
        preprocessing = _as_brought(options[groups.Volumes], brought.preprocessing, preprocessing)
    source = dataclasses.replace(source, preprocessing=preprocessing)
    return Planned(source, plan.patch_size, plan.batch_size, shape_of(options, brought, plan), "sigmoid", plan=plan)


def _as_brought(
    volumes: groups.Volumes, before: VolumePreprocessing, planned: VolumePreprocessing
) -> VolumePreprocessing:
    """As the transferred network was trained; but what is set by hand, of which the user is warned, see
    :func:`~segxfer3d.weights.passport.read_weights`."""
    spacing = before.spacing if volumes.spacing is None else volumes.spacing
    return dataclasses.replace(before if volumes.intensity == "auto" else planned, spacing=spacing)
