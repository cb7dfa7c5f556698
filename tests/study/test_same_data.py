"""Trainings of a study that saw different data are not compared."""

import gzip
import json
import shutil
import time

import pytest

from segxfer3d.errors import InputError
from segxfer3d.study.grid import write as write_grid
from segxfer3d.study.runner import Resources, run, run_one
from segxfer3d.study.same_data import refuse_other_data
from segxfer3d.study.trials import read_trials
from tests.cli.test_cli import call
from tests.study.studies import fake, plan, ran, write


def keep(folder, trial, cases, **more):
    (folder / trial.folder / "made_from.json").write_text(json.dumps({"cases": cases, **more}), encoding="utf-8")


@pytest.fixture
def study(tmp_path):
    folder = ran(tmp_path, common={"amp": False})
    trials = read_trials(folder)
    for trial in trials:
        keep(folder, trial, {"a": ["1", "2"], "b": ["3", "4"]})
    return folder, trials


def test_the_same_data_go_on(study):
    folder, trials = study
    refuse_other_data(trials, folder)


@pytest.mark.parametrize(
    ("cases", "named"),
    [
        ({"a": ["1", "2"], "b": ["3", "5"]}, "b not as in"),
        ({"a": ["1", "2"]}, "b not as in"),
        ({"a": ["0", "2"], "b": ["3", "4"], "c": ["5", "6"]}, "a not as in pretrain/\\S+; c not as in"),
    ],
)
def test_other_values_are_named(study, cases, named):
    folder, trials = study
    last = trials[-1]
    assert (last.kind, last.arm) == ("finetune", "encoder")
    keep(folder, last, cases)
    with pytest.raises(
        InputError, match=rf"saw different data.*delete the folders(?s:.*){last.folder}: {named} (finetune|pretrain)/"
    ):
        refuse_other_data(trials, folder)


def test_the_command_refuses_it_before_anything_starts(study, tmp_path):
    folder, trials = study
    keep(folder, trials[-1], {"a": ["1", "2"], "b": ["3", "5"]})
    before = sorted(folder.rglob("*"))
    status, text = call(
        "study", "run", write(tmp_path / "file", common={"amp": False}), "-o", folder, "--dry-run", "--no-timing"
    )
    assert (status, "its trainings saw different data" in text) == (1, True), text
    assert sorted(folder.rglob("*")) == before


def test_what_an_earlier_version_left_and_damage_are_passed_over(study):
    folder, trials = study
    (folder / trials[-1].folder / "made_from.json").unlink()
    (folder / trials[-2].folder / "made_from.json").write_text("{", encoding="utf-8")
    refuse_other_data(trials, folder)


CASES = {"a": ["1", "2"], "b": ["3", "4"]}
CT = {"modality": ["CT"], "classes": {"1": "lung"}, "channels": 1}


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"data": {**CT, "modality": ["MR"]}}, "modality\\.0 MR, not CT as in"),
        ({"data": {**CT, "classes": {"1": "lung", "2": "cyst"}}}, "classes\\.2 cyst, not nothing as in"),
        ({"preprocessing": {"window": [0.0, 1.0]}}, r"window \[0\.0, 1\.0\], not \[0\.0, 2\.0\] as in"),
    ],
)
def test_modality_classes_and_preprocessing_are_named(study, other, named):
    folder, trials = study
    usual = {"data": CT, "preprocessing": {"window": [0.0, 2.0]}}
    for trial in trials:
        keep(folder, trial, CASES, **usual)
    refuse_other_data(trials, folder)
    keep(folder, trials[-1], CASES, **usual | other)
    with pytest.raises(InputError, match=rf"{trials[-1].folder}: {named} "):
        refuse_other_data(trials, folder)


def test_arms_that_differ_by_an_option_saw_the_same_cases_but_for_what_it_changes(tmp_path):
    arms = {"wide": {"init": "random", "knobs": {"window_high": 2.0}}, "narrow": {"init": "random"}}
    folder = ran(tmp_path, common={"amp": False}, arms=arms, pretrain={})
    trials = read_trials(folder)
    for trial in trials:
        keep(folder, trial, CASES, preprocessing={"window": [0.0, 2.0 if trial.arm == "wide" else 1.0]})
    refuse_other_data(trials, folder)
    keep(folder, trials[-1], {**CASES, "b": ["3", "5"]})
    assert trials[-1].arm == "narrow"
    with pytest.raises(InputError, match=rf"{trials[-1].folder}: b not as in"):
        refuse_other_data(trials, folder)


def test_images_are_compared_with_those_of_the_pretraining(study):
    folder, trials = study
    assert trials[0].kind == "pretrain"
    keep(folder, trials[0], {"a": ["1", ""], "c": ["6", ""]})  # which has no labels, and others beside
    refuse_other_data(trials, folder)
    keep(folder, trials[0], {"a": ["9", ""]})
    with pytest.raises(InputError, match=rf"{trials[1].folder}: a not as in pretrain/"):
        refuse_other_data(trials, folder)
    (folder / trials[0].folder / "done.json").unlink()  # it is not what others are compared with
    with pytest.raises(InputError, match=rf"again:\n  {trials[0].folder}: a not as in {trials[1].folder}"):
        refuse_other_data(trials, folder)


def test_what_a_run_went_on_with_counts_too(study):
    folder, trials = study
    accepted = [{"when": "", "changed": [], "cases": {"a": ["1", "2"], "b": ["3", "5"]}}]
    (folder / trials[-1].folder / "accepted.json").write_text(json.dumps(accepted), encoding="utf-8")
    with pytest.raises(InputError, match=rf"{trials[-1].folder}: b not as in"):
        refuse_other_data(trials, folder)


def test_weights_that_trainings_started_from(study):
    folder, trials = study
    started = [trial for trial in trials if trial.depends]
    for number, trial in enumerate(started):
        keep(folder, trial, CASES, checkpoint=f"{number}")
    with pytest.raises(InputError, match=rf"{started[1].folder}: checkpoint 1, not 0 as in {started[0].folder}"):
        refuse_other_data(trials, folder)
    again = folder / trials[0].folder / "again.json"  # which says it, and whose record they are compared with
    again.write_text("{}", encoding="utf-8")
    refuse_other_data(trials, folder)


@pytest.mark.parametrize("slow", ["", " slow"])
def test_a_single_trial_of_other_data_is_stopped_before_it_trains(tmp_path, slow):
    study, trials = plan(tmp_path / "file", common={"amp": False})
    folder = tmp_path / "study"
    folder.mkdir()
    write_grid(study, trials, folder)
    first, second, *_ = [trial for trial in trials if trial.arm == "random"]
    assert run_one(first.id, trials, folder, Resources(), fake(random="reads 1")).name == "done"
    began = time.monotonic()
    state = run_one(second.id, trials, folder, Resources(), fake(random=f"reads 2{slow}"))
    assert time.monotonic() - began < 30
    assert state.name == "failed"
    assert state.error == (
        f"made from other data: a not as in {first.folder}; bring the data back, and delete {folder / second.folder}"
    )
    with pytest.raises(InputError, match=f"saw different data(?s:.*){second.folder}: a not as in {first.folder}"):
        run_one(second.id, trials, folder, Resources(), fake(random="reads 1"))
    shutil.rmtree(folder / second.folder)
    assert run_one(second.id, trials, folder, Resources(), fake(random="reads 1")).name == "done"


def test_a_study_stops_a_training_of_other_data(tmp_path):
    study, trials = plan(
        tmp_path / "file",
        common={"amp": False},
        arms={"random": {"init": "random"}, "fixed": {"init": "frozen-random"}},
        pretrain={},
    )
    folder = tmp_path / "study"
    folder.mkdir()
    write_grid(study, trials, folder)
    standing = run(trials, folder, Resources(), lambda _: None, fake(s0="reads 1", s1="reads 2 slow"))
    assert [standing[trial.id].name for trial in trials] == ["done", "done", "failed", "failed"]
    assert "made from other data: a not as in" in standing[trials[2].id].error


def test_a_record_says_it(study, tmp_path):
    folder, trials = study
    status, text = call("study", "keep", folder, tmp_path / "record")
    assert (status, "warning" in text) == (0, False), text
    keep(folder, trials[-1], {**CASES, "b": ["3", "5"]})
    status, text = call("study", "keep", folder, tmp_path / "other")
    assert status == 0, text
    assert f"warning: made from other data, so they do not compare: {trials[-1].folder}: b not as in pretrain/" in text


def test_fingerprints_are_short_in_a_record_and_compare_with_whole_ones(study, tmp_path):
    """A record of 80 trainings on 250 cases would hold 2 MB of them, which hardly compress."""
    folder, trials = study
    whole = {"a": [digit * 32 for digit in "12"] + ["a class, however long it is called"], "b": ["3" * 32, ""]}
    for trial in trials:
        keep(folder, trial, whole, seen={"a": {"spacing": [1.0, 1.0, 1.0], "values": [[0.0, 1.0]]}})
    assert call("study", "keep", folder, tmp_path / "record")[0] == 0
    record = next((tmp_path / "record").rglob("run.json.gz"))
    kept = json.loads(gzip.decompress(record.read_bytes()))["made_from.json"]
    assert kept == {"cases": {"a": ["1" * 8, "2" * 8, whole["a"][2]], "b": ["3" * 8, ""]}}
    keep(folder, trials[0], kept["cases"])  # as `study run --done` restores it
    refuse_other_data(trials, folder)
    keep(folder, trials[0], {**whole, "b": ["4" * 32, ""]})
    with pytest.raises(InputError, match="b not as in"):
        refuse_other_data(trials, folder)
