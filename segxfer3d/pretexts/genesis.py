"""Models Genesis pretraining: the reconstruction pretext on corrupted cubes of volumes.

The published training is SGD with momentum 0.9 at a rate of 1, halved every 40 epochs, for at most 10,000. Here it is
Adam at 0.001 with a warm-up and a cosine over 1,000 epochs, gradients clipped at 1; both stop after 50 epochs without
progress.
"""

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
