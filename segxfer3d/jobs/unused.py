"""Options that are set by hand and would change nothing: they are refused, never passed over."""

from __future__ import annotations

from pathlib import Path

from segxfer3d.config import groups, learning
from segxfer3d.config.initializations import frozen_parts
from segxfer3d.config.options import Options
from segxfer3d.data.preprocessing import Preprocessing
from segxfer3d.data.preprocessing.scale import refuse_other_window
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError

_ENDS = ("window_low", "window_high")


def refuse_unused_window(options: Options, used: Preprocessing, expected: str = "--intensity window") -> None:
    """Refuse ends of a window where volumes are scaled by none, or by another. Earlier runs go on as they began.

    Args:
        options: of the job.
        used: how volumes are scaled: by rules of a plan, of a checkpoint or of the modality where nothing is set.
        expected: what to do.

    Raises:
        InputError: as it says.
    """
    if not isinstance(used, VolumePreprocessing) or options[groups.Training].resume:
        return
    volumes = options[groups.Volumes]
    if any(options.is_asked(name) for name in _ENDS):
        refuse_other_window(used.scales, volumes.window_low, volumes.window_high, expected)


def refuse_other_cubes(options: Options, used: VolumePreprocessing, folder: Path) -> None:
    """Refuse a spacing, an intensity or a window that the cubes of a store do not have. Earlier runs go on as they
    began.

    Args:
        options: of a pretraining.
        used: how the volumes of the store became cubes.
        folder: of the store.

    Raises:
        InputError: as it says.
    """
    volumes = options[groups.Volumes]
    own = f"expected none beside a cube store, {folder} was cut with its own"
    refuse_unused_window(options, used, own.removeprefix("expected "))
    if options[groups.Training].resume:
        return
    if volumes.spacing is not None and volumes.spacing != used.spacing:
        raise InputError(f"spacing {' '.join(f'{side:g}' for side in volumes.spacing)}: {own}")
    rules = tuple(scale.intensity for scale in used.scales)
    asked = (volumes.intensity,) if isinstance(volumes.intensity, str) else volumes.intensity
    if volumes.intensity != "auto" and asked not in (rules, tuple(dict.fromkeys(rules))):
        raise InputError(f"intensity {', '.join(asked)}: {own} ({', '.join(dict.fromkeys(rules))})")


def refuse_unused_warmup(options: Options) -> None:
    """Refuse a warm-up of the decoder where the encoder stays frozen in all epochs. Earlier runs go on as they began.

    Args:
        options: of a fine-tuning.

    Raises:
        InputError: as it says.
    """
    start = options[groups.Start]
    if start.decoder_warmup_epochs and "encoder" in frozen_parts(start.init) and not options[groups.Training].resume:
        raise InputError(
            f"decoder_warmup_epochs {start.decoder_warmup_epochs}: with init {start.init} the encoder is frozen "
            "throughout; expected 0, or another --init"
        )


def refuse_unused_changes(options: Options) -> None:
    """Refuse how far, or along what, training changes patches and images in ways that it does not. Earlier runs go on
    as they began.

    Args:
        options: of a fine-tuning.

    Raises:
        InputError: as it says.
    """
    changes = options.find(learning.Augmentation)  # which an earlier bundle of images has not
    if changes is None or options[groups.Training].resume:
        return
    flips = changes.augmentation == "flips"
    if changes.rotate_degrees is not None and not changes.rotate:
        why, else_ = ("augmentation flips", "--augmentation full") if flips else ("rotate 0", "--rotate above 0")
        raise InputError(f"rotate_degrees: with {why} nothing is rotated; expected none, or {else_}")
    if changes.mirror_axes != "auto" and not changes.mirrors:
        raise InputError("mirror_axes: with mirror 0 nothing is turned around; expected auto, or --mirror above 0")
