"""What every pretext of the folder keeps: its recipe, what it trains, going on from its state, what it shows."""

import importlib
import inspect
from collections import Counter

import pytest
import torch

from segxfer3d.config.bundles import compose
from segxfer3d.errors import InputError
from segxfer3d.networks import conrec_unet
from segxfer3d.pretexts.base import Pretext
from tests.pretexts.pretexts import MODULES, RECIPES, pretext_class, tiny_pretext
from tests.pretexts.stand_ins import batch, check_contract

CASES = [(name, dims) for name in RECIPES for dims in pretext_class(name).dims]


def channels_of(dims):
    return 3 if dims == 2 else 1


def test_a_file_with_a_pretext_has_a_recipe():
    """The others are base.py, what several share, and the class of another file's recipe."""
    for name, module in MODULES.items():
        defined = [value for value in vars(module).values() if inspect.isclass(value) and issubclass(value, Pretext)]
        if any(value.__module__ == module.__name__ and value is not Pretext for value in defined):
            assert name in RECIPES, name


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_what_it_is(name):
    recipe = RECIPES[name]
    assert recipe.name == f"{name}_pretrain"
    assert recipe.base == "pretrain"
    assert recipe.dims in pretext_class(name).dims
    assert recipe.title
    assert recipe.scenario in ("2", "4")
    assert recipe.citation
    assert recipe.description[-1] in ".?"
    assert (recipe.scenario == "2") <= (pretext_class(name).trained_parts == ("encoder",))


def test_titles_tell_pretexts_apart():
    assert max(Counter(recipe.title for recipe in RECIPES.values()).values()) == 1


@pytest.mark.parametrize("name", RECIPES)
def test_components_of_its_bundle_are_there(name):
    bundle = compose(RECIPES[name])
    for entry in ("pretext", "network_def", *RECIPES[name].differs):
        target = bundle[entry].get("_target_", "") if isinstance(bundle.get(entry), dict) else ""
        if target.startswith(("segxfer3d.augment.", "segxfer3d.pretexts.", "segxfer3d.networks.")):
            path, _, attribute = target.rpartition(".")
            assert callable(getattr(importlib.import_module(path), attribute)), target


@pytest.mark.parametrize("network", ["conrec_unet", "plain_unet", "resenc_unet", "plain_unet behind a stem"])
@pytest.mark.parametrize(("name", "dims"), CASES)
def test_contract(name, dims, network):
    channels = channels_of(dims)
    parts = pretext_class(name).trained_parts
    check_contract(lambda: tiny_pretext(name, dims, channels, network), parts, dims, channels)


@pytest.mark.parametrize(("name", "dims"), CASES)
@torch.no_grad()
def test_pictures_are_columns_of_one_size(name, dims):
    channels = channels_of(dims)
    items = batch(dims, channels)
    columns = tiny_pretext(name, dims, channels).eval().pictures(items)
    assert columns
    for column in columns.values():
        assert column.shape[2:] == items["image"].shape[2:]
        assert column.shape[:2] in ((4, 1), (4, channels))
        assert 0 <= float(column.min()) <= float(column.max()) <= 1


def test_deep_supervision_is_refused():
    pretext = tiny_pretext("reconstruction", 2, 3)
    pretext.network = conrec_unet(3, 3, width=2, deep_supervision=True)
    with pytest.raises(InputError, match="deep_supervision: Reconstruction trains a network without"):
        pretext.check(8)


@pytest.mark.parametrize("name", RECIPES)
def test_too_small_a_batch_is_refused(name):
    pretext = tiny_pretext(name, 2 if 2 in pretext_class(name).dims else 3, 3)
    pretext.check(pretext.smallest_batch)
    if pretext.smallest_batch > 1:
        with pytest.raises(ValueError, match=r"batch_size: .* needs at least"):
            pretext.check(pretext.smallest_batch - 1)
