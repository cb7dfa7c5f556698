"""The base of fine-tuning, and what volumes and images add to it."""

from __future__ import annotations

from typing import Any

from segxfer3d.config import groups
from segxfer3d.config.bases.common import (
    BY_PATIENT,
    FEW,
    FORWARD,
    IMAGE_SIZES,
    KEEP,
    LESIONS,
    PATCH_2D,
    PHANTOM_SIZES,
    RECORD,
    REPEATABLE,
    SCHEDULE,
    STOP_ON_NAN,
    TRAIN,
    TRAINING,
    VALIDATION,
    Layer,
)

EVALUATOR = {
    "_target_": "SupervisedEvaluator",
    "device": "$@place.device",
    "val_data_loader": "@validate::dataloader",
    "network": "@start",
    "prepare_batch": "@validate::preparation",
    "inferer": "@validate::inferer",
    "val_handlers": "@validate::handlers",
    "decollate": False,
}
TABLE = {
    "_target_": "segxfer3d.evaluation.tables.CaseTable",
    "dataset": "@validate::dataset", "classes": "$@data.classes", "preprocessing": "$@data.preprocessing",
}  # fmt: skip
LOADER = {
    "_target_": "segxfer3d.evaluation.evaluate.case_loader",
    "_disabled_": "$@data.validation is None",
    "table": "@validate::table", "batch_size": "$loaders.EVALUATION_BATCH",
}  # fmt: skip

FINETUNE: dict[str, Any] = {
    **TRAIN,
    "validation_interval": 4,
    "data": {
        "_target_": "segxfer3d.jobs.finetune.finetuning_data",
        "options": "@options", "run": "@run_folder", "place": "@place",
    },
    "start": {
        "_target_": "segxfer3d.jobs.start.start_network",
        "options": "@options", "run": "@run_folder", "network": "@network_def", "data": "@data",
    },
    "training_network": {**TRAIN["training_network"], "decoder_warmup_epochs": "@decoder_warmup_epochs"},
    "writer": {**TRAIN["writer"], "init": "@init"},
    "train": {
        **TRAIN["train"],
        "handlers": [
            REPEATABLE,
            {"_target_": f"{TRAINING}.engines.ItemOutput"},
            {
                "_target_": f"{TRAINING}.warmup.DecoderWarmup",
                "network": "@training_network", "epochs": "@decoder_warmup_epochs",
            },
            STOP_ON_NAN,
            VALIDATION,
            SCHEDULE,
            RECORD,
            KEEP,
        ],
        "trainer": {
            "_target_": "SupervisedTrainer",
            "device": "$@place.device", "max_epochs": "@max_epochs", "train_data_loader": "@train::dataloader",
            "network": "@training_network", "optimizer": "@optimizer", "loss_function": "@loss",
            "inferer": "@train::inferer", "train_handlers": "@train::handlers", "optim_set_to_none": True,
            "decollate": False,
        },
    },
    "validate": {
        **TRAIN["validate"],
        "table": TABLE,
        "dataloader": LOADER,
        "handlers": ["@validate::table"],
        "evaluator": {**EVALUATOR, "_disabled_": "$@data.validation is None"},
    },
    "test": {
        "dataset": "$@data.test",
        "table": {**TABLE, "dataset": "@test::dataset"},
        "dataloader": {**LOADER, "_disabled_": False, "table": "@test::table"},
        "evaluator": {**EVALUATOR, "val_data_loader": "@test::dataloader", "val_handlers": ["@test::table"]},
    },
    "run": [
        "$@train::trainer.run()",
        "$@state.use_best()",
        "$@writer.write(@network_def)",
        "$evaluate.final_table(@run_folder, @test::evaluator, @test::table)",
    ],
}  # fmt: skip

FINETUNE_VOLUMES = Layer(
    (groups.Phantoms, groups.Volumes, groups.Patches, groups.Windows, groups.Lesions, groups.GenesisNetwork),
    {
        **PHANTOM_SIZES,
        "max_epochs": "$100 if @dataset_dir else 16",
        "steps_per_epoch": "$20 if @dataset_dir else 15",
        "data": {**BY_PATIENT, "transform": "@patches"},
        "patches": {
            "_target_": "segxfer3d.augment.patches.labeled_patches",
            "size": "@patch_size", "foreground_share": "@foreground_share",
        },
        "loss": {"_target_": "DiceLoss", "sigmoid": True, "batch": True, "smooth_nr": 1.0, "smooth_dr": 1.0},
        "validate": {
            "preparation": "$prepare_items",
            "inferer": {
                "_target_": "segxfer3d.inference.windows.WindowInferer",
                "patch_size": "@patch_size", "overlap": "@overlap", "amp": "@amp", "channels_last": "@channels_last",
            },
        },
        "test": {"table": LESIONS},
    },
    ("from segxfer3d.evaluation.evaluate import prepare_items",),
)  # fmt: skip
FINETUNE_IMAGES = Layer(
    (groups.Images, groups.ImageNetwork),
    {
        **IMAGE_SIZES,
        **PATCH_2D,
        "label_fraction": "$None if @dataset_dir or @label_count else 0.2",
        "validation_fraction": 0.0,
        "test_fraction": 0.0,
        "max_epochs": "$50 if @dataset_dir else 8",
        "batch_size": 16,
        "data": FEW,
        "loss": {"_target_": "segxfer3d.losses.LabeledDiceLoss"},
        "train": {
            "preparation": {
                "_target_": f"{TRAINING}.preparation.ImagePreparation",
                "size": ["@image_size", "@image_size"], "augment": True,
            },
            "trainer": {"prepare_batch": "@train::preparation"},
        },
        "validate": {
            "preparation": "$prepare_held",
            "inferer": FORWARD,
            "table": {"measured": "network"},
        },
        "test": {"table": {"measured": "network"}},
    },
    ("from segxfer3d.evaluation.evaluate import prepare_held",),
)  # fmt: skip
