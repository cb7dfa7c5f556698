"""What a user should hear of a model and of the data that it meets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields

from segxfer3d.config import amp, groups
from segxfer3d.config.image_files import ImageFiles
from segxfer3d.config.options import Group, Options
from segxfer3d.config.store import Store
from segxfer3d.config.volume_files import VolumeFiles
from segxfer3d.config.windows import AUTO, WindowSize
from segxfer3d.data.case import NOUNS, Case
from segxfer3d.data.check import CheckReport
from segxfer3d.data.modalities import modality_of_names
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.data.seen import Values, is_far_range, is_far_spacing, values_seen
from segxfer3d.errors import InputError, some
from segxfer3d.inference.model import Model
from segxfer3d.run.folder import RunFolder

# what a model of images has no use for, and one of volumes
_OF_OTHERS: Mapping[int, tuple[type[Group], ...]] = {2: (VolumeFiles, Store, WindowSize), 3: (ImageFiles,)}


def refuse_unused(options: Options, model: Model) -> None:
    """Options of volumes beside a model of images, or the other way round, which nothing would look at.

    Raises:
        InputError: some are set; all are named.
    """
    groups = [group for kind in _OF_OTHERS[model.dims] if (group := options.find(kind)) is not None]
    asked = [
        f"{field.name} {value}"
        for group in groups
        for field in fields(group)
        if (value := getattr(group, field.name)) not in (field.default, AUTO)  # which asks for nothing
    ]
    if asked:
        raise InputError(
            f"{some(asked, 10, ', ')}: of {NOUNS[5 - model.dims]}; the model {model.path} is of {NOUNS[model.dims]}, "
            "expected none"
        )


def say_members(run: RunFolder, model: Model) -> None:
    """Which models are averaged, if several are."""
    if model.members:
        run.record("ensemble", {"models": list(model.members)})
        run.say(f"the mean of {len(model.members)} models: {', '.join(model.members)}")


def say_precision(options: Options, run: RunFolder, model: Model) -> None:
    """What a model is used in, where that is not what it was trained in, or not what its check chose.

    Args:
        options: of the job.
        run: is told.
        model: to use.
    """
    in_bf16, by_hand = options[groups.Run].amp, "amp" in options.by_hand
    check = model.provenance.get("precision") or {}
    figures = "it had no validation cases"
    if check.get("cases"):
        figures = "dice {bf16:.4f} in bf16, {float32:.4f} in float32".format(**check["dice"])
    if in_bf16 and by_hand and check.get("used") == "float32":
        run.say(f"warning: {model.path} was found not to be for bf16 ({figures})")
    elif not in_bf16 and not by_hand and model.provenance.get("amp"):
        run.say(f"note: trained in bf16, used in float32: {_why_float32(model)}")
    elif not in_bf16 and not by_hand and check:
        run.say(f"note: trained in bf16, used in float32, as its check chose ({figures})")


def _why_float32(model: Model) -> str:
    if amp.said() is False:
        return f"{amp.VARIABLE} says so"
    slow = "this device is not faster in bf16"
    return f"{slow}, or one of the other models is not for it" if model.members else slow


def say_fit(run: RunFolder, model: Model, cases: Sequence[Case], report: CheckReport) -> None:
    """Warn of volumes that are spaced, or valued, far from all that the model was trained on.

    Spacing counts where the model takes volumes as they are; values count, channel by channel, where their scale is
    fixed (a window of HU, or the foreground of training), for otherwise each volume is scaled by its own.

    Args:
        run: is told.
        model: to use; an older one does not say what it was trained on, and nothing is said.
        cases: that it will see.
        report: of their check.
    """
    seen, preprocessing = model.provenance.get("seen"), model.preprocessing
    if not seen or not isinstance(preprocessing, VolumePreprocessing):
        return
    names = [case.name for case in cases if case.name in report.seen]
    far = [name for name in names if is_far_spacing(report.seen[name][0], seen)]
    if far and preprocessing.spacing is None:
        run.say(
            f"warning: {len(far)} of {len(names)} volumes have a spacing far from training's: {some(far, 3, ', ')} "
            f"{_in_mm(report.seen[far[0]][0])}, the model was trained on {_in_mm(seen['spacing'][1])} without "
            "resampling; --spacing_of training resamples to that"
        )
    for number, trained in enumerate(values_seen(seen)[: preprocessing.channels]):
        _say_odd_values(run, preprocessing, number, trained, {name: report.seen[name][1][number] for name in names})


def _say_odd_values(
    run: RunFolder, preprocessing: VolumePreprocessing, number: int, trained: Values, values: Mapping[str, Values]
) -> None:
    """Warn of volumes of which a channel has values far from those of training, where its scale is fixed."""
    scale, several = preprocessing.scales[number], preprocessing.channels > 1
    odd = [name for name, seen in values.items() if is_far_range(seen, trained, scale.window_low)]
    if scale.intensity not in ("window", "foreground") or not odd:
        return
    channel = preprocessing.channel_names[number] if preprocessing.channel_names else f"channel {number + 1}"
    asked = "are they in HU?" if not several or modality_of_names([channel]) == "CT" else "are they in one unit?"
    run.say(
        f"warning: {len(odd)} of {len(values)} volumes have values {f'of {channel} ' if several else ''}far outside "
        f"training's range: {some(odd, 3, ', ')} {values[odd[0]][0]:g} to {values[odd[0]][1]:g}, training "
        f"{trained[0]:g} to {trained[1]:g} (99 % of the voxels); {asked}"
    )


def _in_mm(spacing: Sequence[float]) -> str:
    return " x ".join(f"{value:g}" for value in spacing) + " mm"
