"""A study goes on from its record: what is recorded counts as done, what is still needed of it is made again."""

import json
from dataclasses import replace

import pytest

from segxfer3d.errors import InputError
from segxfer3d.study import grid, matching
from segxfer3d.study.code import read_config
from segxfer3d.study.keeping import keep
from segxfer3d.study.matching import differences, match, remarks
from segxfer3d.study.options import options_of
from segxfer3d.study.records import read_records
from segxfer3d.study.restoring import AGAIN, outcome, restore, standing_with
from segxfer3d.study.runner import Resources, counts, run, run_one
from segxfer3d.study.states import states
from tests.study.studies import fake, plan, ran, starts
from tests.study.test_records import RANDOM, content

ENCODER = "finetune-data-encoder-n2-s0"


@pytest.fixture
def kept(tmp_path):
    keep(ran(tmp_path / "first"), tmp_path / "record")
    return tmp_path / "record"


def go_on(folder, kept, **changes):
    """Run a study of which something is recorded; gives its trials, how they stand, and what was said."""
    study, trials = plan(folder / "file", **changes)
    found = match(study.name, trials, kept)
    grid.check_folder(study, trials, folder)
    folder.mkdir(exist_ok=True)
    grid.write(study, trials, folder)
    expected = counts(standing_with(folder, trials, found))
    restore(folder, trials, found)
    assert counts(states(folder, trials)) == expected
    said = []
    return trials, run(trials, folder, Resources(), said.append, fake()), said


def test_what_is_recorded_counts_as_done(kept, tmp_path):
    trials, found, said = go_on(tmp_path / "here", kept)
    assert counts(found) == {"recorded": 5}
    assert {state.name for state in found.values()} == {"done"}
    assert said == []
    assert [starts(tmp_path / "here", trial) for trial in trials] == [[]] * 5
    assert not list((tmp_path / "here").rglob("model.pt"))
    # the study's folder is one like any other: kept again, it is the same record, and without it the study goes on
    keep(tmp_path / "here", tmp_path / "second")
    assert content(tmp_path / "second") == content(kept)
    assert keep(tmp_path / "here", kept).new == 0
    assert counts(run(trials, tmp_path / "here", Resources(), said.append, fake())) == {"recorded": 5}
    assert run_one(trials[0].id, trials, tmp_path / "here", Resources(), fake()).recorded


def test_a_pretraining_is_made_again_only_where_it_is_needed(kept, tmp_path):
    trials, found, said = go_on(tmp_path / "here", kept, seeds=[0, 1, 2])
    assert counts(found) == {"done": 3, "recorded": 4}
    assert f"{trials[0].id}: made again from its seed: the weights are those of the record, bit for bit" in said
    assert starts(tmp_path / "here", trials[0]) == ["resume False"]
    again = json.loads((tmp_path / "here" / trials[0].folder / AGAIN).read_text(encoding="utf-8"))
    assert again["same"] is True
    assert keep(tmp_path / "here", kept).new == 2


@pytest.mark.parametrize("by", ["run", "trial", "keep"])
def test_a_pretraining_that_ended_while_no_study_ran_is_compared_when_one_does(by, kept, tmp_path):
    folder = tmp_path / "here"
    trials, _, _ = go_on(folder, kept, seeds=[0, 1, 2])
    path = folder / trials[0].folder / AGAIN
    before = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({"record": before["record"]}))  # as it is while the pretraining runs
    said = []
    for _ in range(2):  # once is enough
        if by == "run":
            run(trials, folder, Resources(), said.append, fake())
        elif by == "trial":
            run_one(trials[0].id, trials, folder, Resources(), fake())
        else:
            said += keep(folder, kept).sentence().splitlines()[:-1]
    assert json.loads(path.read_text(encoding="utf-8")) == before
    words = f"{trials[0].id}: made again from its seed: the weights are those of the record, bit for bit"
    assert said == ([] if by == "trial" else [words])


def test_a_folder_that_can_only_be_read_is_kept_all_the_same(kept, tmp_path, monkeypatch):
    def refuse(place):
        raise InputError("again.json cannot be written")

    trials, _, _ = go_on(tmp_path / "here", kept, seeds=[0, 1, 2])
    monkeypatch.setattr("segxfer3d.study.restoring.compare_again", refuse)
    found = keep(tmp_path / "here", tmp_path / "other")
    assert found.new == 7
    assert found.again == [f"{trials[0].id}: not compared with the record: again.json cannot be written"]


def test_weights_that_differ_are_said_with_the_processors(kept, tmp_path, monkeypatch):
    monkeypatch.setattr("segxfer3d.study.restoring.weights_hash", lambda _: "0" * 64)
    _, found, said = go_on(tmp_path / "here", kept, seeds=[0, 1, 2])
    assert counts(found)["done"] == 3
    assert any(
        "the weights differ from the record's (though processor, threads, torch and code are the same)" in s
        for s in said
    )
    shared = {"threads": "1", "gpu": "none", "torch": "2"}
    made = {"same": False, "processor": "B", "parts": {"code_version": "2"}, **shared}
    record = {"processor": "A", "parts": {"code_version": "1"}, **shared}
    assert outcome({**made, "record": record}).endswith(
        "(recorded with processor A, code version 1; here processor B, code version 2)"
    )
    assert outcome({"record": record}) == ""


def test_weights_that_cannot_be_read_stop_nothing(kept, tmp_path, monkeypatch):
    def refuse(path):
        raise InputError(f"{path}: the weights cannot be read")

    monkeypatch.setattr("segxfer3d.study.restoring.weights_hash", refuse)
    _, found, said = go_on(tmp_path / "here", kept, seeds=[0, 1, 2])
    assert counts(found)["done"] == 3
    assert any("made again from its seed, but not compared with the record: " in line for line in said)


def test_a_trial_that_is_lost_later_has_its_pretraining_made_again(kept, tmp_path):
    folder = tmp_path / "here"
    trials, _, _ = go_on(folder, kept)
    for path in (folder / "finetune/data-encoder-n2-s0").iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"needs the weights of pretrain-genesis-.*, which is recorded without"):
        run_one(ENCODER, trials, folder, Resources(), fake())
    restore(folder, trials, matching.Match(kept, {}))
    assert counts(run(trials, folder, Resources(), lambda _: None, fake())) == {"done": 2, "recorded": 3}


def test_a_trial_that_began_goes_on_here_and_one_that_never_did_takes_its_record(kept, tmp_path):
    folder = tmp_path / "here"
    begun, failed = folder / "finetune/data-random-n2-s0", folder / "finetune/data-random-n2-s1"
    for place in (begun, failed):
        place.mkdir(parents=True)
    (begun / "run.json").write_text('{"job": "fake", "knobs": {}}')
    (failed / "failed.json").write_text('{"error": "could not be started"}')
    trials, found, _ = go_on(folder, kept)
    assert counts(found) == {"recorded": 4, "done": 1}
    assert starts(folder, trials[1]) == ["resume True"]


def test_a_place_that_was_taken_halfway_counts_for_nothing(kept, tmp_path):
    folder = tmp_path / "here"
    trials, _, _ = go_on(folder, kept)
    (folder / RANDOM / "done.json").unlink()
    assert counts(run(trials, folder, Resources(), lambda _: None, fake())) == {"recorded": 4, "done": 1}


def test_records_of_another_study_or_other_knobs_are_refused(kept, tmp_path):
    study, trials = plan(tmp_path / "a", name="other")
    with pytest.raises(InputError, match="holds the record of the study small, not of other"):
        match(study.name, trials, kept)
    arms = {"random": {"init": "random", "knobs": {"lr": 0.1}}, "encoder": {"init": "encoder", "pretrain": "genesis"}}
    study, trials = plan(tmp_path / "b", arms=arms)
    with pytest.raises(InputError, match="2 records are of other trainings") as caught:
        match(study.name, trials, kept)
    assert caught.match("data-random-n2-s0: was recorded with lr unknown, not 0.1")
    config = json.loads((tmp_path / "b/study.json").read_text(encoding="utf-8"))["pretrain"]["genesis"]["config"]
    study, trials = plan(tmp_path / "c", pretrain={"genesis": {"config": config, "knobs": {"max_epochs": 3}}})
    with pytest.raises(InputError, match=r"data-encoder-n2-s0: was recorded with another pretraining \(max_epochs 2"):
        match(study.name, trials, kept)
    with pytest.raises(InputError, match="no record of a study"):
        match(study.name, trials, tmp_path)


def test_of_several_records_of_a_pretraining_the_one_counts_that_trials_started_from(kept, tmp_path, monkeypatch):
    first = read_records(kept)[0]
    monkeypatch.setattr("segxfer3d.study.definition.code_version", lambda *_: "0.0.0+00000000")
    folder = ran(tmp_path / "second", seeds=[0])
    monkeypatch.undo()
    monkeypatch.setattr("segxfer3d.study.keeping.weights_hash", lambda _: "0" * 64)
    keep(folder, kept)
    assert len(read_records(kept)) == 6
    study, trials = plan(tmp_path / "a")
    found = match(study.name, trials, kept)
    assert found.records[trials[0].id].entry == first.entry
    assert len(found.others) == 1


def test_a_study_may_grow_and_shrink(kept, tmp_path):
    study, trials = plan(tmp_path / "a", seeds=[1, 2])
    found = match(study.name, trials, kept)
    assert len(found.records) == 3
    assert found.others == ("finetune/data-encoder-n2-s0", "finetune/data-random-n2-s0")
    assert remarks(found, trials) == [
        f"recorded: 3 of 5 trials in {kept} (on None)",
        "note: no trials of this study, left alone: finetune/data-encoder-n2-s0, finetune/data-random-n2-s0",
    ]


def test_a_record_stays_valid_when_the_code_changes_and_says_so(kept, tmp_path, monkeypatch):
    version = read_records(kept)[1].entry["parts"]["code_version"]
    monkeypatch.setattr("segxfer3d.study.definition.code_version", lambda *_: "0.2.0+abcdef12")
    trials, found, _ = go_on(tmp_path / "here", kept)
    assert counts(found) == {"recorded": 5}
    said = remarks(match("small", trials, kept), trials)
    assert version in said[1]
    assert said[1].endswith("; today's is 0.2.0+abcdef12")


def recorded(trial, **values):
    """What a record says of a training whose bundle has other bytes than today's."""
    config = read_config(trial.config)
    values = {**{name: config[name] for name in options_of(config)}, **trial.knobs, **values}
    return {
        "config": f"bundles/{trial.config.rsplit('/', 1)[1]}",
        "parts": {**trial.parts, "config": "0" * 16, "knobs": {}, "code_version": "0.1.0+old"},
        "values": {
            "gone": 1,
            **{name: value for name, value in values.items() if value != "unknown"},
            "device": "cuda",
        },
    }


def test_a_shipped_bundle_may_get_new_options_as_long_as_values_are_the_same(tmp_path):
    trial = plan(tmp_path, common={"amp": False, "width": 8})[1][1]
    assert differences(recorded(trial), trial) == []
    assert differences(recorded(trial, width=4), trial) == ["width 4, not 8"]
    # a study that says what was the default before means the same
    record = recorded(trial)
    record["parts"] = {**record["parts"], "config": trial.parts["config"], "knobs": {"amp": False}}
    assert differences(record, trial) == []
    # an option that the run did not know: left to its default, it means what was; set by the study, it may not
    assert differences(recorded(trial, warmup_fraction="unknown"), trial) == []
    unknown = recorded(trial, validation_interval="unknown")
    assert differences(unknown, trial) == ["validation_interval unknown, not 1"]
    other = {**recorded(trial), "config": "./genesis_finetune.json"}
    assert differences(other, trial) == ["another version of its bundle"]
    assert differences({**other, "config": "bundles/unet2d_finetune.json"}, trial) == [
        "the bundle unet2d_finetune, not genesis_finetune"
    ]


def setting(trial, knobs):
    """A trial that sets these knobs and no others."""
    return replace(trial, knobs=knobs, parts={**trial.parts, "knobs": knobs})


SET = {
    "lr": 0.01, "width": 4, "max_epochs": 7, "steps_per_epoch": 3, "patch_size": [16, 16, 8], "network": "plain_unet",
    "plan": "none", "recipe": "paper", "batch_size": 3, "amp": True, "test_fraction": 0.3, "validation_interval": 2,
    "intensity": "window", "mirrored_inference": True, "weight_decay": 0.1, "split_seed": 5,
}  # fmt: skip


@pytest.mark.parametrize("name", SET)
def test_what_was_set_and_is_no_longer_makes_another_training_also_where_a_bundle_computes_it(name, tmp_path):
    trial = plan(tmp_path)[1][1]
    with_it = setting(trial, SET)
    without = setting(trial, {key: value for key, value in SET.items() if key != name})
    record = recorded(with_it)
    record["parts"]["knobs"] = with_it.parts["knobs"]
    assert differences(record, with_it) == []
    left_to = {"recipe": "strong", "split_seed": "0"}.get(name, "what the bundle computes")
    assert differences(record, without) == [f"{name} {SET[name]}, not {left_to}"]
    # of what neither sets the bundle's own value is code
    unset = recorded(without)
    unset["parts"]["knobs"] = without.parts["knobs"]
    assert differences(unset, without) == []


def test_a_record_from_before_the_recipes_is_of_the_one_called_paper(tmp_path):
    trial = plan(tmp_path)[1][1]
    assert differences(recorded(trial, recipe="unknown"), trial) == []
    strong = setting(trial, {key: value for key, value in trial.knobs.items() if key != "recipe"})
    assert differences(recorded(trial, recipe="unknown"), strong) == ["recipe paper, not strong"]


def test_references_and_expressions_of_a_study_are_compared_as_they_stand(tmp_path):
    trial = plan(tmp_path)[1][1]
    record = recorded(trial, batch_size=8)
    record["parts"]["knobs"] = {**trial.parts["knobs"], "batch_size": "@width"}
    assert differences(record, setting(trial, {**trial.knobs, "batch_size": "@width"})) == []
    assert differences(record, setting(trial, {**trial.knobs, "batch_size": "@seed"})) == ["batch_size 8, not @seed"]
    assert differences(record, setting(trial, {**trial.knobs, "batch_size": 8})) == []


def test_data_are_known_by_content_wherever_they_lie(tmp_path):
    for place in ("here", "there", "changed"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "a.nii").write_bytes(b"x" * (5 if place == "changed" else 4))
    keep(ran(tmp_path / "first", common={"dataset_dir": str(tmp_path / "here")}), tmp_path / "record")
    study, trials = plan(tmp_path / "b", common={"dataset_dir": str(tmp_path / "there")})
    assert len(match(study.name, trials, tmp_path / "record").records) == 5
    study, trials = plan(tmp_path / "c", common={"dataset_dir": str(tmp_path / "changed")})
    with pytest.raises(InputError, match="was recorded with other data"):
        match(study.name, trials, tmp_path / "record")
