"""What sizes a pretraining on volumes works with: set by hand, else those of a plan's file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from segxfer3d.config import groups, learning
from segxfer3d.config.options import Options
from segxfer3d.data.planning import Plan
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError
from segxfer3d.jobs.plans import plan_of_file
from segxfer3d.jobs.shape import Brought, Shape, shape_of
from segxfer3d.jobs.source import Source
from segxfer3d.run.folder import RunFolder

SCALES = ("window", "percentile")  # rules of intensities that end in [0, 1], as pretexts ask them back


@dataclass(frozen=True)
class PretrainingSizes:
    """What a pretraining on volumes works with.

    Attributes:
        patch_size: of the cubes, in voxels.
        shape: of the network.
        plan: that spacing and intensities come from; None for the options' own.
    """

    patch_size: tuple[int, int, int]
    shape: Shape
    plan: Plan | None = None

    def source(self, source: Source, run: RunFolder) -> Source:
        """The cases with the plan's spacing and, where a pretext can take them, its intensities.

        Phantoms are taken as they are made, by whoever fine-tunes on them too.

        Args:
            source: the cases, preprocessed as the options say.
            run: told where the plan's intensities are left out.
        """
        before = source.preprocessing
        if self.plan is None or source.generated or not isinstance(before, VolumePreprocessing):
            return source
        preprocessing = dataclasses.replace(self.plan.preprocessing(), channel_names=before.channel_names)
        if preprocessing.channels != before.channels:
            raise InputError(
                f"plan: it has intensities of {preprocessing.channels} channels, the volumes have {before.channels}"
            )
        if others := [scale.intensity for scale in preprocessing.scales if scale.intensity not in SCALES]:
            run.say(
                f"note: the plan's intensities ({', '.join(others)}) are not in [0, 1], as pretexts need them; "
                f"{', '.join(scale.intensity for scale in before.scales)} instead"
            )
            preprocessing = dataclasses.replace(before, spacing=preprocessing.spacing)
        return dataclasses.replace(source, preprocessing=preprocessing)


def pretraining_sizes(options: Options) -> PretrainingSizes:
    """Sizes as the options say them; what they leave open is that of a plan's file.

    Raises:
        InputError: no such file, or a size that nothing says.
    """
    asked = options[learning.Planned].plan
    if asked == "data":
        raise InputError("plan data: needs labels; expected none, or the plan.json of a fine-tuning for pretraining")
    rules = options[groups.Volumes].intensity
    if {"foreground", "zscore"}.intersection((rules,) if isinstance(rules, str) else rules):
        raise InputError(
            "intensity: expected auto, window or percentile in pretraining, whose intensities are in [0, 1]"
        )
    plan = None if asked == "none" else plan_of_file(Path(asked), options)
    size = plan.patch_size if plan else options[groups.Volumes].patch_size
    if not size:
        raise InputError("patch_size: expected three numbers of voxels where --plan is none")
    return PretrainingSizes(size, shape_of(options, Brought(), plan), plan)
