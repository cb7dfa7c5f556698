"""How the windows of whole volumes lie, wherever a model is applied."""

import json

import pytest

from segxfer3d.config.shipped import shipped_folder
from segxfer3d.config.windows import spread_of


def test_many_classes_have_even_windows():
    assert [spread_of("auto", classes) for classes in (1, 16, 17)] == ["steps", "steps", "even"]
    assert [spread_of(spread, 60) for spread in ("steps", "even")] == ["steps", "even"]


@pytest.mark.parametrize("bundle", ["evaluate", "infer"])
def test_a_model_is_measured_with_the_windows_of_its_masks(bundle):
    content = json.loads((shipped_folder() / f"{bundle}.json").read_text(encoding="utf-8"))
    assert (content["spread"], content["model"]["spread"]) == ("auto", "@spread")


def test_a_finetuning_measures_as_evaluate_does():
    content = json.loads((shipped_folder() / "genesis_finetune.json").read_text(encoding="utf-8"))
    for part in ("validate", "test"):
        assert content[part]["inferer"]["spread"] == "$@planned.spread"
