"""Trainings of a study that saw different data are not compared."""

import json

import pytest

from segxfer3d.errors import InputError
from segxfer3d.study.same_data import refuse_other_data
from segxfer3d.study.trials import read_trials
from tests.cli.test_cli import call
from tests.study.studies import ran, write


def keep(folder, trial, cases):
    (folder / trial.folder / "made_from.json").write_text(json.dumps({"cases": cases}), encoding="utf-8")


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
        ({"a": ["0", "2"], "b": ["3", "4"], "c": ["5", "6"]}, "a, c not as in"),
    ],
)
def test_other_values_are_named(study, cases, named):
    folder, trials = study
    last = trials[-1]
    assert (last.kind, last.arm) == ("finetune", "encoder")
    keep(folder, last, cases)
    with pytest.raises(
        InputError, match=rf"saw different data.*delete the folders(?s:.*){last.folder}: {named} finetune/"
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
