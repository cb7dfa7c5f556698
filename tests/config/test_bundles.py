"""Bundles: composed from bases and recipes, written as plain JSON."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

from scripts import write_bundles
from segxfer3d.config.bases import BASES
from segxfer3d.config.bundles import Recipe, as_json, compose, merge
from segxfer3d.config.options import Group, infos, option
from segxfer3d.errors import InputError

ROOT = Path(__file__).parents[2]
BUNDLES = ROOT / "bundles"
NAMES = [
    "byol_pretrain", "classification_pretrain", "conrec_pretrain", "evaluate", "genesis_finetune", "genesis_pretrain",
    "infer", "moco_pretrain", "reconstruction_pretrain", "segmentation_pretrain", "simclr_pretrain", "unet2d_finetune",
]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Own(Group):
    depth: int = option(3, "of something", least=1, most=9)


def recipe(**changes):
    values = {"name": "new_pretrain", "description": "A new one.", "base": "pretrain", "dims": 2, "options": (Own,)}
    return Recipe(**{**values, **changes})


def test_files_are_what_the_recipes_say(capsys):
    assert write_bundles.main(["--check"]) == 0, capsys.readouterr().err


def test_a_stale_page_is_noticed_and_written_anew(tmp_path, monkeypatch, capsys):
    (tmp_path / "bundles").mkdir()
    (tmp_path / "docs").mkdir()
    monkeypatch.setattr(write_bundles, "ROOT", tmp_path)
    assert write_bundles.main(["--check"]) == 1
    assert write_bundles.main([]) == 0
    assert write_bundles.main(["--check"]) == 0
    page = tmp_path / "docs" / "knobs.md"
    page.write_text(page.read_text(encoding="utf-8") + "more", encoding="utf-8")
    capsys.readouterr()
    assert write_bundles.main(["--check"]) == 1
    assert capsys.readouterr().err == "not up to date: docs/knobs.md; run python scripts/write_bundles.py\n"


def test_every_bundle_is_there():
    assert set(NAMES) <= set(write_bundles.recipes())


@pytest.mark.parametrize("name", NAMES)
def test_a_bundle_is_plain_json_without_echoes_or_programs(name):
    text = (BUNDLES / f"{name}.json").read_text(encoding="utf-8")
    content = json.loads(text)
    assert "knobs" not in content
    assert "lambda" not in text
    assert text.count(f"reading.read('{name}'") == 1
    groups = write_bundles.groups_of(write_bundles.recipes()[name])
    known = [option for group in groups for option in infos(group)]
    assert len(set(known)) == len(known), "an option stands in two groups of one bundle"
    scalars = [key for key in known if not isinstance(content[key], dict)]
    assert scalars == known
    long = ("reading.read", "citation", "description")
    assert all(len(line) < 160 for line in text.splitlines() if not any(word in line for word in long))


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("_finetune")])
def test_training_and_its_trials_take_batches_alike(name):
    """What MONAI does by default passes over ``valid``."""
    content = json.loads((BUNDLES / f"{name}.json").read_text(encoding="utf-8"))
    prepared = [part["prepare_batch"] for part in (content["train"]["trainer"], content["trial"])]
    assert prepared == ["@train::preparation"] * 2
    assert content["train"]["preparation"]


def test_a_recipe_says_only_what_differs():
    content = compose(recipe(differs={"depth": 5, "lr": 0.1, "train": {"inferer": {"amp": False}}, "validate": None}))
    assert (content["depth"], content["lr"], content["batch_size"]) == (5, 0.1, "$16 if @dataset_dir else 32")
    assert content["output_dir"] == "$folder.next_folder('runs/new_pretrain', @resume)"
    assert content["train"]["inferer"] == {**BASES["pretrain"].content["train"]["inferer"], "amp": False}
    assert "validate" not in content
    assert content["options"].endswith("test_bundles.Own)")
    assert "$import tests.config.test_bundles as test_bundles" in content["imports"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"differs": {"dept": 5}}, "recipe new_pretrain: no option is called dept"),
        ({"base": "pretraining"}, "no base 'pretraining'; expected one of pretrain, finetune, apply"),
    ],
)
def test_what_a_recipe_gets_wrong_is_named(changes, message):
    with pytest.raises(InputError, match=message):
        compose(recipe(**changes))


def test_merging_leaves_its_inputs_alone():
    base = {"a": {"x": [1]}, "c": {"_target_": "A", "y": 1}}
    merged = merge(base, {"a": {"z": 2}, "c": {"_target_": "B"}})
    assert merged == {"a": {"x": [1], "z": 2}, "c": {"_target_": "B"}}
    merged["a"]["x"].append(2)
    assert base == {"a": {"x": [1]}, "c": {"_target_": "A", "y": 1}}


def test_text_of_a_bundle_can_be_read_back():
    content = compose(recipe())
    assert json.loads(as_json(content)) == content


def test_two_recipes_of_one_name_are_refused(monkeypatch):
    from segxfer3d.pretexts import byol, moco

    monkeypatch.setattr(byol, "RECIPE", moco.RECIPE)
    with pytest.raises(InputError, match=r"two recipes are called moco_pretrain: .*\.byol and .*\.moco"):
        write_bundles.recipes()


@pytest.mark.parametrize("name", NAMES)
def test_a_bundle_imports_the_modules_of_its_groups(name):
    content = json.loads((BUNDLES / f"{name}.json").read_text(encoding="utf-8"))
    named = set(re.findall(r"(\w+)\.\w+", content["options"].partition("(")[2]))
    imported = {line.rpartition(" ")[2] for line in content["imports"]}
    assert named
    assert named - imported == set()
