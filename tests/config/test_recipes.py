"""One table says what a recipe means; the bundles' defaults are its values, and help shows them."""

import itertools
import json
from pathlib import Path

import pytest
from monai.bundle import ConfigParser

from segxfer3d.config import learning, recipes
from segxfer3d.config.help import default_of
from segxfer3d.config.options import infos
from segxfer3d.study.code import modules

BUNDLES = Path(__file__).parents[2] / "bundles"
NAMES = {3: "genesis_finetune", 2: "unet2d_finetune"}


def bundle(dims, **values):
    content = json.loads((BUNDLES / f"{NAMES[dims]}.json").read_text(encoding="utf-8"))
    return {**content, "output_dir": "nowhere", **values}


@pytest.mark.parametrize(("dims", "recipe", "data"), list(itertools.product((3, 2), learning.RECIPES, ("", "/data"))))
def test_what_a_bundle_says_is_what_the_table_says(dims, recipe, data):
    parser = ConfigParser(bundle(dims, recipe=recipe, dataset_dir=data))
    expected = recipes.row(recipe, dims=dims, data=data)
    assert {name: parser.get_parsed_content(name) for name in expected} == expected
    chances = recipes.CHANCES[expected["augmentation"]]
    assert {name: parser.get_parsed_content(name) for name in chances} == chances


@pytest.mark.parametrize("dims", NAMES)
def test_a_bundle_asks_the_table_for_all_that_is_in_it(dims):
    said = bundle(dims)
    for name, expression in recipes.expressions(dims).items():
        assert expression.lstrip("$") in said[name]


def test_a_new_run_is_strong_and_a_first_try_is_in_the_table():
    parser = ConfigParser(bundle(3))
    assert parser.get_parsed_content("recipe") == learning.STRONG == infos(learning.Learning)["recipe"].default
    assert parser.get_parsed_content("width") == recipes.PHANTOMS[learning.STRONG]["width"]
    assert set(recipes.PHANTOMS) == set(learning.RECIPES)
    for rows in (recipes.LEARNING, recipes.VOLUMES, recipes.IMAGES):
        assert set(rows) == set(learning.RECIPES)
        assert len({tuple(sorted(row)) for row in rows.values()}) == 1, "each row has a value for each option"


def test_what_a_network_cannot_serve_and_what_a_checkpoint_brings_go_before_the_table():
    parser = ConfigParser(bundle(2, recipe="strong", network="resnet18"))
    assert parser.get_parsed_content("deep_supervision") is False
    parser = ConfigParser(bundle(3, recipe="strong", dataset_dir="/data", augmentation="flips"))
    assert {parser.get_parsed_content(name) for name in learning.CHANGES} == {0.0}


def test_an_unknown_recipe_is_left_to_who_reads_the_options():
    assert recipes.default("lr", "papr", dims=3) is None
    assert recipes.chance("rotate", "flip") == recipes.CHANCES["full"]["rotate"]


def test_a_default_is_a_list_of_its_own():
    recipes.default("patch_size", "paper", dims=3).append(1)
    assert recipes.default("patch_size", "paper", dims=3) == [64, 64, 32]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("optimizer_name", "strong: adamw; paper: adam"),
        ("lr", "strong: none; paper: 0.003"),
        (
            "network",
            "checkpoint.network_of(checkpoint) or plans.network_of(plan) or [strong: plain_unet; paper: genesis_unet]",
        ),
        ("gamma", "full: 0.3; flips: 0"),
        ("elastic", "0"),
        ("seed", "0"),
    ],
)
def test_help_shows_the_values(name, shown):
    assert default_of(name, bundle(3)) == shown


def test_help_says_what_a_first_try_has_otherwise(monkeypatch):
    monkeypatch.setitem(recipes.PHANTOMS, "strong", {"loss_name": "dice"})
    assert default_of("loss_name", bundle(3)) == "strong: dice_ce (without data: dice); paper: dice"


def test_the_table_is_code_of_what_fine_tunes_only():
    """Another recipe makes no pretraining another one."""
    pretraining = json.loads((BUNDLES / "genesis_pretrain.json").read_text(encoding="utf-8"))
    assert "config.recipes" in modules(bundle(3))
    assert "config.recipes" not in modules(pretraining)
    assert {"config.learning", "config.groups"} <= set(modules(pretraining))
