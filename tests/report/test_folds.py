"""A report of folds: each case counted once, and what is said where folds are missing."""

import json

import pytest

from segxfer3d.report.collect import collect
from segxfer3d.report.folds import joined
from segxfer3d.report.methods import methods
from segxfer3d.report.results import results
from tests.report.made_studies import write_json, write_run

NAMES = [f"case{i:02d}" for i in range(12)]


def write_folds(root, folds=3, seeds=(0, 1), arms=(("random", 0.0), ("encoder", 0.08)), skip=(), names=None):
    """A folded study; gives the dice of each (arm, seed) by case."""
    entries, dice = [], {}
    for seed in seeds:
        for fold in range(folds):
            for arm, gain in arms:
                place = f"finetune/data-{arm}-n5-s{seed}-fold{fold}"
                entries.append({
                    "id": place, "kind": "finetune", "folder": place, "depends": [], "knobs": {},
                    "config": "x/genesis_finetune.json", "arm": arm, "data": "data", "budget": 5.0,
                    "budget_name": "n5", "seed": seed, "fold": fold,
                })  # fmt: skip
                if (arm, seed, fold) in skip:
                    continue
                tested = names[fold] if names else NAMES[fold::folds]
                rows = write_run(root / place, init=arm, seed=seed, gain=gain, case_names=tested)
                split = json.loads((root / place / "split.json").read_text())
                write_json(root / place / "split.json", {**split, "fold": fold, "folds": folds})
                dice.setdefault((arm, seed), {}).update({row["case"]: row["dice"] for row in rows})
    study = {
        "name": "folded", "seeds": list(seeds), "folds": folds, "data": {"data": {}},
        "arms": {arm: {"init": arm, "scenario": "", "pretrain": None, "knobs": {}} for arm, _ in arms},
        "budgets": [{"name": "n5", "value": 5.0, "knobs": {}}],
    }  # fmt: skip
    write_json(root / "study.json", study)
    write_json(root / "trials.json", entries)
    return dice


def test_a_seed_measures_every_case_once(tmp_path):
    dice = write_folds(tmp_path)
    collection = collect(tmp_path)
    assert collection.problems == ()
    (result,) = results(collection)
    assert result.compared == (12, 12)
    assert result.scores is not None
    assert result.scores.cases == tuple(NAMES)
    for arm in result.arms:
        assert (arm.seeds, arm.cases) == ((0, 1), 12)
        means = [sum(dice[arm.arm.name, seed].values()) / 12 * 100 for seed in (0, 1)]
        assert arm.measures["dice"][0] == pytest.approx(sum(means) / 2)
        assert arm.trainings == pytest.approx(means)
        for seed, row in zip((0, 1), result.scores.values[result.scores.index(arm.arm.name)], strict=True):
            assert row == pytest.approx([100 * dice[arm.arm.name, seed][name] for name in NAMES])
        assert "pooled_dice" not in arm.measures  # no file has what it is made of
    assert result.comparisons[0][0].difference == pytest.approx(result.against("encoder", "random")[0].difference)
    assert any("a seed is 3 trainings" in note and "train on its fold." in note for note in result.notes)


def test_the_methods_say_that_each_fold_is_tested(tmp_path):
    write_folds(tmp_path)
    place = tmp_path / "finetune/data-random-n5-s0-fold1/split.json"
    write_json(place, {**json.loads(place.read_text()), "validation": ["v1", "v2"]})
    collection = collect(tmp_path)
    paragraph, _ = methods(collection, results(collection))
    assert (
        "12 cases of 12 patients in 3 folds, each of which is tested by a training on the others, each time with "
        "1 to 2 patients held out for validation; 2 seeds"
    ) in paragraph
    assert "test part" not in paragraph


def test_folds_that_are_not_done_are_said_and_their_seed_is_in_no_table(tmp_path):
    write_folds(tmp_path, skip={("encoder", 1, 2)})
    collection = collect(tmp_path)
    assert [(p.where, p.what) for p in collection.problems] == [
        ("finetune/data-encoder-n5-s1-fold0", "in no table: fold 2 of 3 of this training are not done")
    ]
    (result,) = results(collection)
    assert {arm.arm.name: arm.seeds for arm in result.arms} == {"random": (0, 1), "encoder": (0,)}


def test_folds_that_test_the_same_cases_are_in_no_table(tmp_path):
    write_folds(tmp_path, folds=2, names=[["a", "b"], ["b", "c"]], seeds=(0,))
    collection = collect(tmp_path)
    assert [problem.what for problem in collection.problems] == ["in no table: several folds test b"] * 2
    assert results(collection) == []


def test_a_folder_of_runs_joins_folds_too(tmp_path):
    write_folds(tmp_path, seeds=(0,))
    (tmp_path / "trials.json").unlink()
    (tmp_path / "study.json").unlink()
    (result,) = results(collect(tmp_path))
    assert {(arm.arm.name, arm.cases) for arm in result.arms} == {("random", 12), ("encoder", 12)}


def test_lesions_of_all_folds_weigh_the_same(tmp_path):
    """Two folds: 3 lesions of which 2 are found, and 1 that is found; 1 and 2 false positives in 2 and 2 scans."""
    write_folds(tmp_path, folds=2, seeds=(0,), names=[["a", "b"], ["c", "d"]])
    lesions = [
        {"lesions": 3, "false_positives": 1, "lesion_sensitivity": 2 / 3, "lesion_dice": 0.5},
        {"lesions": 1, "false_positives": 2, "lesion_sensitivity": 1.0, "lesion_dice": 0.9},
    ]
    for fold, measured in enumerate(lesions):
        for path in tmp_path.glob(f"finetune/*-fold{fold}/cases_summary.json"):
            others = dict.fromkeys(
                ("lesion_surface_dice", "lesion_volume_error_percent", "lesion_absolute_volume_error_percent"), 1.0
            )
            write_json(path, json.loads(path.read_text()) | measured | others)
    for run in joined(collect(tmp_path).finetunings()):
        assert run.summary["lesions"] == 4
        assert run.summary["lesion_sensitivity"] == pytest.approx(3 / 4)
        assert run.summary["lesion_dice"] == pytest.approx((3 * 0.5 + 0.9) / 4)
        assert run.summary["false_positives_per_scan"] == pytest.approx(3 / 4)
        assert run.summary["lesion_f1"] == pytest.approx(2 * 3 / (3 + 4 + 3))
