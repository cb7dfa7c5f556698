import json
import os

import pytest

from segxfer3d.study import estimate
from segxfer3d.study.runner import Resources, run
from segxfer3d.study.states import State, states
from tests.study.studies import fake, plan


def test_times_come_from_what_is_done(tmp_path):
    _, trials = plan(tmp_path / "file")
    run(trials, tmp_path, Resources(), lambda _: None, fake(), only=[trials[0].id, trials[1].id])
    found = states(tmp_path, trials)
    cost = estimate.costs(trials, found, os.environ, pytest.fail)
    assert [(c.seconds, c.source) for c in cost.values()] == [(1.0, "mean of 1 that are done")]
    assert estimate.total(trials, found, cost, jobs=1) == 3.0
    assert estimate.total(trials, found, cost, jobs=2) == 2.0


def test_where_nothing_is_done_steps_are_timed_once_for_each_kind(tmp_path):
    knobs = {"recipe": "paper", "max_epochs": 100, "steps_per_epoch": 10, "validation_interval": 2}
    config = plan(tmp_path)[1][1].config
    _, trials = plan(tmp_path, finetune={"config": config, "knobs": knobs})
    said = []
    asked = []

    def launch(trial, knobs):
        asked.append(knobs)
        return fake()(trial, knobs)

    cost = estimate.costs(trials, states(tmp_path, trials), os.environ, said.append, launch)
    assert len(said) == len(cost) == 2
    assert [(k["max_epochs"], k["steps_per_epoch"]) for k in asked] == [(3, 2), (3, 5)]
    assert asked[1]["init"] == "random"
    fine = cost[estimate.kind_of(trials[1])]
    assert "10 ms a step" in fine.source
    assert fine.seconds == pytest.approx(10, rel=0.9)  # 1000 steps of 10 ms, as the fake writes, and a start
    assert not list(tmp_path.glob("finetune"))


def test_what_cannot_be_timed_says_why(tmp_path):
    _, trials = plan(tmp_path)
    assert "loss is NaN" in estimate.timed(trials[1], os.environ, fake(finetune="fail")).source
    config = trials[1].config
    _, trials = plan(tmp_path, finetune={"config": config, "knobs": {"recipe": "paper"}})
    cost = {estimate.kind_of(trials[1]): estimate.timed(trials[1], os.environ, fake())}
    assert "does not say max_epochs" in cost[estimate.kind_of(trials[1])].source
    found = {trial.id: State("waiting") for trial in trials}
    cost[estimate.kind_of(trials[0])] = estimate.Cost(1.0, "")
    assert estimate.total(trials, found, cost, 1) is None


def test_a_fine_tuning_waits_for_its_pretraining(tmp_path):
    _, trials = plan(tmp_path, seeds=[0])
    found = {trial.id: State("waiting") for trial in trials}
    cost = {estimate.kind_of(trials[0]): estimate.Cost(100.0, ""), estimate.kind_of(trials[1]): estimate.Cost(10.0, "")}
    assert estimate.total(trials, found, cost, 8) == 110.0


def test_durations_are_said_in_two_units():
    assert [estimate.duration(s) for s in (8, 95, 4000, 200000)] == ["8 s", "1 min 35 s", "1 h 6 min", "2 d 7 h"]


def test_budgets_that_the_data_cannot_give_are_named(tmp_path):
    _, trials = plan(tmp_path, seeds=[0], budgets=[{"label_count": 2}, {"label_count": 50}])
    kind = estimate.kind_of(trials[-1])
    assert estimate.beyond_data(trials, {kind: estimate.Cost(1.0, "", patients=50)}) == []
    assert estimate.beyond_data(trials, {kind: estimate.Cost(1.0, "")}) == []
    (clause,) = estimate.beyond_data(trials, {kind: estimate.Cost(1.0, "", patients=49)})
    assert clause.endswith("-n50-s0: 50 labeled patients, but the train part has 49")


@pytest.mark.parametrize(("unit", "patients"), [("patient", 3), ("case", None)])
def test_a_timed_run_tells_how_many_patients_there_are_to_label(tmp_path, unit, patients):
    (tmp_path / "split.json").write_text(json.dumps({"unit": unit, "train": ["a", "b", "c"]}))
    assert estimate._train_patients(tmp_path / "split.json") == patients
    assert estimate._train_patients(tmp_path / "none.json") is None
