"""A plan in a file, which all arms and their pretrainings share: found, checked, and part of what a trial is."""

import json
from pathlib import Path

import pytest

from segxfer3d.errors import InputError
from segxfer3d.study.grid import check_folder
from segxfer3d.study.grid import write as write_grid
from segxfer3d.study.keeping import keep
from segxfer3d.study.matching import differences, match
from tests.study.studies import BUNDLES, plan, ran

PLAN = {
    "spacing": [1.0, 1.0, 1.0],
    "patch_size": [16, 16, 16],
    "batch_size": 2,
    "strides": [[1, 1, 1], [2, 2, 2]],
    "kernels": [[3, 3, 3], [3, 3, 3]],
    "features": [2, 4],
    "stem": [2, 2, 2],
    "intensity": {"rule": "zscore"},
    "reasons": {"stem": "time is short"},
}
COMMON = {"plan": "plans/small.json", "network": "plain_unet", "intensity": "percentile"}
STRONG = {"config": str(BUNDLES / "genesis_finetune.json"), "knobs": {"recipe": "strong", "max_epochs": 2}}


def write_plan(folder, **changes):
    path = Path(folder) / "plans/small.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**PLAN, **changes}))
    return path


def study(folder, common=COMMON, **changes):
    return plan(folder, **{"common": common, "finetune": STRONG, **changes})


def test_a_plan_is_found_from_the_study_file_and_all_trainings_have_it(tmp_path):
    path = write_plan(tmp_path)
    _, trials = study(tmp_path)
    assert {trial.knobs["plan"] for trial in trials} == {str(path)}
    assert all("plan" not in trial.parts["knobs"] and trial.parts["data"]["plan"] for trial in trials)


def test_a_plan_counts_by_what_is_computed_from_it_wherever_it_lies(tmp_path):
    write_plan(tmp_path / "here")
    write_plan(tmp_path / "there", reasons={}, memory=3.0)
    here, there = (study(tmp_path / place)[1] for place in ("here", "there"))
    assert [trial.identity for trial in here] == [trial.identity for trial in there]
    write_plan(tmp_path / "there", features=[4, 8])
    edited = study(tmp_path / "there")[1]
    assert not {trial.identity for trial in here} & {trial.identity for trial in edited}
    by_hand = study(tmp_path / "there", {**COMMON, "patch_size": [16, 16, 8]})[1]
    assert not {trial.identity for trial in edited} & {trial.identity for trial in by_hand}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            None,
            r"common.plan: .*/mine/plans/small.json: cannot be read \(No such file or directory\); expected data",
        ),
        ("{", r"common.plan: .*small.json: is not JSON"),
        ("[]", r"common.plan: .*small.json: expected an object, got an empty list; expected data"),
        (json.dumps({"spacing": [1, 1, 1]}), r"common.plan: small.json is no plan \(patch_size is missing\)"),
    ],
)
def test_a_missing_or_damaged_plan_is_said_before_anything_runs(tmp_path, text, message):
    path = write_plan(tmp_path / "mine")
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(InputError, match=message):
        study(tmp_path / "mine")


def test_a_plan_may_be_typed_as_seen_from_the_working_directory(tmp_path, monkeypatch):
    path = write_plan(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    _, trials = study(tmp_path / "there")
    assert {trial.knobs["plan"] for trial in trials} == {str(path)}


def test_an_edited_plan_is_refused_in_the_study_s_folder_and_beside_its_record(tmp_path):
    (tmp_path / "file").mkdir()
    write_plan(tmp_path / "file")
    folder = ran(tmp_path, common=COMMON, finetune=STRONG)
    keep(folder, tmp_path / "record")
    asked, trials = study(tmp_path / "file")
    assert len(match(asked.name, trials, tmp_path / "record").records) == len(trials)
    assert check_folder(asked, trials, folder) == []
    assert str(tmp_path) not in "".join(p.read_text("utf-8") for p in (tmp_path / "record").rglob("*.json"))
    write_plan(tmp_path / "file", stem=[1, 1, 1])
    asked, trials = study(tmp_path / "file")
    with pytest.raises(InputError, match=r"was recorded with another plan; another pretraining \(another plan\)"):
        match(asked.name, trials, tmp_path / "record")
    with pytest.raises(InputError, match="was started with another plan"):
        check_folder(asked, trials, folder)


def test_a_plan_in_place_of_sizes_by_hand_is_another_training(tmp_path):
    write_plan(tmp_path)
    (trial, *_) = study(tmp_path)[1]
    record = {"config": trial.config, "parts": {**trial.parts, "data": {}}, "values": {**trial.knobs, "plan": "none"}}
    assert differences(record, trial) == ["another plan"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"common": {k: v for k, v in COMMON.items() if k != "network"}}, "expected network among the knobs of common"),
        ({"common": {k: v for k, v in COMMON.items() if k != "intensity"}}, "expected intensity window or percentile"),
        ({"finetune": {**STRONG, "knobs": {**STRONG["knobs"], "intensity": "zscore"}}}, "expected intensity window or"),
        (
            {"finetune": {**STRONG, "knobs": {**STRONG["knobs"], "spacing": [2, 2, 2]}}},
            r"spacing \[2.0, 2.0, 2.0\], but none in pretraining; expected the same, among common",
        ),
        (
            {
                "common": {k: v for k, v in COMMON.items() if k != "plan"},
                "finetune": {**STRONG, "knobs": {**STRONG["knobs"], "plan": "plans/small.json"}},
            },
            "plan small.json, but none in pretraining",
        ),
    ],
)
def test_arms_that_would_not_be_alike_are_refused(tmp_path, change, message):
    write_plan(tmp_path)
    with pytest.raises(InputError, match=message):
        study(tmp_path, **change)


def test_the_folder_of_a_plan_is_part_of_no_study(tmp_path):
    """A study that was prepared goes on from another place, where the plan is the same."""
    write_plan(tmp_path / "a")
    write_plan(tmp_path / "b")
    asked, trials = study(tmp_path / "a")
    (tmp_path / "folder").mkdir()
    write_grid(asked, trials, tmp_path / "folder")
    assert check_folder(*study(tmp_path / "b"), tmp_path / "folder") == []
