"""The base of pretraining, and what volumes and images add to it."""

from __future__ import annotations

from typing import Any

from segxfer3d.config import groups, learning
from segxfer3d.config.bases.common import (
    BY_PATIENT,
    FEW,
    FORWARD,
    IMAGE_SIZES,
    KEEP,
    PATCH_2D,
    PHANTOM_SIZES,
    RECORD,
    REPEATABLE,
    SCHEDULE,
    SHAPE,
    STOP_ON_NAN,
    TRAIN,
    TRAINING,
    VALIDATION,
    Layer,
)
from segxfer3d.config.image_files import ImageFiles
from segxfer3d.config.own_split import NOT_SAID
from segxfer3d.config.store import Store
from segxfer3d.config.volume_files import VolumeFiles

MONITOR = {
    "_target_": f"{TRAINING}.pictures.PretextMonitor",
    "run": "@run_folder", "network": "@training_network", "pictures": "$@data.pictures", "probe": "$@data.probe",
    "interval": "@monitor_interval", "device": "$@place.device",
}  # fmt: skip

PRETRAIN: dict[str, Any] = {
    **TRAIN,
    "data": {
        "_target_": "segxfer3d.jobs.pretrain.pretraining_data",
        "options": "@options", "run": "@run_folder", "place": "@place",
    },
    "training_network": {**TRAIN["training_network"], "network": "@pretext"},
    "writer": {**TRAIN["writer"], "classes": {}, "pretext": "@pretext"},
    "train": {
        **TRAIN["train"],
        "handlers": [REPEATABLE, STOP_ON_NAN, VALIDATION, {**SCHEDULE, "metric": "loss"}, RECORD, KEEP],
        "trainer": {
            "_target_": f"{TRAINING}.engines.PretextTrainer",
            "device": "$@place.device", "max_epochs": "@max_epochs", "train_data_loader": "@train::dataloader",
            "pretext": "@training_network", "optimizer": "@optimizer", "inferer": "@train::inferer",
            "train_handlers": "@train::handlers",
        },
    },
    "validate": {
        **TRAIN["validate"],
        "dataloader": {
            "_target_": f"{TRAINING}.loaders.loss_loader",
            "dataset": "@validate::dataset", "batch_size": "@batch_size", "least": "$@pretext.smallest_batch",
            "rank": "$@place.rank",
        },
        "inferer": FORWARD,
        "handlers": [],
        "evaluator": {
            "_target_": f"{TRAINING}.engines.PretextEvaluator",
            "_disabled_": "$@validate::dataloader is None",
            "device": "$@place.device", "val_data_loader": "@validate::dataloader", "pretext": "@pretext",
            "inferer": "@validate::inferer", "val_handlers": "@validate::handlers",
        },
    },
    "state": {**TRAIN["state"], "metric": "loss", "larger_is_better": False},
    "run": ["$@train::trainer.run()", "$@state.use_best()", "$@writer.write(@network_def)"],
}  # fmt: skip

PRETRAIN_VOLUMES = Layer(
    (
        groups.TestPart, groups.Phantoms, learning.Planned, VolumeFiles, Store, groups.Volumes, groups.Cubes,
        groups.Network, groups.GenesisNetwork,
    ),
    {
        **PHANTOM_SIZES,
        "plan": "none",
        "test_fraction": f"${NOT_SAID}0.25",
        "network": "$plans.network_of(@plan) or 'genesis_unet'",
        "planned": {"_target_": "segxfer3d.jobs.pretraining_sizes.pretraining_sizes", "options": "@options"},
        "data": {**BY_PATIENT, "size": "$@planned.patch_size", "planned": "@planned"},
        "training_network": {"size": "$@planned.patch_size"},
        "writer": {"patch_size": "$@planned.patch_size"},
        "network_def": {
            "_target_": "segxfer3d.networks.make_network",
            "name": "@network", "dims": 3, "in_channels": "$@data.channels", "out_channels": "$@data.channels",
            "batch_statistics": "@batch_statistics", **SHAPE,
        },
    },
    ("import segxfer3d.jobs.plans as plans",),
)  # fmt: skip
PRETRAIN_IMAGES = Layer(
    (groups.Images, ImageFiles, groups.ExtraImages, groups.Monitor, groups.Network, groups.ImageNetwork),
    {
        **IMAGE_SIZES,
        **PATCH_2D,
        "training_network": {"size": ["@image_size", "@image_size"]},
        "validation_fraction": 0.1,
        "canvas_size": "$None if @interpolation == 'bicubic' else 2 * @image_size",
        "monitor_interval": "$20 if @dataset_dir else 1",
        "max_epochs": "$200 if @dataset_dir else 3",
        "steps_per_epoch": "$100 if @dataset_dir else 20",
        "batch_size": "$16 if @dataset_dir else 32",
        "validation_interval": "$5 if @dataset_dir else 1",
        "schedule": "constant",
        "warmup_fraction": 0.05,
        "data": {**FEW, "task": "images"},
        "network_def": {
            "_target_": "segxfer3d.networks.make_network",
            "name": "@network", "dims": 2, "in_channels": "$@data.channels", "out_channels": "$@data.channels",
            "width": "@width", "norm": "$None if @norm == 'auto' else @norm", "initial_weights": "glorot",
        },
        "views": {
            "_target_": "segxfer3d.augment.views.RandomViews",
            "size": ["@image_size", "@image_size"], "strength": "@jitter_strength",
            "interpolation": "@interpolation",
        },
        "train": {
            "handlers": [
                REPEATABLE, STOP_ON_NAN, VALIDATION, {**SCHEDULE, "metric": "loss"}, MONITOR, RECORD, KEEP,
            ]
        },
    },
)  # fmt: skip
