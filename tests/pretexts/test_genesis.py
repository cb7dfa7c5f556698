"""Models Genesis: the loader's corrupted cubes are what the pretext takes, and the clean ones what it should make."""

import torch
from torch.nn import functional as F
from torch.utils.data import default_collate

from segxfer3d.augment.genesis_corruption import GenesisCorruptiond
from segxfer3d.networks import genesis_unet
from segxfer3d.pretexts.reconstruction import Reconstruction
from tests.pretexts.pretexts import RECIPES, pretext_class


def test_its_pretext_is_reconstruction_of_what_the_loader_corrupts():
    assert pretext_class("genesis") is Reconstruction
    assert RECIPES["genesis"].differs["data"] == {"transform": "@corruption"}


def test_the_loss_is_between_the_output_and_the_clean_cube():
    corrupt = GenesisCorruptiond().set_random_state(seed=0)
    items = default_collate([corrupt({"image": torch.rand(1, 16, 16, 8)}) for _ in range(3)])
    pretext = Reconstruction(genesis_unet(width=1)).eval()
    output = torch.sigmoid(pretext.network(items["image"]))
    assert not torch.equal(items["image"], items["target"])
    torch.testing.assert_close(pretext(items)["loss"], F.mse_loss(output, items["target"]))
