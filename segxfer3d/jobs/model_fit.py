"""What a user should hear of a model and of the data that it meets."""

from __future__ import annotations

from collections.abc import Sequence

from segxfer3d.data.case import Case
from segxfer3d.data.check import CheckReport
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.data.seen import is_far_range, is_far_spacing
from segxfer3d.errors import some
from segxfer3d.inference.model import Model
from segxfer3d.run.folder import RunFolder


def say_members(run: RunFolder, model: Model) -> None:
    """Which models are averaged, if several are."""
    if model.members:
        run.record("ensemble", {"models": list(model.members)})
        run.say(f"the mean of {len(model.members)} models: {', '.join(model.members)}")


def say_fit(run: RunFolder, model: Model, cases: Sequence[Case], report: CheckReport) -> None:
    """Warn of volumes that are spaced, or valued, far from all that the model was trained on.

    Spacing counts where the model takes volumes as they are; values count where their scale is fixed (a window of HU,
    or the foreground of training), for otherwise each volume is scaled by its own.

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
    if preprocessing.intensity not in ("window", "foreground"):
        return
    odd = [name for name in names if is_far_range(report.seen[name][1], seen, preprocessing.window_low)]
    if odd:
        low, high = report.seen[odd[0]][1]
        run.say(
            f"warning: {len(odd)} of {len(names)} volumes have values far outside training's range: "
            f"{some(odd, 3, ', ')} {low:g} to {high:g}, training {seen['values'][0]:g} to {seen['values'][1]:g} "
            "(99 % of the voxels); are they in HU?"
        )


def _in_mm(spacing: Sequence[float]) -> str:
    return " x ".join(f"{value:g}" for value in spacing) + " mm"
