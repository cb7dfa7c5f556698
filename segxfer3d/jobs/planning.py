"""What sizes a fine-tuning works with: set by hand, brought by the network that is transferred, or planned from the
cases whose labels train."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from segxfer3d.config import groups, learning
from segxfer3d.config.options import Options
from segxfer3d.config.windows import AUTO, spread_of
from segxfer3d.data.planning import Plan
from segxfer3d.errors import InputError
from segxfer3d.inference.settings import InferenceSettings
from segxfer3d.jobs.plans import PLAN, find_plan
from segxfer3d.jobs.pretrain import refuse_sizes
from segxfer3d.jobs.shape import Brought, Shape, find_brought, is_deep, shape_of
from segxfer3d.jobs.source import Source, SplitRule, find_source, say_padding
from segxfer3d.jobs.unused import refuse_unused_changes, refuse_unused_warmup, refuse_unused_window
from segxfer3d.jobs.unvalidated import refuse_unvalidated
from segxfer3d.run.devices import Place
from segxfer3d.run.folder import RunFolder

ACROSS = 1  # the axis of an image from left to right, the only one along which any image may be turned around


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
        deep_supervision: whether the loss is taken at each level of the decoder.
    """

    source: Source
    patch_size: tuple[int, ...]
    batch_size: int
    shape: Shape
    activation: str
    mirror_axes: tuple[int, ...] = ()
    plan: Plan | None = None
    deep_supervision: bool = False

    @property
    def outputs(self) -> int:
        """Channels of the network's output: one a foreground class, and with softmax one for the background."""
        return len(self.source.case_set.classes) + (self.activation == "softmax")

    @property
    def spread(self) -> str:
        """How the windows of whole volumes lie, see :func:`~segxfer3d.config.windows.spread_of`."""
        return spread_of(AUTO, len(self.source.case_set.classes))

    @property
    def inference(self) -> InferenceSettings:
        """How outputs become masks while the network trains."""
        return InferenceSettings(self.activation, regions=self.source.case_set.regions)


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
    if dims == 2:
        refuse_sizes(options)
    refuse_unused_changes(options)
    refuse_unused_warmup(options)
    source = find_source(options, run, dims=dims, task="segmentation", split_rule=split_rule, labels=True)
    refuse_unvalidated(options, len(source.split.validation))
    activation = _activation(options, len(source.case_set.classes), overlap=bool(source.case_set.regions))
    if dims == 2:
        size = options[groups.ImageNetwork].image_size
        shape, axes = shape_of(options, find_brought(options, source)), _mirror_axes(options, dims, None)
        deep = options[learning.Learning].deep_supervision
        return Planned(source, (size, size), _batch(options), shape, activation, axes, deep_supervision=deep)
    brought = find_brought(options, source)
    if options[learning.Planned].plan == "none":
        planned = _by_hand(options, source, brought)
    else:
        planned = _with_plan(options, run, place, source, brought)
    refuse_unused_window(options, planned.source.preprocessing)
    say_padding(run, source.report, planned.patch_size)
    axes = _mirror_axes(options, dims, planned.plan)
    deep = is_deep(options, planned.shape)
    return dataclasses.replace(planned, activation=activation, mirror_axes=axes, deep_supervision=deep)


def _by_hand(options: Options, source: Source, brought: Brought) -> Planned:
    """Sizes as the options say them, or as the checkpoint brings them."""
    size = options[groups.Volumes].patch_size or brought.patch_size
    if size is None:
        raise InputError("patch_size: expected three numbers of voxels where --plan is none")
    return Planned(source, tuple(size), _batch(options), shape_of(options, brought), "sigmoid")


def _mirror_axes(options: Options, dims: int, plan: Plan | None) -> tuple[int, ...]:
    """Along which inference mirrors: as training did; a network that never saw it is worse for it.

    Raises:
        InputError: axes that training does not turn around, or mirroring that it never saw.
    """
    changes = options.find(learning.Augmentation)  # which an earlier bundle of images has not
    asked = options[learning.Learning].mirrored_inference
    if changes is not None and not changes.mirrors:
        if asked and "mirrored_inference" in options.by_hand:
            raise InputError(
                "mirrored_inference True: with --mirror 0 training turns nothing around; expected False, or a chance "
                "above 0"
            )
        return ()
    if dims == 2 and (changes is None or changes.augmentation == "flips"):
        if changes is not None and changes.mirror_axes not in ("auto", "x"):
            raise InputError(
                f"mirror_axes {changes.mirror_axes}: with --augmentation flips images are turned around across only; "
                "expected auto or x, or --augmentation full"
            )
        return (ACROSS,) if asked else ()
    axes = planned_axes(options, plan, dims=dims)
    return axes if asked else ()


def planned_axes(options: Options, plan: Plan | None, *, dims: int = 3) -> tuple[int, ...]:
    """Along which training may mirror: set by hand, else planned, else all axes of volumes, and images across.

    Raises:
        InputError: images have no z.
    """
    axes = options[learning.Augmentation].mirror_axes
    if dims == 2:
        if axes == "auto":
            return (ACROSS,)
        if "z" in axes:
            raise InputError(f"mirror_axes {axes}: images have x (across) and y (down) only")
        return tuple(sorted("yx".index(axis) for axis in axes))
    if axes != "auto":
        return tuple("xyz".index(axis) for axis in axes)
    return plan.mirror_axes if plan else (0, 1, 2)


def _batch(options: Options) -> int:
    """Set by hand, or 4."""
    return options[groups.Training].batch_size or 4


def _activation(options: Options, classes: int, *, overlap: bool) -> str:
    """What the option says; ``auto`` is softmax over several classes that do not overlap.

    Raises:
        InputError: softmax of one class, or of regions; or the largest component of regions.
    """
    activation, keep = options[learning.Learning].activation, options[learning.Learning].largest_component
    if overlap and activation == "softmax":
        raise InputError("activation softmax: the classes are regions, which overlap; expected --activation sigmoid")
    if overlap and keep == "always":
        raise InputError("largest_component always: the classes are regions, which overlap; expected never or auto")
    if activation == "auto":
        return "softmax" if classes > 1 and not overlap else "sigmoid"
    if activation == "softmax" and classes == 1:
        raise InputError("activation softmax: expected two classes or more beside the background; --activation sigmoid")
    return activation


def _with_plan(options: Options, run: RunFolder, place: Place, source: Source, brought: Brought) -> Planned:
    """Sizes from a plan: of the run that goes on, of a file, or made from the training cases."""
    plan, preprocessing = find_plan(options, run, place, source, brought)
    run.record(PLAN, plan.as_dict())
    source = dataclasses.replace(source, preprocessing=preprocessing)
    return Planned(source, plan.patch_size, plan.batch_size, shape_of(options, brought, plan), "sigmoid", plan=plan)
