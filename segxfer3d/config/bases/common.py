"""What all bundles that train share, in parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from segxfer3d.config import amp, groups
from segxfer3d.config.options import Group

TRAINING = "segxfer3d.training"
FORWARD = {
    "_target_": "segxfer3d.networks.forward.NetworkForward",
    "amp": "@amp",
    "channels_last": "@channels_last",
}


@dataclass(frozen=True)
class Layer:
    """A part of bundles: the groups of options that it takes, entries, and what their expressions import."""

    groups: tuple[type[Group], ...]
    content: Mapping[str, Any]
    imports: tuple[str, ...] = field(default=())


COMMON: tuple[type[Group], ...] = (groups.Run,)

START = {
    "device": "$'cuda' if torch.cuda.is_available() else 'cpu'",
    "place": {"_target_": "segxfer3d.run.devices.Place", "options": "@options"},
    "run_folder": {"_target_": "segxfer3d.run.folder.RunFolder", "options": "@options", "place": "@place"},
}
IMPORTS = (  # MONAI finds no module by "from"
    "import segxfer3d.config.groups as groups",
    "import segxfer3d.config.learning as learning",
    "import segxfer3d.config.reading as reading",
    "import segxfer3d.config.volume_files as volume_files",
    "import segxfer3d.run.devices as devices",
    "import segxfer3d.run.folder as folder",
)

# what pretraining and fine-tuning share
TRAIN: dict[str, Any] = {
    **START,
    "amp": amp.BY_DEVICE,
    "tracking_uri": "$folder.tracking_uri(@run_folder)",
    "experiment_name": "segxfer3d",
    "run_name": None,
    "save_execute_config": False,
    "training_network": {
        "_target_": f"{TRAINING}.preparation.to_training",
        "network": "@start",
        "device": "$@place.device",
        "batch_size": "@batch_size",
        "world_size": "$@place.world_size",
        "channels_last": "@channels_last",
        "compile": "@compile",
    },
    "optimizer": {
        "_target_": f"{TRAINING}.optimization.make_optimizer",
        "network": "@training_network", "name": "@optimizer_name", "lr": "@lr", "weight_decay": "@weight_decay",
        "clip_norm": "@clip_norm",
    },
    "schedule_def": {
        "_target_": f"{TRAINING}.schedules.make_schedule",
        "optimizer": "@optimizer", "name": "@schedule", "total_steps": "$@max_epochs * @steps_per_epoch",
        "steps_per_epoch": "@steps_per_epoch", "warmup_fraction": "@warmup_fraction", "patience": "@patience",
    },
    "writer": {
        "_target_": f"{TRAINING}.model_file.ModelWriter",
        "run": "@run_folder", "preprocessing": "$@data.preprocessing", "classes": "$@data.classes",
        "provenance": "$@data.provenance", "patch_size": "@patch_size", "seed": "@seed",
        "amp": "@amp",
    },
    "train": {
        "dataset": "$@data.train",
        "dataloader": {
            "_target_": f"{TRAINING}.loaders.train_loader",
            "dataset": "@train::dataset", "batch_size": "@batch_size", "device": "$@place.device",
            "num_workers": "@num_workers", "rank": "$@place.rank", "world_size": "$@place.world_size",
        },
        "inferer": FORWARD,
    },
    "validate": {"dataset": "$@data.validation"},
    "state": {
        "_target_": f"{TRAINING}.resume.TrainingState",
        "run": "@run_folder", "network": "@training_network", "optimizer": "@optimizer", "schedule": "@schedule_def",
        "validation": "@validate::evaluator", "patience": "@patience", "keep": "@keep",
        "save_interval": "@save_interval",
    },
    "initialize": ["@options", "@run_folder", "@train::trainer", "$@run_folder.begin()"],
    "finalize": ["$@run_folder.end()"],
}  # fmt: skip
REPEATABLE = {"_target_": f"{TRAINING}.engines.RepeatableEpochs", "seed": "@seed", "dataset": "@train::dataset"}
STOP_ON_NAN = {"_target_": f"{TRAINING}.engines.StopOnNaN"}
VALIDATION = {
    "_target_": f"{TRAINING}.engines.Validation",
    "validator": "@validate::evaluator",
    "interval": "@validation_interval",
}
SCHEDULE = {
    "_target_": f"{TRAINING}.schedules.Schedule",
    "schedule": "@schedule_def",
    "validation": "@validate::evaluator",
}
RECORD = {
    "_target_": f"{TRAINING}.record.EpochRecord",
    "run": "@run_folder", "optimizer": "@optimizer", "validation": "@validate::evaluator", "progress": "@progress",
}  # fmt: skip
KEEP = {"_target_": f"{TRAINING}.resume.Keep", "state": "@state"}
PHANTOM_SIZES = {
    "patch_size": "$None if @plan != 'none' else [64, 64, 32] if @dataset_dir else [32, 32, 16]",
    "width": "$None if @plan != 'none' else 32 if @dataset_dir else 8",
}
NETWORK_2D = "(@backbone if @backbone.startswith('resnet') else @backbone + '_unet')"
IMAGE_SIZES = {
    "width": "$64 if @dataset_dir else 8",
    "network": "$" + NETWORK_2D.strip("()"),
}
# arguments of a network that follow from a plan, or from the network that is transferred
SHAPE = {name: f"$@planned.shape.{name}" for name in ("width", "norm", "strides", "kernels", "features", "stem")}
PATCH_2D = {"writer": {"patch_size": ["@image_size", "@image_size"]}}
LESIONS = {
    "lesions": "@lesions", "lesion_tolerance": "@lesion_tolerance", "lesion_min_iou": "@lesion_min_iou",
}  # fmt: skip
FEW = {"dims": 2, "split_rule": "$split.few_of_all"}
BY_PATIENT = {"dims": 3, "split_rule": "$split.by_patient"}
SPLIT = ("import segxfer3d.data.split as split",)
