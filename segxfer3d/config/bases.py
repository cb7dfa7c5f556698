"""What bundles have in common: a base for each kind of job, and what volumes and images add to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from segxfer3d.config import groups
from segxfer3d.config.options import Group

_TRAINING = "segxfer3d.training"
_FORWARD = {
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

_START = {
    "device": "$'cuda' if torch.cuda.is_available() else 'cpu'",
    "place": {"_target_": "segxfer3d.run.devices.Place", "options": "@options"},
    "run_folder": {"_target_": "segxfer3d.run.folder.RunFolder", "options": "@options", "place": "@place"},
}
_IMPORTS = ("from segxfer3d.config import groups, reading", "from segxfer3d.run import devices, folder")

# what pretraining and fine-tuning share
_TRAIN: dict[str, Any] = {
    **_START,
    "amp": "$@width >= 16 and devices.has_fast_bf16(@device)",
    "tracking_uri": "$folder.tracking_uri(@run_folder)",
    "experiment_name": "segxfer3d",
    "run_name": None,
    "save_execute_config": False,
    "network": {
        "_target_": f"{_TRAINING}.preparation.to_training",
        "network": "@start",
        "device": "$@place.device",
        "batch_size": "@batch_size",
        "world_size": "$@place.world_size",
        "channels_last": "@channels_last",
        "compile": "@compile",
    },
    "optimizer": {
        "_target_": f"{_TRAINING}.optimization.make_optimizer",
        "network": "@network", "name": "@optimizer_name", "lr": "@lr", "weight_decay": "@weight_decay",
        "clip_norm": "@clip_norm",
    },
    "schedule_def": {
        "_target_": f"{_TRAINING}.schedules.make_schedule",
        "optimizer": "@optimizer", "name": "@schedule", "total_steps": "$@max_epochs * @steps_per_epoch",
        "steps_per_epoch": "@steps_per_epoch", "warmup_fraction": "@warmup_fraction", "patience": "@patience",
    },
    "writer": {
        "_target_": f"{_TRAINING}.model_file.ModelWriter",
        "run": "@run_folder", "preprocessing": "$@data.preprocessing", "classes": "$@data.classes",
        "provenance": "$@data.provenance", "patch_size": "@patch_size", "seed": "@seed",
    },
    "train": {
        "dataset": "$@data.train",
        "dataloader": {
            "_target_": f"{_TRAINING}.loaders.train_loader",
            "dataset": "@train::dataset", "batch_size": "@batch_size", "device": "$@place.device",
            "num_workers": "@num_workers", "rank": "$@place.rank", "world_size": "$@place.world_size",
        },
        "inferer": _FORWARD,
    },
    "validate": {"dataset": "$@data.validation"},
    "state": {
        "_target_": f"{_TRAINING}.resume.TrainingState",
        "run": "@run_folder", "network": "@network", "optimizer": "@optimizer", "schedule": "@schedule_def",
        "validation": "@validate::evaluator", "patience": "@patience", "keep": "@keep",
        "save_interval": "@save_interval",
    },
    "initialize": ["@options", "@run_folder", "@train::trainer", "$@run_folder.begin()"],
    "finalize": ["$@run_folder.end()"],
}  # fmt: skip
_REPEATABLE = {"_target_": f"{_TRAINING}.engines.RepeatableEpochs", "seed": "@seed", "dataset": "@train::dataset"}
_STOP_ON_NAN = {"_target_": f"{_TRAINING}.engines.StopOnNaN"}
_VALIDATION = {
    "_target_": f"{_TRAINING}.engines.Validation",
    "validator": "@validate::evaluator",
    "interval": "@validation_interval",
}
_SCHEDULE = {
    "_target_": f"{_TRAINING}.schedules.Schedule",
    "schedule": "@schedule_def",
    "validation": "@validate::evaluator",
}
_RECORD = {
    "_target_": f"{_TRAINING}.record.EpochRecord",
    "run": "@run_folder", "optimizer": "@optimizer", "validation": "@validate::evaluator", "progress": "@progress",
}  # fmt: skip
_KEEP = {"_target_": f"{_TRAINING}.resume.Keep", "state": "@state"}
_MONITOR = {
    "_target_": f"{_TRAINING}.pictures.PretextMonitor",
    "run": "@run_folder", "network": "@network", "pictures": "$@data.pictures", "probe": "$@data.probe",
    "interval": "@monitor_interval", "device": "$@place.device",
}  # fmt: skip

_PRETRAIN: dict[str, Any] = {
    **_TRAIN,
    "data": {
        "_target_": "segxfer3d.jobs.pretrain.pretraining_data",
        "options": "@options", "run": "@run_folder", "place": "@place",
    },
    "network": {**_TRAIN["network"], "network": "@pretext"},
    "writer": {**_TRAIN["writer"], "classes": {}, "pretext": "@pretext"},
    "train": {
        **_TRAIN["train"],
        "handlers": [_REPEATABLE, _STOP_ON_NAN, _VALIDATION, {**_SCHEDULE, "metric": "loss"}, _RECORD, _KEEP],
        "trainer": {
            "_target_": f"{_TRAINING}.engines.PretextTrainer",
            "device": "$@place.device", "max_epochs": "@max_epochs", "train_data_loader": "@train::dataloader",
            "pretext": "@network", "optimizer": "@optimizer", "inferer": "@train::inferer",
            "train_handlers": "@train::handlers",
        },
    },
    "validate": {
        **_TRAIN["validate"],
        "dataloader": {
            "_target_": f"{_TRAINING}.loaders.loss_loader",
            "dataset": "@validate::dataset", "batch_size": "@batch_size",
        },
        "inferer": _FORWARD,
        "handlers": [],
        "evaluator": {
            "_target_": f"{_TRAINING}.engines.PretextEvaluator",
            "_disabled_": "$@data.validation is None",
            "device": "$@place.device", "val_data_loader": "@validate::dataloader", "pretext": "@pretext",
            "inferer": "@validate::inferer", "val_handlers": "@validate::handlers",
        },
    },
    "state": {**_TRAIN["state"], "metric": "loss", "larger_is_better": False},
    "run": ["$@train::trainer.run()", "$@state.use_best()", "$@writer.write(@network_def)"],
}  # fmt: skip

_EVALUATOR = {
    "_target_": "SupervisedEvaluator",
    "device": "$@place.device",
    "val_data_loader": "@validate::dataloader",
    "network": "@start",
    "prepare_batch": "@validate::preparation",
    "inferer": "@validate::inferer",
    "val_handlers": "@validate::handlers",
    "decollate": False,
}
_TABLE = {
    "_target_": "segxfer3d.evaluation.tables.CaseTable",
    "dataset": "@validate::dataset", "classes": "$@data.classes", "preprocessing": "$@data.preprocessing",
}  # fmt: skip
_LOADER = {
    "_target_": f"{_TRAINING}.loaders.evaluation_loader",
    "dataset": "@validate::dataset", "rank": "$@place.rank", "world_size": "$@place.world_size",
}  # fmt: skip

_FINETUNE: dict[str, Any] = {
    **_TRAIN,
    "validation_interval": 4,
    "data": {
        "_target_": "segxfer3d.jobs.finetune.finetuning_data",
        "options": "@options", "run": "@run_folder", "place": "@place",
    },
    "start": {
        "_target_": "segxfer3d.jobs.start.start_network",
        "options": "@options", "run": "@run_folder", "network": "@network_def", "data": "@data",
    },
    "network": {**_TRAIN["network"], "decoder_warmup_epochs": "@decoder_warmup_epochs"},
    "writer": {**_TRAIN["writer"], "init": "@init"},
    "train": {
        **_TRAIN["train"],
        "handlers": [
            _REPEATABLE,
            {"_target_": f"{_TRAINING}.engines.ItemOutput"},
            {
                "_target_": f"{_TRAINING}.warmup.DecoderWarmup",
                "network": "@network", "epochs": "@decoder_warmup_epochs",
            },
            _STOP_ON_NAN,
            _VALIDATION,
            _SCHEDULE,
            _RECORD,
            _KEEP,
        ],
        "trainer": {
            "_target_": "SupervisedTrainer",
            "device": "$@place.device", "max_epochs": "@max_epochs", "train_data_loader": "@train::dataloader",
            "network": "@network", "optimizer": "@optimizer", "loss_function": "@loss",
            "inferer": "@train::inferer", "train_handlers": "@train::handlers", "optim_set_to_none": True,
            "decollate": False,
        },
    },
    "validate": {
        **_TRAIN["validate"],
        "dataloader": _LOADER,
        "handlers": [_TABLE],
        "evaluator": {**_EVALUATOR, "_disabled_": "$@data.validation is None"},
    },
    "test": {
        "dataset": "$@data.test",
        "table": {**_TABLE, "dataset": "@test::dataset"},
        "dataloader": {**_LOADER, "dataset": "@test::dataset"},
        "evaluator": {**_EVALUATOR, "val_data_loader": "@test::dataloader", "val_handlers": ["@test::table"]},
    },
    "run": [
        "$@train::trainer.run()",
        "$@state.use_best()",
        "$@writer.write(@network_def)",
        "$evaluate.final_table(@run_folder, @test::evaluator, @test::table)",
    ],
}  # fmt: skip

_PHANTOM_SIZES = {
    "patch_size": "$[64, 64, 32] if @dataset_dir else [32, 32, 16]",
    "width": "$32 if @dataset_dir else 8",
}
_IMAGE_SIZES = {"width": "$64 if @dataset_dir else 8"}
_PATCH_2D = {"writer": {"patch_size": ["@image_size", "@image_size"]}}
_LESIONS = {
    "lesions": "@lesions", "lesion_tolerance": "@lesion_tolerance", "lesion_min_iou": "@lesion_min_iou",
}  # fmt: skip
_FEW = {"dims": 2, "split_rule": "$split.few_of_all"}
_BY_PATIENT = {"dims": 3, "split_rule": "$split.by_patient"}
_SPLIT = ("from segxfer3d.data import split",)

_PRETRAIN_VOLUMES = Layer(
    (groups.TestPart, groups.Phantoms, groups.Volumes, groups.Cubes, groups.GenesisNetwork),
    {**_PHANTOM_SIZES, "data": _BY_PATIENT},
)
_PRETRAIN_IMAGES = Layer(
    (groups.Images, groups.ExtraImages, groups.Monitor, groups.ImageNetwork),
    {
        **_IMAGE_SIZES,
        **_PATCH_2D,
        "validation_fraction": 0.1,
        "canvas_size": "$2 * @image_size",
        "monitor_interval": "$20 if @dataset_dir else 1",
        "max_epochs": "$200 if @dataset_dir else 3",
        "steps_per_epoch": "$100 if @dataset_dir else 20",
        "batch_size": "$16 if @dataset_dir else 32",
        "validation_interval": "$5 if @dataset_dir else 1",
        "warmup_fraction": 0.05,
        "data": {**_FEW, "task": "images"},
        "network_def": {
            "_target_": "segxfer3d.networks.image_unet",
            "backbone": "@backbone", "in_channels": "$@data.channels", "out_channels": "$@data.channels",
            "width": "@width",
        },
        "views": {
            "_target_": "segxfer3d.augment.views.RandomViews",
            "size": ["@image_size", "@image_size"], "strength": "@jitter_strength",
        },
        "train": {
            "handlers": [
                _REPEATABLE, _STOP_ON_NAN, _VALIDATION, {**_SCHEDULE, "metric": "loss"}, _MONITOR, _RECORD, _KEEP,
            ]
        },
    },
)  # fmt: skip
_FINETUNE_VOLUMES = Layer(
    (groups.Phantoms, groups.Volumes, groups.Patches, groups.Windows, groups.Lesions, groups.GenesisNetwork),
    {
        **_PHANTOM_SIZES,
        "max_epochs": "$100 if @dataset_dir else 16",
        "steps_per_epoch": "$20 if @dataset_dir else 15",
        "data": {**_BY_PATIENT, "transform": "@patches"},
        "patches": {
            "_target_": "segxfer3d.augment.patches.labeled_patches",
            "size": "@patch_size", "foreground_share": "@foreground_share",
        },
        "loss": {"_target_": "DiceLoss", "sigmoid": True, "batch": True, "smooth_nr": 1.0, "smooth_dr": 1.0},
        "validate": {
            "preparation": "$preparation.prepare_case",
            "inferer": {
                "_target_": "segxfer3d.inference.windows.WindowInferer",
                "patch_size": "@patch_size", "overlap": "@overlap", "amp": "@amp", "channels_last": "@channels_last",
            },
        },
        "test": {"table": _LESIONS},
    },
    ("from segxfer3d.training import preparation",),
)  # fmt: skip
_FINETUNE_IMAGES = Layer(
    (groups.Images, groups.ImageNetwork),
    {
        **_IMAGE_SIZES,
        **_PATCH_2D,
        "label_fraction": "$None if @dataset_dir or @label_count else 0.2",
        "validation_fraction": 0.0,
        "test_fraction": 0.0,
        "max_epochs": "$50 if @dataset_dir else 8",
        "batch_size": 16,
        "data": _FEW,
        "loss": {"_target_": "segxfer3d.losses.LabeledDiceLoss"},
        "train": {
            "preparation": {
                "_target_": f"{_TRAINING}.preparation.ImagePreparation",
                "size": ["@image_size", "@image_size"], "augment": True,
            },
            "trainer": {"prepare_batch": "@train::preparation"},
        },
        "validate": {
            "dataloader": {"whole": False},
            "preparation": {
                "_target_": f"{_TRAINING}.preparation.ImagePreparation", "size": ["@image_size", "@image_size"],
            },
            "inferer": _FORWARD,
            "handlers": [{**_TABLE, "measured": "network"}],
        },
        "test": {"table": {"measured": "network"}, "dataloader": {"whole": False}},
    },
)  # fmt: skip

BASES: dict[str, Layer] = {
    "pretrain": Layer((groups.Data, groups.Training), _PRETRAIN, (*_IMPORTS, *_SPLIT)),
    "finetune": Layer(
        (groups.Data, groups.TestPart, groups.Labels, groups.Start, groups.Training),
        _FINETUNE,
        (*_IMPORTS, *_SPLIT, "from segxfer3d.jobs import evaluate"),
    ),
    "apply": Layer((), {**_START, "finalize": ["$@run_folder.end()"]}, _IMPORTS),
}
# (base, dimensions) -> what is put on it
DIMENSIONS: dict[tuple[str, int], tuple[Layer, ...]] = {
    ("pretrain", 3): (_PRETRAIN_VOLUMES,),
    ("pretrain", 2): (_PRETRAIN_IMAGES,),
    ("finetune", 3): (_FINETUNE_VOLUMES,),
    ("finetune", 2): (_FINETUNE_IMAGES,),
}
