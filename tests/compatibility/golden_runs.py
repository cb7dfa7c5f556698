"""The small runs that are recorded: the bundle of each, every option that has a part in it, and what it starts from."""

from __future__ import annotations

from typing import Any

FIRST = "_first_step"
PHANTOMS = {"patients": 12, "seed": 3}
IMAGES = {"count": 60, "seed": 2, "size": 48}

EVERY = {
    "patient_pattern": "", "skip_bad_cases": False, "resume": False, "save_interval": 1, "seed": 0, "split_seed": 0,
    "max_epochs": 2, "validation_interval": 1, "weight_decay": 0.0001, "schedule": "warmup-cosine",
    "warmup_fraction": 0.25, "clip_norm": 1.0, "patience": 0, "amp": False, "channels_last": True, "compile": False,
    "device": "cpu", "num_workers": 0, "progress": False,
}  # fmt: skip
VOLUMES = {
    **EVERY, "pretrain_fraction": 0.25, "validation_fraction": 0.1, "test_fraction": 0.2, "intensity": "window",
    "window_low": -1000, "window_high": 1000, "patch_size": [32, 32, 16], "width": 4, "batch_statistics": False,
    "steps_per_epoch": 4, "batch_size": 2, "optimizer_name": "adam", "keep": "best",
}  # fmt: skip
FINETUNED_VOLUMES = {
    **VOLUMES, "recipe": "paper", "init": "encoder", "foreground_share": 0.75, "overlap": 0.0, "lesions": False,
    "lesion_tolerance": 2.0, "lesion_min_iou": 0.0, "lr": 0.02, "steps_per_epoch": 12, "decoder_warmup_epochs": 0,
}  # fmt: skip
PICTURES = {
    **EVERY, "dataset": "", "target": "", "border": "ignore", "official_split": False, "image_size": 32,
    "backbone": "conrec", "width": 4, "steps_per_epoch": 4, "batch_size": 8, "pretrain_fraction": 0.0,
}  # fmt: skip
PRETRAINED_PICTURES = {
    **PICTURES, "extra_dataset": "", "extra_dataset_dir": "", "validation_fraction": 0.2, "canvas_size": 48,
    "probe": True, "monitor_interval": 1, "optimizer_name": "lars", "lr": 0.2, "keep": "last",
}  # fmt: skip
VIEWS = {"jitter_strength": 1.0, "interpolation": "antialiased"}
FINETUNED_PICTURES = {
    **PICTURES, "recipe": "paper", "validation_fraction": 0.0, "test_fraction": 0.0, "optimizer_name": "adam",
    "lr": 0.02,
    "init": "encoder", "keep": "last", "decoder_warmup_epochs": 0, "steps_per_epoch": 15, "initial_weights": "torch",
}  # fmt: skip
GROUPS = {"patient_pattern": r"-(\d+)$", "pretrain_fraction": 0.5, "split_seed": 4}

# name -> bundle, its options, the run whose model it starts from
RUNS: dict[str, tuple[str, dict[str, Any], str]] = {
    "genesis_pretrain": ("genesis_pretrain", {**VOLUMES, "crop_rule": "auto", "lr": 0.01}, ""),
    "genesis_finetune_encoder": (
        "genesis_finetune", {**FINETUNED_VOLUMES, "label_count": 3, "seed": 1, "decoder_warmup_epochs": 1},
        "genesis_pretrain",
    ),
    "genesis_finetune_random": (
        "genesis_finetune",
        {
            **FINETUNED_VOLUMES, "init": "random", "label_fraction": 0.5, "seed": 2, "split_seed": 1,
            "pretrain_fraction": 0.0, "intensity": "percentile", "spacing": [4.0, 4.0, 3.5], "batch_statistics": True,
            "optimizer_name": "sgd", "schedule": "warmup-polynomial", "overlap": 0.25, "keep": "last",
        },
        "",
    ),
    "genesis_finetune_tiny": (
        "genesis_finetune",
        {
            **FINETUNED_VOLUMES, "init": "random", "label_count": 3, "steps_per_epoch": 6, "test_fraction": 0.1,
            "pretrain_fraction": 0.5, "validation_interval": 2,
        },
        "",
    ),
    "evaluate": (
        "evaluate",
        {
            "patient_pattern": "", "skip_bad_cases": False, "part": "test", "split_seed": 0, "pretrain_fraction": 0.25,
            "validation_fraction": 0.1, "test_fraction": 0.2, "overlap": 0.25, "lesions": True,
            "lesion_tolerance": 3.0, "lesion_min_iou": 0.0, "amp": False, "channels_last": True, "device": "cpu",
            "progress": False,
        },
        "genesis_finetune_encoder",
    ),
    "reconstruction_pretrain": (
        "reconstruction_pretrain", {**PRETRAINED_PICTURES, **GROUPS, **VIEWS}, ""
    ),
    "simclr_pretrain": (
        "simclr_pretrain", {**PRETRAINED_PICTURES, **VIEWS, "temperature": 0.5}, ""
    ),
    "moco_pretrain": (
        "moco_pretrain",
        {**PRETRAINED_PICTURES, **VIEWS, "temperature": 0.2, "momentum": 0.99, "queue_size": 24}, "",
    ),
    "byol_pretrain": ("byol_pretrain", {**PRETRAINED_PICTURES, **VIEWS, "jitter_strength": 0.8, "momentum": 0.99}, ""),
    "conrec_pretrain": (
        "conrec_pretrain",
        {
            **PRETRAINED_PICTURES, **VIEWS, "temperature": 0.5, "own_stages": 1,
            "reconstruction_weight": 100.0,
        },
        "",
    ),
    "conrec_pretrain_published": (
        "conrec_pretrain",
        {
            **PRETRAINED_PICTURES, **VIEWS, "interpolation": "bicubic", "canvas_size": None, "schedule": "constant",
            "lr": 0.3, "temperature": 0.5, "own_stages": 1, "reconstruction_weight": 100.0,
        },
        "",
    ),
    "classification_pretrain": (
        "classification_pretrain",
        {
            **PRETRAINED_PICTURES, **VIEWS, "jitter_strength": 0.5, "pooling": "attention", "optimizer_name": "adamw",
            "lr": 0.01,
        },
        "",
    ),
    "segmentation_pretrain": (
        "segmentation_pretrain",
        {**PRETRAINED_PICTURES, "canvas_size": 32, "optimizer_name": "adam", "lr": 0.01, "keep": "best"}, "",
    ),
    "unet2d_finetune_count": (
        "unet2d_finetune", {**FINETUNED_PICTURES, "label_count": 9, "validation_fraction": 0.34, "seed": 3},
        "reconstruction_pretrain",
    ),
    "unet2d_finetune_fractions": (
        "unet2d_finetune",
        {
            **FINETUNED_PICTURES, **GROUPS, "label_fraction": 0.75, "test_fraction": 0.3, "validation_fraction": 0.34,
            "seed": 1, "decoder_warmup_epochs": 1, "keep": "best",
        },
        "reconstruction_pretrain",
    ),
    "unet2d_finetune_tiny": (
        "unet2d_finetune",
        {**FINETUNED_PICTURES, "init": "random", "label_count": 6, "test_fraction": 0.3, "validation_fraction": 0.2},
        "",
    ),
}  # fmt: skip
RUNS |= {
    f"{name}{FIRST}": (bundle, {**options, "max_epochs": 1, "steps_per_epoch": 1}, source)
    for name, (bundle, options, source) in RUNS.items()
    if "max_epochs" in options
}
TINY_RUNS = tuple(name for name in RUNS if "_tiny" in name)
