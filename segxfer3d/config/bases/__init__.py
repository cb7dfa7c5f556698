"""What bundles have in common: a base for each kind of job, and what volumes and images add to it."""

from __future__ import annotations

from segxfer3d.config import groups, learning
from segxfer3d.config.bases.common import COMMON, IMPORTS, SPLIT, START, Layer
from segxfer3d.config.bases.finetune import FINETUNE, FINETUNE_IMAGES, FINETUNE_VOLUMES
from segxfer3d.config.bases.pretrain import PRETRAIN, PRETRAIN_IMAGES, PRETRAIN_VOLUMES
from segxfer3d.config.own_split import OwnSplit

__all__ = ["BASES", "COMMON", "DIMENSIONS", "Layer"]

BASES: dict[str, Layer] = {
    "pretrain": Layer((groups.Data, OwnSplit, groups.Training), PRETRAIN, (*IMPORTS, *SPLIT)),
    "finetune": Layer(
        (groups.Data, OwnSplit, groups.TestPart, groups.Labels, groups.Start, groups.Training, learning.Learning),
        FINETUNE,
        (
            *IMPORTS,
            *SPLIT,
            "import segxfer3d.config.recipes as recipes",
            "import segxfer3d.jobs.evaluate as evaluate",
            "import segxfer3d.networks.named as named",
            "import segxfer3d.training.loaders as loaders",
        ),
    ),
    "apply": Layer((), {**START, "finalize": ["$@run_folder.end()"]}, IMPORTS),
}
# (base, dimensions) -> what is put on it
DIMENSIONS: dict[tuple[str, int], tuple[Layer, ...]] = {
    ("pretrain", 3): (PRETRAIN_VOLUMES,),
    ("pretrain", 2): (PRETRAIN_IMAGES,),
    ("finetune", 3): (FINETUNE_VOLUMES,),
    ("finetune", 2): (FINETUNE_IMAGES,),
}
