"""Reading what runs left: studies, folders of runs, and damage that costs a file and not the report."""

import csv
import json
import subprocess
import sys

import pytest

from segxfer3d.errors import InputError
from segxfer3d.report.collect import collect
from segxfer3d.report.methods import methods
from segxfer3d.report.results import results
from segxfer3d.report.tables import score_table
from segxfer3d.report.words import caveats
from tests.report.made_studies import write_json, write_run, write_study


@pytest.fixture
def study(tmp_path):
    write_study(tmp_path, seeds=2, budgets=(5,), previews=False)
    return tmp_path


def test_a_study_is_read_as_it_is(study):
    found = collect(study)
    assert found.name == "lungs"
    assert [(arm.name, arm.scenario, arm.pretext) for arm in found.arms] == [
        ("random", "1", ""),
        ("encoder", "4", "Models Genesis"),
        ("encoder+decoder", "3", "Models Genesis"),
    ]
    assert len(found.runs) == 7
    assert found.problems == ()
    run = found.finetunings()[0]
    assert (run.arm, run.budget, run.budget_name, run.seed, run.data) == ("random", 5.0, "n5", 0, "nodules")
    assert len(run.scores["dice"]) == 16
    row = next(csv.DictReader((run.folder / "cases.csv").read_text(encoding="utf-8").splitlines()))
    assert run.scores["dice"][0].value == pytest.approx(100 * float(row["dice"]))
    assert run.curve[0][0] == 20
    assert run.seconds == 120
    assert found.finetunings()[1].pretext == "genesis_pretrain"


def test_failed_stopped_and_waiting_trials_are_told_apart(study):
    failed, stopped, waiting = (study / f"finetune/{name}-n5-s0" for name in ("random", "encoder", "encoder+decoder"))
    for folder in (failed, stopped, waiting):
        (folder / "done.json").unlink()
    write_json(failed / "failed.json", {"error": "out of memory", "returncode": 1, "seconds": 3})
    (waiting / "run.json").unlink()
    states = {run.name: (run.state, run.error) for run in collect(study).runs}
    assert states["finetune/random-n5-s0"] == ("failed", "out of memory")
    assert states["finetune/encoder-n5-s0"] == ("stopped", "")
    assert states["finetune/encoder+decoder-n5-s0"] == ("waiting", "")


@pytest.mark.parametrize(
    ("name", "content", "message", "state"),
    [
        ("cases.csv", "", "left out of the tables: cases.csv: no column case", "damaged"),
        ("cases.csv", "case,patient,dice,iou\na,a,x,0.1\n", "dice of case a is 'x'", "damaged"),
        ("cases.csv", "case,patient,dice,iou\na,a,nan,0.1\n", "case a is not finite", "damaged"),
        ("cases.csv", b"\xff\xfe\x00", "left out of the tables", "damaged"),
        ("metrics.jsonl", '{"epoch": 1, "st', "metrics.jsonl: damaged in line 1;", "done"),
        ("metrics.jsonl", '{"step": 2, "validation_dice": NaN}\n[]\n', "damaged in line 1, 2;", "done"),
        ("metrics.jsonl", '{"step": 2, "validation_dice": 0}\n' * 2, "damaged in line 2;", "done"),
        ("run.json", "[]", "run.json cannot be read (expected an object, got an empty list)", "done"),
        ("cases_summary.json", "{", "cases_summary.json cannot be read", "done"),
        ("transfer.json", "\0", "transfer.json cannot be read", "done"),
    ],
)
def test_damage_is_reported_and_the_others_are_shown(study, name, content, message, state):
    path = study / "finetune/encoder-n5-s1" / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = collect(study)
    (problem,) = found.problems
    assert problem.where == "finetune/encoder-n5-s1"
    assert message in problem.what
    assert str(study) not in problem.what
    assert {run.name: run.state for run in found.runs}[problem.where] == state
    assert len(found.finetunings()) == (5 if state == "damaged" else 6)


def test_a_running_training_may_have_half_a_line(study):
    folder = study / "finetune/encoder-n5-s1"
    (folder / "done.json").unlink()
    (folder / "metrics.jsonl").write_text('{"step": 20, "validation_dice": 0.5}\n{"step": 40, "vali')
    found = collect(study)
    assert found.problems == ()
    assert next(run.curve for run in found.runs if run.folder == folder) == ((20.0, 50.0),)


def test_what_is_no_trial_is_reported(study):
    trials = json.loads((study / "trials.json").read_text(encoding="utf-8"))
    write_json(study / "trials.json", [*trials, 3, {"folder": "x", "kind": "finetune", "arm": "a", "seed": "1"}])
    found = collect(study)
    assert len(found.runs) == 7
    assert [problem.where for problem in found.problems] == ["trials.json"] * 2


def test_without_a_readable_list_of_trials_the_runs_are_found(study):
    (study / "trials.json").write_text("[")
    (study / "study.json").unlink()
    found = collect(study)
    assert len(found.runs) == 7
    assert [arm.name for arm in found.arms] == ["random", "encoder", "encoder+decoder"]
    assert "trials.json cannot be read" in found.problems[0].what


def test_runs_without_a_study_are_told_apart_by_what_differs(tmp_path):
    write_json(tmp_path / "pre/run.json", {"job": "simclr_pretrain", "knobs": {}})
    checkpoint = str(tmp_path / "pre/model.pt")
    for i, (init, seed, lr) in enumerate([("encoder", 0, 0.1), ("encoder", 0, 0.2), ("random", 0, 0.1)]):
        write_run(tmp_path / f"{i:03d}", init=init, seed=seed, knobs={"lr": lr, "checkpoint": checkpoint})
        write_json(tmp_path / f"{i:03d}/transfer.json", {"source": "" if init == "random" else checkpoint})
    found = collect(tmp_path)
    assert {(arm.name, arm.scenario) for arm in found.arms} == {
        ("random (lr 0.1)", "1"), ("encoder (lr 0.1)", "2"), ("encoder (lr 0.2)", "2"),
    }  # fmt: skip
    assert found.arms[0].init == "random"
    run = found.finetunings()[0]
    assert (run.data, run.budget_name, run.budget, run.pretext) == ("nodules", "n5", 5.0, "simclr_pretrain")


def write_started(root, starts, init="encoder"):
    """Fine-tunings by (seed, folder of the checkpoint), and their pretrainings."""
    for seed, place in starts:
        write_json(root / place / "run.json", {"job": "genesis_pretrain", "knobs": {}})
        checkpoint = str(root / place / "model.pt")
        run = root / f"fine/{init}-{seed}-{place.replace('/', '-')}"
        write_run(run, init=init, seed=seed, gain=0.05 if init == "encoder" else 0.08, knobs={"checkpoint": checkpoint})
        write_json(run / "transfer.json", {"init": init, "source": checkpoint})


@pytest.mark.parametrize(("long", "short"), [("long", "short"), ("2epochs", "1epochs")])  # a number is not the seed
def test_two_pretrainings_of_one_job_are_two_arms(tmp_path, long, short):
    for seed in range(3):
        write_run(tmp_path / f"fine/random-{seed}", seed=seed)
    write_started(tmp_path, [(seed, f"pre/{name}") for seed in range(3) for name in (short, long)])
    write_started(tmp_path, [(seed, f"pre/{long}") for seed in range(3)], init="encoder+decoder")
    found = collect(tmp_path / "fine")
    arms = {"random", f"encoder ({long})", f"encoder ({short})", f"encoder+decoder ({long})"}
    assert {arm.name for arm in found.arms} == arms
    (result,) = results(found)
    assert {arm.arm.name: arm.seeds for arm in result.arms} == dict.fromkeys(arms, (0, 1, 2))
    assert result.notes == ()
    assert (f"encoder ({long})", f"encoder+decoder ({long})") in [(p.arm, p.reference) for p, _ in result.comparisons]
    assert any(line.startswith("All seeds of an arm start from one pretraining") for line in caveats([result]))


def test_a_pretraining_for_each_seed_is_one_arm_and_not_called_one_checkpoint(tmp_path):
    for seed in range(3):
        write_run(tmp_path / f"fine/random-{seed}", seed=seed)
    write_started(tmp_path, [(seed, f"pre-s{seed}") for seed in range(3)])
    found = collect(tmp_path / "fine")
    assert [arm.name for arm in found.arms] == ["random", "encoder"]
    lines = caveats(results(found))
    assert lines[0] == (
        "Each seed of encoder starts from a pretraining of its own: a verdict is on these together, not on one "
        "checkpoint."
    )
    assert not any("All seeds" in line for line in lines)
    (result,) = results(found)
    assert [verdict.sentence.count("holds for these checkpoints") for _, verdict in result.comparisons] == [1]
    # of two kinds, each for every seed
    write_started(tmp_path, [(seed, f"longer-s{seed}") for seed in range(3)])
    assert [arm.name for arm in collect(tmp_path / "fine").arms] == [
        "random",
        "encoder (longer-s*)",
        "encoder (pre-s*)",
    ]


def test_pretexts_are_called_as_their_runs_note(tmp_path):
    note = {"title": "SparK", "scenario": "4", "citation": "Tian K, et al. Designing BERT for ConvNets. ICLR 2023."}
    about = {"job": "spark_pretrain", "knobs": {}, "pretext": note}
    write_study(tmp_path / "study", seeds=1, budgets=(5,), previews=False)
    for name in ("study.json", "trials.json"):
        path = tmp_path / "study" / name
        path.write_text(path.read_text(encoding="utf-8").replace("/b/genesis_pretrain.json", "/b/spark_pretrain.yaml"))
    write_json(tmp_path / "study/pretrain/genesis/run.json", about)
    collection = collect(tmp_path / "study")
    named = [(arm.name, arm.pretext, arm.scenario) for arm in collection.arms]
    assert named == [("random", "", "1"), ("encoder", "SparK", "4"), ("encoder+decoder", "SparK", "3")]
    text, references = methods(collection, [])
    assert "Pretraining: SparK [3]" in text
    assert references[2] == note["citation"]
    # of a folder of runs, also where the pretraining lies elsewhere
    write_json(tmp_path / "runs/pre/run.json", about)
    checkpoint = str(tmp_path / "runs/pre/model.pt")
    write_run(tmp_path / "runs/fine/encoder", init="encoder", knobs={"checkpoint": checkpoint})
    write_json(tmp_path / "runs/fine/encoder/transfer.json", {"source": checkpoint})
    (arm,) = collect(tmp_path / "runs/fine").arms
    assert (arm.pretext, arm.scenario) == ("SparK", "4")


@pytest.mark.parametrize(
    ("split", "labels", "unit", "words"),
    [
        ({}, {"cases": ["a", "b"], "patients": ["a"]}, "patient", "1 patient"),
        ({}, {"cases": ["a", "b"]}, "case", "2 images"),
        ({"unit": "patient"}, {"cases": ["a", "b"], "patients": ["a"]}, "patient", "1 patient"),
        ({"unit": "case"}, {"cases": ["a", "b"], "patients": ["a"]}, "case", "2 images"),
    ],
)
def test_what_is_split_and_labeled_is_known_in_every_form(tmp_path, split, labels, unit, words):
    for seed in range(2):
        run = tmp_path / str(seed)
        write_run(run, seed=seed, knobs={"label_count": None, "label_fraction": 0.1})
        write_json(run / "split.json", {**split, "train": ["a"], "labeled": ["a"], "validation": ["v"], "test": ["t"]})
        write_json(run / "labels.json", labels)
    collection = collect(tmp_path)
    assert {run.unit for run in collection.runs} == {unit}
    (result,) = results(collection)
    assert result.title == f"10 % of the {unit.replace('case', 'image')}s labeled"
    text, _ = methods(collection, [result])
    assert f"labeled ({words}): " in text
    assert f", 1 {unit.replace('case', 'image')} held out for validation" in text


def test_one_run_is_a_folder_of_runs_too(tmp_path):
    write_run(tmp_path, knobs={"label_count": None, "label_fraction": 0.05})
    found = collect(tmp_path)
    assert [(run.name, run.budget_name, run.arm) for run in found.runs] == [(".", "f0.05", "random")]


def test_other_test_cases_are_noticed(study):
    write_run(study / "finetune/encoder-n5-s1", init="encoder", seed=1, cases=12)
    (problem,) = collect(study).problems
    assert problem.where == "finetune/encoder-n5-s1"
    assert "other test cases" in problem.what


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(InputError, match="no run in it"):
        collect(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        collect(tmp_path / "x")


def test_a_report_needs_neither_torch_nor_monai():
    code = (
        "import sys, pkgutil, importlib, segxfer3d.report as r\n"
        "for m in pkgutil.iter_modules(r.__path__): importlib.import_module(f'segxfer3d.report.{m.name}')\n"
        "print([m for m in ('torch', 'monai', 'ignite') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_arms_of_different_recipes_are_compared_only_where_the_study_asks(study):
    path = study / "finetune/encoder-n5-s1/run.json"
    run = json.loads(path.read_text(encoding="utf-8"))
    write_json(path, {**run, "knobs": {**run["knobs"], "recipe": "strong"}})
    with pytest.raises(
        InputError, match=r"paper \(finetune/random-n5-s0\), strong \(finetune/encoder-n5-s1\); expected"
    ):
        collect(study)
    content = json.loads((study / "study.json").read_text(encoding="utf-8"))
    write_json(study / "study.json", {**content, "mixed_recipes": True})
    found = collect(study)
    assert {arm.name: arm.recipe for arm in found.arms} == {
        "random": "paper", "encoder": "paper; strong", "encoder+decoder": "paper",
    }  # fmt: skip
    (result,) = results(found)
    assert list(score_table(result)["recipe"]) == ["paper", "paper; strong", "paper"]
    assert "encoder (scenario 4, pretext Models Genesis, recipe paper; strong)" in methods(found, [result])[0]


def test_data_sets_may_have_recipes_of_their_own(tmp_path):
    write_run(tmp_path / "a", knobs={"recipe": "strong", "dataset_dir": "/data/a"})
    write_run(tmp_path / "b", knobs={"dataset_dir": "/data/b"})
    assert {arm.recipe for arm in collect(tmp_path).arms} == {""}
