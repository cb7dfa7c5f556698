"""Models Genesis pretraining: the reconstruction pretext on corrupted cubes of volumes."""

from __future__ import annotations

from segxfer3d.config.bundles import Recipe

RECIPE = Recipe(
    name="genesis_pretrain",
    description="Models Genesis pretraining: reconstruct clean cubes of unlabeled CT from corrupted ones.",
    base="pretrain",
    dims=3,
    title="Models Genesis",
    scenario="4",
    citation="Zhou et al., Models Genesis, Medical Image Analysis 67 (2021) 101840",
    differs={
        "max_epochs": "$1000 if @dataset_dir else 3",
        "steps_per_epoch": "$100 if @dataset_dir else 20",
        "batch_size": "$6 if @dataset_dir else 4",
        "warmup_fraction": 0.05,
        "patience": 50,
        "keep": "best",
        "data": {"transform": "@corruption"},
        "corruption": {"_target_": "segxfer3d.augment.genesis_corruption.GenesisCorruptiond"},
        "pretext": {"_target_": "segxfer3d.pretexts.reconstruction.Reconstruction", "network": "@network_def"},
    },
)
