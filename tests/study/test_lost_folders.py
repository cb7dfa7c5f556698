"""Folders of trials that are gone are said, and links out of a study's folder are not followed."""

import shutil

import pytest

from segxfer3d.errors import InputError
from segxfer3d.report.collect import collect
from segxfer3d.study.runner import Resources, run, run_one
from segxfer3d.study.trials import read_trials
from tests.cli.test_cli import call
from tests.study import test_tuning
from tests.study.studies import fake, ran, write


@pytest.fixture
def study(tmp_path):
    folder = ran(tmp_path, common={"amp": False})
    return folder, read_trials(folder)


def gone(folder, trial):
    shutil.rmtree(folder / trial.folder)
    return f"{trial.id}: its folder {folder / trial.folder} was deleted since it was started; it starts from the beg"


def test_a_deleted_folder_is_said_when_its_trial_starts_over(study):
    folder, trials = study
    expected = gone(folder, trials[-1])
    said = []
    standing = run(trials, folder, Resources(), said.append, fake())
    assert standing[trials[-1].id].name == "done"
    assert said[0].startswith(expected)
    assert said[1] == f"{trials[-1].id}: started"
    said.clear()
    run(trials, folder, Resources(), said.append, fake())
    assert said == []


def test_a_single_trial_says_it_too(study):
    folder, trials = study
    expected = gone(folder, trials[0])
    said = []
    assert run_one(trials[0].id, trials, folder, Resources(), fake(), said.append).name == "done"
    assert len(said) == 1
    assert said[0].startswith(expected)


def test_a_trial_that_never_started_says_nothing(study):
    folder, trials = study
    shutil.rmtree(folder / "started")  # as an earlier version left it
    gone(folder, trials[0])
    said = []
    run_one(trials[0].id, trials, folder, Resources(), fake(), said.append)
    assert said == []


def linked(folder, trial, place):
    shutil.move(folder / trial.folder, place)
    (folder / trial.folder).symlink_to(place)


@pytest.mark.parametrize("command", ["run", "prepare", "trial", "status", "keep"])
def test_links_out_of_the_study_are_refused(study, tmp_path, command):
    folder, trials = study
    linked(folder, trials[-1], tmp_path / "elsewhere")
    before = sorted((tmp_path / "elsewhere").rglob("*"))
    words = {
        "run": (write(tmp_path / "file", common={"amp": False}), "-o", folder),
        "prepare": (write(tmp_path / "file", common={"amp": False}), "-o", folder),
        "trial": (folder, trials[-1].id),
        "status": (folder,),
        "keep": (folder, tmp_path / "record"),
    }[command]
    status, text = call("study", command, *words)
    assert status == 1
    assert f"links lead out of the study's folder: {trials[-1].folder} is at {tmp_path / 'elsewhere'}" in text
    assert sorted((tmp_path / "elsewhere").rglob("*")) == before


def test_a_page_says_where_links_lead(study, tmp_path):
    folder, trials = study
    linked(folder, trials[-1], tmp_path / "elsewhere")
    problems = [problem.what for problem in collect(folder).problems if problem.where == trials[-1].folder]
    assert f"a link leads out of the study's folder, to {tmp_path / 'elsewhere'}" in problems


def test_links_within_the_study_and_to_it_are_followed(study, tmp_path):
    folder, trials = study
    linked(folder, trials[-1], folder / "moved")
    (tmp_path / "link").symlink_to(folder)
    assert len(read_trials(tmp_path / "link")) == len(trials)


def test_a_search_refuses_them_and_says_what_is_gone(tmp_path):
    pytest.importorskip("optuna")
    plan, folder = test_tuning.plan(tmp_path), tmp_path / "search"
    test_tuning.search(folder, plan, trials=2)
    shutil.rmtree(folder / "trials" / "0000")
    _, said = test_tuning.search(folder, plan, trials=2)
    assert said == [f"trial 0: its folder {folder / 'trials' / '0000'} is gone; what it came to is still in search.db"]
    shutil.move(folder / "trials" / "0001", tmp_path / "elsewhere")
    (folder / "trials" / "0001").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="links lead out of the study's folder: trials/0001 is at"):
        test_tuning.search(folder, plan, trials=3)


def test_a_search_stops_at_other_data(tmp_path):
    pytest.importorskip("optuna")
    plan, folder = test_tuning.plan(tmp_path), tmp_path / "search"
    made = "import pathlib, sys; p = pathlib.Path(sys.argv[1]); p.mkdir(parents=True, exist_ok=True); "

    def launch(trial, knobs):
        command = test_tuning.fake()(trial, knobs)
        value = 9 if trial.id.endswith("2") and not (tmp_path / "back").exists() else 1
        command[4] = made + f'(p / \'made_from.json\').write_text(\'{{"cases": {{"a": ["{value}"]}}}}\')\n' + command[4]
        return command

    with pytest.raises(InputError, match=r"trial 2: made from other data: a not as in trials/0000; bring .*0002; then"):
        test_tuning.search(folder, plan, launch)
    with pytest.raises(InputError, match=r"saw different data(?s:.*)trials/0002: a not as in trials/0000"):
        test_tuning.search(folder, plan, launch)
    (tmp_path / "back").touch()
    shutil.rmtree(folder / "trials" / "0002")
    tried, said = test_tuning.search(folder, plan, launch, trials=4)
    assert len(tried) == 4
    assert said[0].startswith("trial-0002: its folder")
