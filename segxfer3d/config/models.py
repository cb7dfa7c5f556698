"""The options that say which models are used together, and on which grid."""

from __future__ import annotations

from dataclasses import dataclass

from segxfer3d.config.options import Group, option

FILE, TRAINING = "file", "training"


@dataclass(frozen=True)
class Models(Group):
    """Several models in the place of one, and the grid that they see."""

    model_dir: str = option(
        "", "in place of checkpoint: the folder of segxfer3d cross, or of runs; the mean of their models is taken",
        path="folder", tells_arms=False,
    )  # fmt: skip
    spacing_of: str = option(
        FILE, "of a model that does not resample: the spacing of each file, or the median of its training",
        choices=(FILE, TRAINING),
    )  # fmt: skip
