"""Folds as an axis of a study: which trials there are, what they pretrain on, what is refused."""

import pytest

from segxfer3d.errors import InputError
from segxfer3d.study import grid, identity
from segxfer3d.study.trials import read_trials
from tests.study.studies import content, plan, ran


def of(trials, kind):
    return [trial for trial in trials if trial.kind == kind]


def test_each_fine_tuning_is_made_for_every_fold(tmp_path):
    study, trials = plan(tmp_path, folds=3)
    tuned = of(trials, "finetune")
    assert [(trial.seed, trial.fold, trial.arm) for trial in tuned] == [
        (seed, fold, arm) for seed in (0, 1) for fold in (0, 1, 2) for arm in ("random", "encoder")
    ]
    assert tuned[0].folder == "finetune/data-random-n2-s0-fold0"
    assert [(trial.knobs["fold"], trial.knobs["folds"]) for trial in tuned[:2]] == [(0, 3), (0, 3)]
    assert grid.resolved(study)["folds"] == 3
    assert len({trial.identity for trial in trials}) == len(trials)


def test_a_fold_pretrains_without_its_test_part(tmp_path):
    _, trials = plan(tmp_path, folds=3)
    before = {trial.id: trial for trial in of(trials, "pretrain")}
    assert sorted(trial.knobs["fold"] for trial in before.values()) == [0, 1, 2]
    for trial in of(trials, "finetune"):
        if trial.arm == "encoder":
            assert before[trial.depends[0]].knobs["fold"] == trial.fold


def test_patients_who_only_pretrain_do_so_once_for_all_folds(tmp_path):
    _, trials = plan(tmp_path, folds=3, common={"pretrain_fraction": 0.3})
    (pretraining,) = of(trials, "pretrain")
    assert (pretraining.knobs["fold"], pretraining.knobs["folds"]) == (0, 3)
    assert {trial.depends for trial in of(trials, "finetune") if trial.arm == "encoder"} == {(pretraining.id,)}


def test_other_data_pretrain_once_and_have_no_folds(tmp_path):
    for name in ("many", "few"):
        (tmp_path / name).mkdir()
    before, after = ({"dataset_dir": str(tmp_path / name)} for name in ("many", "few"))
    _, trials = plan(tmp_path, folds=2, data={"x": {"pretrain": before, "finetune": after}})
    (pretraining,) = of(trials, "pretrain")
    assert "fold" not in pretraining.knobs
    assert pretraining.fold is None


def test_folds_survive_in_the_list_of_trials_and_others_do_not_mention_them(tmp_path):
    folder = ran(tmp_path, folds=2)
    assert [trial.fold for trial in of(read_trials(folder), "finetune")] == [0, 0, 1, 1] * 2
    assert sum((folder / trial.folder / "done.json").is_file() for trial in read_trials(folder)) == 10
    _, trials = plan(tmp_path / "plain")
    assert all("fold" not in trial.as_dict() and "fold" not in trial.knobs for trial in trials)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"folds": 1}, "folds: expected a whole number from 2 to 1000, got 1"),
        ({"folds": "5"}, "folds: expected a whole number from 2 to 1000, got '5'"),
        ({"folds": 3, "common": {"fold": 1}}, 'common.fold: beside "folds" of the study'),
        ({"folds": 3, "common": {"test_fraction": 0.2}}, "common.test_fraction: beside folds"),
        ({"common": {"folds": 5}}, 'common.folds: without "fold"; "folds" of the study itself'),
        ({"arms": {**content()["arms"], "x": {"init": "random", "knobs": {"fold": 1}}}}, "arms.x.knobs.fold: not set"),
        ({"budgets": [{"label_count": 2, "split_file": "s.json"}]}, r"budgets\[0\].split_file: not set here"),
    ],
)
def test_what_folds_cannot_be(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        plan(tmp_path, **changes)


def test_one_fold_and_a_split_file_for_the_whole_study(tmp_path):
    file = tmp_path / "split.json"
    file.write_text('{"folds": [["a"], ["b"]]}')
    _, trials = plan(tmp_path, common={"split_file": str(file), "fold": 1})
    assert {(trial.knobs["split_file"], trial.knobs["fold"]) for trial in trials} == {(str(file), 1)}
    identities = [trial.identity for trial in trials]
    file.write_text('{"folds": [["b"], ["a"]]}')
    identity.file_identity.cache_clear()
    _, again = plan(tmp_path, common={"split_file": str(file), "fold": 1})
    assert not set(identities) & {trial.identity for trial in again}  # another split is another training
