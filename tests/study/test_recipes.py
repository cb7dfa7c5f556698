"""Arms of different recipes are compared only where the study asks for it."""

import json

import pytest

from segxfer3d.config.learning import recipe_in
from segxfer3d.config.options import OptionInfo
from segxfer3d.config.values import Limits
from segxfer3d.errors import InputError
from segxfer3d.study import options
from segxfer3d.study.grid import resolved
from segxfer3d.study.matching import differences
from tests.study.studies import BUNDLES, plan


@pytest.fixture
def finetune(tmp_path, monkeypatch):
    """A fine-tuning with the option ``recipe``, strong by default."""
    recipe = OptionInfo("recipe", "str", "strong", "a recipe", Limits(("paper", "strong")))
    known = {**options.table(), "recipe": recipe}
    monkeypatch.setattr(options, "table", lambda: known)
    config = json.loads((BUNDLES / "genesis_finetune.json").read_text(encoding="utf-8"))
    (tmp_path / "mine.json").write_text(json.dumps({**config, "recipe": "strong"}))
    return {"config": "mine.json", "knobs": {"max_epochs": 2}}


def arms(**recipes):
    return {name: {"init": name, "knobs": {"recipe": recipe} if recipe else {}} for name, recipe in recipes.items()}


DIFFERENT = {"random": "paper", "frozen-random": ""}


def test_arms_of_different_recipes_are_refused(tmp_path, finetune):
    study = {"finetune": finetune, "pretrain": {}, "arms": arms(**DIFFERENT)}
    with pytest.raises(InputError, match=r"arms: of different recipes: paper \(random\), strong \(frozen-random\)"):
        plan(tmp_path, **study)
    with pytest.raises(InputError, match='mixed_recipes: expected true or false, got "yes"'.replace('"', "'")):
        plan(tmp_path, **study, mixed_recipes="yes")
    asked, _ = plan(tmp_path, **study, mixed_recipes=True)
    assert resolved(asked)["mixed_recipes"] is True


@pytest.mark.parametrize("common", [{}, {"recipe": "paper"}])
def test_one_recipe_is_no_mixture_wherever_it_is_set(tmp_path, finetune, common):
    same = arms(**{"random": common.get("recipe", "strong"), "frozen-random": ""})
    asked, _ = plan(tmp_path, finetune=finetune, pretrain={}, arms=same, common=common)
    assert resolved(asked)["mixed_recipes"] is False
    data = {"a": {"finetune": {"recipe": "paper"}}, "b": {}}
    plan(tmp_path, finetune=finetune, pretrain={}, arms=arms(**{"random": "", "frozen-random": ""}), data=data)


def test_what_was_recorded_before_there_were_recipes_is_of_the_papers(tmp_path, finetune):
    shipped = {"config": str(BUNDLES / "genesis_finetune.json"), "knobs": {}}
    trial = plan(tmp_path, finetune=shipped, pretrain={}, arms=arms(**{"random": "", "frozen-random": ""}))[1][0]
    trial.knobs["recipe"] = trial.parts["knobs"]["recipe"] = "strong"
    values = {name: value for name, value in trial.knobs.items() if name != "recipe"}
    parts = {**trial.parts, "config": "0", "knobs": {}}
    record = {"config": "bundles/genesis_finetune.json", "parts": parts, "values": values}
    assert differences(record, trial) == ["recipe paper, not strong"]
    trial.knobs["recipe"] = trial.parts["knobs"]["recipe"] = "paper"
    assert differences(record, trial) == []


def test_a_bundles_own_expression_is_the_strong_recipe():
    assert recipe_in({"recipe": "$folder.recipe_of(@output_dir, @resume)"}) == recipe_in({"recipe": "strong"})
    assert recipe_in({}) == "paper"


SIZES = {"plan": "none", "network": "plain_unet", "width": 2, "patch_size": [16, 16, 8]}


@pytest.mark.parametrize("lost", [None, *SIZES])
def test_arms_work_with_the_same_sizes(tmp_path, finetune, lost):
    """One that loads a checkpoint would take its sizes, one that does not would plan its own."""
    knobs = {name: value for name, value in SIZES.items() if name != lost}
    study = {"finetune": {**finetune, "knobs": {**finetune["knobs"], **knobs}}}
    if lost is None:
        plan(tmp_path, **study)
        return
    with pytest.raises(
        InputError, match=r'arms: those that load a checkpoint take its sizes.*"plan": "none" and network'
    ):
        plan(tmp_path, **study)


def test_arms_that_load_nothing_plan_alike(tmp_path, finetune):
    plan(tmp_path, finetune=finetune, pretrain={}, arms=arms(**{"random": "", "frozen-random": ""}))


@pytest.mark.parametrize("margin", [0, -1, 100, "2", True])
def test_a_margin_is_dice_points(tmp_path, margin):
    with pytest.raises(InputError, match="margin: expected dice points above 0 and below 100"):
        plan(tmp_path, margin=margin)


def test_a_margin_goes_to_the_report(tmp_path):
    assert resolved(plan(tmp_path, margin=1.5)[0])["margin"] == 1.5
    assert resolved(plan(tmp_path)[0])["margin"] is None
