"""Glorot's weights have his spread, and what a bundle of images trains begins with them."""

import json

import pytest
import torch

from segxfer3d.config import recipes
from segxfer3d.config.bundles import compose
from segxfer3d.config.learning import INITIAL_WEIGHTS
from segxfer3d.config.shipped import shipped_folder
from segxfer3d.errors import InputError
from segxfer3d.networks import make_network
from tests.pretexts.pretexts import RECIPES

IMAGES = [name for name, recipe in RECIPES.items() if recipe.dims == 2]


@torch.no_grad()
def test_glorot_is_uniform_with_the_published_spread():
    torch.manual_seed(0)
    network = make_network("conrec_unet", dims=2, in_channels=3, out_channels=3, width=64, initial_weights="glorot")
    kernel = network.encoder.stages[0][3].weight  # 3x3, 64 to 64
    assert kernel.shape == (64, 64, 3, 3)
    assert float(kernel.std()) == pytest.approx(0.0417, rel=0.03)
    assert float(kernel.abs().max()) == pytest.approx((6 / 1152) ** 0.5, rel=0.01)
    biases = [m.bias for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(biases) == 18
    assert not any(bias.any() for bias in biases)


def test_torch_keeps_what_its_layers_drew():
    sizes = {"dims": 2, "in_channels": 3, "out_channels": 1, "width": 4}
    torch.manual_seed(0)
    drawn = make_network("conrec_unet", **sizes)
    torch.manual_seed(0)
    kept = make_network("conrec_unet", **sizes, initial_weights="torch")
    assert all(torch.equal(a, b) for a, b in zip(drawn.parameters(), kept.parameters(), strict=True))
    with pytest.raises(InputError, match="initial_weights: expected one of torch, glorot, got 'he'"):
        make_network("conrec_unet", **sizes, initial_weights="he")


def test_a_fine_tuning_of_images_draws_as_its_recipe_says():
    """The published code draws what no pretext brings, a random start and every decoder and head, the same way."""
    assert INITIAL_WEIGHTS == ("torch", "glorot")
    weights = {recipe: recipes.default("initial_weights", recipe, dims=2) for recipe in ("paper", "strong")}
    assert weights == {"paper": "glorot", "strong": "torch"}
    bundle = json.loads((shipped_folder() / "unet2d_finetune.json").read_text(encoding="utf-8"))
    assert bundle["network_def"]["initial_weights"] == "@initial_weights"
    assert recipes.explained(bundle["initial_weights"][1:]) == "strong: torch; paper: glorot"


@pytest.mark.parametrize("name", IMAGES)
def test_pretexts_of_images_begin_with_glorot(name):
    assert compose(RECIPES[name])["network_def"]["initial_weights"] == "glorot"
