"""The base of fine-tuning, and what volumes and images add to it."""

from __future__ import annotations

from typing import Any

from segxfer3d.config import groups, learning, recipes
from segxfer3d.config.bases.common import (
    BY_PATIENT,
    FEW,
    FORWARD,
    KEEP,
    LESIONS,
    NETWORK_2D,
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

EVALUATOR = {
    "_target_": "segxfer3d.evaluation.evaluator.CaseEvaluator",
    "table": "@validate::table",
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
    "inference": "$@planned.inference",
}  # fmt: skip
LOADER = {
    "_target_": "segxfer3d.evaluation.evaluate.case_loader",
    "_disabled_": "$@data.validation is None",
    "table": "@validate::table", "batch_size": "$loaders.EVALUATION_BATCH",
}  # fmt: skip

FINETUNE: dict[str, Any] = {
    **TRAIN,
    "recipe": "$folder.recipe_of(@output_dir, @resume)",
    "trial": {
        "_target_": f"{TRAINING}.trial.Trial",
        "network": "@training_network", "loader": "@train::dataloader", "loss": "@loss",
        "inferer": "@train::inferer", "device": "$@place.device", "optimizer_name": "@optimizer_name",
        "weight_decay": "@weight_decay", "clip_norm": "@clip_norm",
    },
    "length": {
        "_target_": f"{TRAINING}.length.find_length",
        "minutes": "@minutes", "max_epochs": "@max_epochs", "steps_per_epoch": "@steps_per_epoch", "trial": "@trial",
        "run": "@run_folder", "decoder_warmup_epochs": "@decoder_warmup_epochs",
    },
    "rate": {
        "_target_": f"{TRAINING}.rates.peak_rate",
        "lr": "@lr", "steps": "$@length.steps", "optimizer_name": "@optimizer_name", "range_test": "@range_test",
        "trial": "@trial", "run": "@run_folder",
    },
    "optimizer": {**TRAIN["optimizer"], "lr": "@rate"},
    "schedule_def": {**TRAIN["schedule_def"], "total_steps": "$@length.steps"},
    "planned": {
        "_target_": "segxfer3d.jobs.planning.planned_source",
        "options": "@options", "run": "@run_folder", "place": "@place",
    },
    "data": {
        "_target_": "segxfer3d.jobs.finetune.finetuning_data",
        "options": "@options", "run": "@run_folder", "place": "@place", "planned": "@planned",
    },
    "loss": {
        "_target_": "segxfer3d.losses.make_loss",
        "name": "@loss_name", "activation": "$@planned.activation",
        "deep_supervision": "$@network_def.deep_supervision",
    },
    "start": {
        "_target_": "segxfer3d.jobs.start.start_network",
        "options": "@options", "run": "@run_folder", "network": "@network_def", "data": "@data",
        "planned": "@planned",
    },
    "training_network": {
        **TRAIN["training_network"],
        "batch_size": "$@planned.batch_size", "decoder_warmup_epochs": "@decoder_warmup_epochs",
        "size": "$@planned.patch_size", "one_is_enough": f"$@recipe == '{learning.PAPER}'",
    },
    "writer": {
        **TRAIN["writer"], "init": "@init", "patch_size": "$@planned.patch_size", "plan": "$@planned.plan",
    },
    "train": {
        **TRAIN["train"],
        "dataloader": {**TRAIN["train"]["dataloader"], "batch_size": "$@planned.batch_size"},
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
            "device": "$@place.device", "max_epochs": "$@length.epochs", "train_data_loader": "@train::dataloader",
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
        "evaluator": {
            **EVALUATOR,
            "table": "@test::table",
            "val_data_loader": "@test::dataloader", "val_handlers": ["@test::table"], "inferer": "@test::inferer",
        },
    },
    "ending": {
        "_target_": "segxfer3d.jobs.ending.Ending",
        "options": "@options", "run": "@run_folder", "network": "@start", "planned": "@planned",
        "validation": "@validate::table", "test": "@test::table", "inferer": "@test::inferer",
        "prepare_batch": "@validate::preparation", "device": "$@place.device", "plain": "@validate::inferer",
        "state": "@state",
    },
    "run": [
        "$@train::trainer.run()",
        "$@state.use_best()",
        # in this order: what the precision is found to be, the rest is settled and measured in
        "$@writer.write(@network_def, found=@ending.precision(), inference=@ending.settings())",
        "$evaluate.final_table(@run_folder, @test::evaluator, @test::table)",
    ],
}  # fmt: skip

WINDOWS = {
    "_target_": "segxfer3d.inference.windows.WindowInferer",
    "patch_size": "$@planned.patch_size", "overlap": "@overlap", "spread": "$@planned.spread", "amp": "@amp",
    "channels_last": "@channels_last",
}  # fmt: skip
MIRRORED = {"mirror_axes": "$@planned.mirror_axes"}
BROUGHT_3D = "checkpoint.network_of(@checkpoint) or plans.network_of(@plan)"


def _of_recipe(dims: int) -> dict[str, str]:
    """What follows the recipe; not every network has deep supervision."""
    said = recipes.expressions(dims)
    return {**said, "deep_supervision": f"{said['deep_supervision']} and named.takes(@network, 'deep_supervision')"}


FINETUNE_VOLUMES = Layer(
    (
        learning.Augmentation, learning.Planned, groups.Phantoms, VolumeFiles, Store, groups.Volumes, groups.Patches,
        groups.Windows, groups.Lesions, groups.Network, groups.GenesisNetwork,
    ),
    {
        **_of_recipe(3),
        "test_fraction": f"${NOT_SAID}0.25",
        "network": f"${BROUGHT_3D} or {recipes.expressions(3)['network'].lstrip('$')}",
        "batch_statistics": "$brought.batch_statistics_of(@checkpoint, @network)",
        "planned": BY_PATIENT,
        "data": {"transform": "@patches"},
        "patches": {
            "_target_": "segxfer3d.jobs.finetune.patches",
            "options": "@options", "planned": "@planned",
        },
        "train": {"preparation": "$prepare_patches", "trainer": {"prepare_batch": "@train::preparation"}},
        "trial": {"prepare_batch": "@train::preparation"},
        "network_def": {
            "_target_": "segxfer3d.networks.make_network",
            "name": "@network", "dims": 3, "in_channels": "$@data.channels", "out_channels": "$@planned.outputs",
            "batch_statistics": "@batch_statistics", "deep_supervision": "$@planned.deep_supervision", **SHAPE,
        },
        "validate": {"preparation": "$prepare_items", "inferer": WINDOWS},
        "test": {"table": LESIONS, "inferer": {**WINDOWS, **MIRRORED}},
    },
    (
        "from segxfer3d.evaluation.evaluate import prepare_items",
        "from segxfer3d.training.preparation import prepare_patches",
        "import segxfer3d.jobs.plans as plans",
        "import segxfer3d.weights.brought as brought",
        "import segxfer3d.weights.checkpoint as checkpoint",
    ),
)  # fmt: skip
FINETUNE_IMAGES = Layer(
    (learning.Augmentation, groups.Images, ImageFiles, groups.Network, groups.ImageNetwork, learning.Drawn),
    {
        **_of_recipe(2),
        "changes": {
            "_target_": "segxfer3d.jobs.finetune.full_augmentation",
            "options": "@options", "planned": "@planned",
        },
        "network": f"$checkpoint.of_images(@checkpoint).get('network') or {NETWORK_2D}",
        "image_size": "$checkpoint.of_images(@checkpoint).get('image_size') or 64",
        "width": "$checkpoint.of_images(@checkpoint).get('width') or (64 if @dataset_dir else 8)",
        "label_fraction": "$None if @dataset_dir or @label_count else 0.2",
        "validation_fraction": 0.0,
        "test_fraction": 0.0,
        "max_epochs": "$50 if @dataset_dir else 8",
        "planned": FEW,
        "train": {
            "preparation": {
                "_target_": f"{TRAINING}.preparation.ImagePreparation",
                "size": ["@image_size", "@image_size"], "augment": True, "augmentation": "@changes",
            },
            "trainer": {"prepare_batch": "@train::preparation"},
        },
        "trial": {"prepare_batch": "@train::preparation"},
        "network_def": {
            "_target_": "segxfer3d.networks.make_network",
            "name": "@network", "dims": 2, "in_channels": "$@data.channels", "out_channels": "$@planned.outputs",
            "deep_supervision": "$@planned.deep_supervision", "initial_weights": "@initial_weights", **SHAPE,
        },
        "validate": {
            "preparation": "$prepare_held",
            "inferer": FORWARD,
            "table": {"measured": "network"},
        },
        "test": {
            "table": {"measured": "network"},
            "inferer": {
                **FORWARD,
                "_target_": "segxfer3d.inference.mirroring.MirroredForward", "axes": "$@planned.mirror_axes",
            },
        },
    },
    ("from segxfer3d.evaluation.evaluate import prepare_held", "import segxfer3d.weights.checkpoint as checkpoint"),
)  # fmt: skip
