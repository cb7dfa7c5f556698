"""What the trainings of a study compute in is chosen once, for all of them, and kept."""

import json
import os

import pytest

from segxfer3d.config import amp
from segxfer3d.errors import InputError
from segxfer3d.study import grid, keeping, matching, precision
from segxfer3d.study.records import read_records
from segxfer3d.study.study_file import read_study
from tests.study.studies import BUNDLES, content, plan, ran, write
from tests.study.test_tuning import plan as search_plan
from tests.study.test_tuning import search


@pytest.fixture
def machine(monkeypatch):
    """A machine whose devices are so many times as fast in bf16; what was asked."""
    monkeypatch.delenv(amp.VARIABLE, raising=False)
    asked = []

    def with_speeds(**speeds):
        def measured(device, environment):
            asked.append(device)
            speed = speeds[device or "default"]
            return {"there": speed is not None, "amp": bool(speed and speed >= 1.2), "bf16_speedup": speed}

        monkeypatch.setattr(precision, "_measured", measured)
        return asked

    return with_speeds


def settle(folder, record=None, **changes):
    study = read_study(write(folder / "file", **changes))
    return precision.settle(study, folder / "out", os.environ, record)


def test_all_trainings_have_what_was_measured_once(machine, tmp_path):
    asked = machine(default=1.6)
    study, trials, found = settle(tmp_path)
    assert asked == [""]
    assert (study.amp, [trial.knobs["amp"] for trial in trials]) == (True, [True] * 5)
    assert [trial.parts["knobs"]["amp"] for trial in trials] == [True] * 5  # other trainings than those in float32
    sentence = "bf16 in all trainings of which nothing else is said: measured to be 1.6 times as fast in bf16"
    assert found.sentence() == sentence


def test_a_study_that_goes_on_elsewhere_keeps_its_choice(machine, tmp_path):
    machine(default=1.6)
    _, trials, found = settle(tmp_path)
    (tmp_path / "out").mkdir()
    precision.keep(tmp_path / "out", found)
    asked = machine(default=0.3)
    asked.clear()
    _, again, kept = settle(tmp_path)
    assert asked == []
    assert [trial.identity for trial in again] == [trial.identity for trial in trials]
    assert (kept.amp, kept.speedup) == (True, 1.6)
    assert kept.by == "as chosen when this began (measured to be 1.6 times as fast in bf16)"
    path = tmp_path / "out" / "precision.json"
    assert json.loads(path.read_text(encoding="utf-8"))["bf16_speedup"] == 1.6
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match=r"precision\.json: damaged .*delete it to have it chosen anew"):
        settle(tmp_path)


def test_a_study_that_says_it_is_not_measured_for(machine, tmp_path):
    asked = machine(default=1.6)
    _, trials, found = settle(tmp_path, common={"amp": False})
    assert (asked, found) == ([], None)
    assert [trial.identity for trial in trials] == [t.identity for t in plan(tmp_path / "b", common={"amp": False})[1]]
    changed = content()
    changed["finetune"]["knobs"]["amp"] = False
    _, trials, _ = settle(tmp_path, **changed)
    assert [trial.knobs["amp"] for trial in trials] == [True] + [False] * 4
    assert asked == [""]


def test_a_bundle_that_says_it_is_left_alone(machine, tmp_path):
    asked = machine(default=1.6)
    own = json.loads((BUNDLES / "genesis_finetune.json").read_text(encoding="utf-8"))
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / "own.json").write_text(json.dumps({**own, "amp": False}), encoding="utf-8")
    changed = content(arms={name: {"init": name} for name in ("random", "frozen-random")}, pretrain={})
    changed["finetune"]["config"] = str(tmp_path / "file" / "own.json")
    _, trials, found = settle(tmp_path, **changed)
    assert (asked, found, {"amp" in trial.knobs for trial in trials}) == ([], None, {False})


def test_trainings_on_several_devices_are_alike(machine, tmp_path):
    asked = machine(cpu=0.9, cuda=3.0)
    changed = content(common={"device": "cuda"})
    changed["pretrain"]["genesis"]["knobs"]["device"] = "cpu"
    _, trials, found = settle(tmp_path, **changed)
    assert sorted(asked) == ["cpu", "cuda"]
    assert (found.amp, found.speedup) == (False, 0.9)
    assert {trial.knobs["amp"] for trial in trials} == {False}


def test_a_device_that_is_not_here_is_left_to_the_trainings(machine, tmp_path):
    """Where a study is prepared on a machine without the GPU that its trainings will have."""
    machine(cuda=None)
    _, trials, found = settle(tmp_path, common={"device": "cuda"})
    assert found.sentence() == (
        "each training chooses its precision: there is no cuda here to measure; SEGXFER3D_AMP says it for all of them"
    )
    assert {"amp" in trial.knobs for trial in trials} == {False}
    precision.keep(tmp_path, found)
    assert not (tmp_path / "precision.json").exists()


def test_an_environment_variable_goes_before_a_measurement(machine, tmp_path, monkeypatch):
    asked = machine(default=1.6)
    monkeypatch.setenv(amp.VARIABLE, "False")
    assert settle(tmp_path)[2] == precision.Precision(False, None, "SEGXFER3D_AMP says so")
    assert asked == []


def test_a_record_goes_on_in_what_it_has(machine, tmp_path, monkeypatch):
    """Fake trainings write no options; a record has all of them."""
    asked = machine(default=1.6)
    keeping.keep(ran(tmp_path), tmp_path / "record")
    recorded = read_records(tmp_path / "record")
    for in_bf16 in (False, True):
        values = {**recorded[0].values, "amp": in_bf16}
        monkeypatch.setattr(type(recorded[0]), "values", values)
        _, trials, found = settle(tmp_path, record=tmp_path / "record")
        assert (found.amp, found.by) == (in_bf16, "as its record has them")
        assert {trial.knobs["amp"] for trial in trials} == {in_bf16}
    assert asked == []
    # one in float32 does not stand for a training in bf16
    wanted = grid.expand(read_study(write(tmp_path / "file", common={"amp": True})))
    parts = {**wanted[1].parts, "knobs": {}, "config": "of an earlier version"}
    before = {"config": "bundles/genesis_finetune.json", "parts": parts, "values": {"amp": False}}
    named = matching.differences(before, wanted[1])
    assert "amp False, not True" in named


def test_a_search_keeps_its_choice(machine, tmp_path):
    machine(cpu=1.6)
    made = search_plan(tmp_path, knobs={"width": 2, "steps_per_epoch": 2, "device": "cpu"})
    tried, _ = search(tmp_path / "out", made, trials=2)
    machine(cpu=0.3)
    again, _ = search(tmp_path / "out", made, trials=3)
    assert [trial.number for trial in again if trial.number < 2] == [trial.number for trial in tried]
    assert "--amp True" in json.loads((tmp_path / "out" / "best.json").read_text(encoding="utf-8"))["command"]
    entries = [json.loads(path.read_text(encoding="utf-8")) for path in (tmp_path / "out").glob("trials/*/trial.json")]
    assert [entry["knobs"]["amp"] for entry in entries] == [True] * 3


@pytest.mark.slow
def test_a_process_measures(monkeypatch):
    found = precision._measured("cpu", os.environ)
    assert found["amp"] is (found["bf16_speedup"] >= 1.2)
    assert found["there"] is True
    assert precision._measured("nonsense", os.environ) == {"there": False, "amp": False, "bf16_speedup": None}
    monkeypatch.setattr(precision, "MODULE", "segxfer3d.run.nothing")
    with pytest.raises(InputError, match=r"amp: bf16 cannot be measured here .*No module named segxfer3d.run.nothing"):
        precision._measured("cpu", os.environ)
