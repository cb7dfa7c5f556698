"""Recipes give the bundles that there were before recipes: every value of every knob is the same."""

import pytest

from segxfer3d.config.bundles import compose
from tests.pretexts.pretexts import RECIPES

# what differs between the pretexts of images; the rest of their knobs they share
SHARED = {
    "image_size": 64, "canvas_size": "$None if @interpolation == 'bicubic' else 2 * @image_size", "backbone": "conrec",
    "width": "$64 if @dataset_dir else 8",
    "validation_fraction": 0.1, "max_epochs": "$200 if @dataset_dir else 3",
    "steps_per_epoch": "$100 if @dataset_dir else 20", "batch_size": "$16 if @dataset_dir else 32",
    "optimizer_name": "lars", "lr": "$optimization.lars_rate(@batch_size)", "weight_decay": 0.0001,
    "schedule": "constant", "warmup_fraction": 0.05, "clip_norm": 0.0, "patience": 0, "keep": "last",
    "validation_interval": "$5 if @dataset_dir else 1", "monitor_interval": "$20 if @dataset_dir else 1",
}  # fmt: skip
SUPERVISED = {"batch_size": 32, "optimizer_name": "adam", "lr": 0.001, "weight_decay": 0.0, "clip_norm": 1.0}
OWN = {
    "byol": {"jitter_strength": 1.0, "momentum": 0.996},
    "classification": {**SUPERVISED, "jitter_strength": 0.5, "pooling": "average"},
    "conrec": {
        "jitter_strength": 1.0, "temperature": 0.5, "own_stages": 1, "reconstruction_weight": 100.0, "batch_size": 16,
    },
    "moco": {
        "jitter_strength": 1.0, "temperature": 0.2, "momentum": 0.999, "queue_size": "$4096 if @dataset_dir else 256",
    },
    "reconstruction": {"jitter_strength": 1.0},
    "segmentation": {**SUPERVISED, "canvas_size": "$@image_size"},
    "simclr": {"jitter_strength": 1.0, "temperature": 0.5},
}  # fmt: skip
VOLUMES = {
    "max_epochs": "$1000 if @dataset_dir else 3", "steps_per_epoch": "$100 if @dataset_dir else 20",
    "batch_size": "$6 if @dataset_dir else 4", "optimizer_name": "adam", "lr": 0.001, "weight_decay": 0.0,
    "schedule": "warmup-cosine", "warmup_fraction": 0.05, "clip_norm": 1.0, "patience": 50, "keep": "best",
    "validation_interval": 1, "validation_fraction": 0.15,
    "test_fraction": "$0.0 if @split_file or @fold is not None else 0.25", "phantom_patients": 16,
    "spacing": None, "intensity": "auto", "window_low": -1000, "window_high": 1000, "crop_rule": "auto",
    "plan": "none", "patch_size": "$None if @plan != 'none' else [64, 64, 32] if @dataset_dir else [32, 32, 16]",
    "width": "$None if @plan != 'none' else 32 if @dataset_dir else 8", "batch_statistics": False,
}  # fmt: skip
EXPECTED = {**{name: {**SHARED, **own} for name, own in OWN.items()}, "genesis": VOLUMES}


@pytest.mark.parametrize("name", EXPECTED)
def test_knobs_are_those_of_the_first_version(name):
    bundle = compose(RECIPES[name])
    assert {knob: bundle.get(knob) for knob in EXPECTED[name]} == EXPECTED[name]
