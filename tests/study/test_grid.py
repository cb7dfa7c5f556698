import json

import pytest

from segxfer3d.errors import InputError
from segxfer3d.study import definition, grid, identity
from segxfer3d.study.trials import read_trials
from tests.study.studies import BUNDLES, plan


def test_trials_are_pretrainings_first_then_seed_by_seed(tmp_path):
    _, trials = plan(tmp_path)
    assert [trial.kind for trial in trials] == ["pretrain", *["finetune"] * 4]
    assert [(trial.seed, trial.arm) for trial in trials[1:]] == [
        (0, "random"), (0, "encoder"), (1, "random"), (1, "encoder")
    ]  # fmt: skip
    pretraining, random, encoder = trials[:3]
    assert encoder.depends == (pretraining.id,)
    assert random.depends == ()
    assert encoder.folder == "finetune/data-encoder-n2-s0"
    assert encoder.knobs["label_count"] == 2
    assert encoder.knobs["label_fraction"] is None
    knobs = encoder.start_knobs(tmp_path, {trial.id: trial for trial in trials})
    assert knobs["checkpoint"] == str(tmp_path / pretraining.folder / "model.pt")
    assert len({trial.identity for trial in trials}) == len(trials)


def test_many_seeds_take_a_moment_and_senselessly_many_are_refused(tmp_path, monkeypatch):
    named = []
    monkeypatch.setattr("segxfer3d.study.definition.code_version", lambda config: named.append(config) or "0+0")
    study, trials = plan(tmp_path, seeds=list(range(5000)), pretrain_seeds=list(range(2500)))
    assert len(trials) == 2500 + 2 * 5000
    assert len(named) == 2  # once for each bundle, not for each trial
    assert [study.pretrainings_of(seed) for seed in (0, 2499, 2500)] == [[0], [2499], [0]]
    with pytest.raises(InputError, match=r"50001 seeds x 2 arms are 100002 trials; expected at most 100000"):
        plan(tmp_path, seeds=list(range(50001)))


def test_data_sets_share_a_pretraining_where_nothing_tells_them_apart(tmp_path):
    _, trials = plan(tmp_path, data={"a": {}, "b": {}})
    assert sum(trial.kind == "pretrain" for trial in trials) == 1
    _, trials = plan(tmp_path, data={"a": {}, "b": {"pretrain": {"width": 4}, "finetune": {"width": 4}}})
    pretrainings = [trial for trial in trials if trial.kind == "pretrain"]
    assert [trial.data for trial in pretrainings] == ["a", "b"]
    assert {trial.depends for trial in trials if trial.arm == "encoder" and trial.data == "b"} == {
        (pretrainings[1].id,)
    }


def test_identity_is_of_config_knobs_data_and_code_but_not_of_what_changes_nothing(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.nii").write_text("scan")
    common = {"dataset_dir": str(tmp_path / "data")}

    def of(**changes):
        identity.folder_identity.cache_clear()
        return plan(tmp_path, **{"common": common, **changes})[1][0].identity

    first = of()
    assert of(common={**common, "num_workers": 2, "progress": False}) == first
    assert of(common={**common, "width": 4}) != first
    (tmp_path / "data").rename(tmp_path / "moved")
    assert of(common={"dataset_dir": str(tmp_path / "moved")}) == first
    (tmp_path / "moved" / "b.nii").write_text("another")
    assert of(common={"dataset_dir": str(tmp_path / "moved")}) != first
    (tmp_path / "moved" / "b.nii").unlink()
    config = json.loads((BUNDLES / "genesis_pretrain.json").read_text(encoding="utf-8"))
    for name, value, same in (("description", "in other words", True), ("crop_rule", "uniform", False)):
        (tmp_path / "other.json").write_text(json.dumps(config | {name: value}))
        stage = {"genesis": {"config": str(tmp_path / "other.json"), "knobs": {"max_epochs": 2, "steps_per_epoch": 2,
                 "validation_interval": 1}}}  # fmt: skip
        assert (of(common={"dataset_dir": str(tmp_path / "moved")}, pretrain=stage) == first) is same
    monkeypatch.setattr(definition, "code_version", lambda *_: "another")
    assert of(common={"dataset_dir": str(tmp_path / "moved")}) != first


def test_what_is_written_is_read_again(tmp_path):
    study, trials = plan(tmp_path)
    grid.write(study, trials, tmp_path / ".")
    assert read_trials(tmp_path) == trials
    assert json.loads((tmp_path / "study.json").read_text(encoding="utf-8"))["arms"]["encoder"]["init"] == "encoder"
    (tmp_path / "trials.json").write_text("[{}]")
    with pytest.raises(InputError, match="damaged"):
        read_trials(tmp_path)
    with pytest.raises(InputError, match="no study's folder"):
        read_trials(tmp_path / "nowhere")


def test_names_that_make_one_folder_of_two_trials_are_refused(tmp_path):
    arms = {"b-c": {"init": "random"}, "c": {"init": "random"}}
    with pytest.raises(InputError, match="two trials are called finetune-a-b-c-n2-s0"):
        plan(tmp_path, pretrain={}, arms=arms, data={"a": {}, "a-b": {}})


def begun(folder, trial):
    """A trial's folder, as the runner leaves it."""
    (folder / trial.folder).mkdir(parents=True)
    (folder / trial.folder / "trial.json").write_text(json.dumps(trial.as_dict()))


def test_a_folder_of_another_study_is_refused(tmp_path):
    study, trials = plan(tmp_path / "a", name="first")
    grid.write(study, trials, tmp_path)
    other, others = plan(tmp_path / "b", name="second")
    with pytest.raises(InputError, match="holds the study first, not second"):
        grid.check_folder(other, others, tmp_path)


def test_trials_of_another_code_version_are_said_and_not_mixed(tmp_path, monkeypatch):
    study, trials = plan(tmp_path)
    begun(tmp_path / "out", trials[0])
    begun(tmp_path / "out", trials[1])
    assert grid.check_folder(study, trials, tmp_path / "out") == []
    version = trials[0].parts["code_version"], trials[1].parts["code_version"]
    for module in (definition, identity):
        monkeypatch.setattr(module, "code_version", lambda *_: "0.2.0+abcdef12")
    study, trials = plan(tmp_path)
    with pytest.raises(InputError) as caught:
        grid.check_folder(study, trials, tmp_path / "out")
    assert "2 trials are other ones" in str(caught.value)
    for before in version:
        assert f"code version {before}, not 0.2.0+abcdef12" in str(caught.value)


def test_trials_with_other_knobs_are_said_and_a_study_may_grow(tmp_path):
    _, trials = plan(tmp_path)
    begun(tmp_path / "out", trials[1])
    grown, more = plan(tmp_path, seeds=[0, 1, 2])
    assert grid.check_folder(grown, more, tmp_path / "out") == []
    changed, others = plan(tmp_path, common={"width": 4})
    with pytest.raises(InputError, match="data-random-n2-s0: was started with width None, not 4"):
        grid.check_folder(changed, others, tmp_path / "out")
    fewer, left = plan(tmp_path, seeds=[1])
    assert grid.check_folder(fewer, left, tmp_path / "out") == ["finetune/data-random-n2-s0"]
    (tmp_path / "out" / trials[1].folder / "trial.json").write_text("{")
    with pytest.raises(InputError, match="damaged"):
        grid.check_folder(grown, more, tmp_path / "out")
