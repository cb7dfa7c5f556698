"""``segxfer3d cross``: every fold once, one table of all cases, and what is refused before anything starts."""

import csv
import json
import re
import shutil

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from segxfer3d.cli import cli
from segxfer3d.cli.cross import count_folds, fine_tuning, typed_knobs
from segxfer3d.cli.cross_plan import _cases, checked_folds, shared_plan
from segxfer3d.errors import InputError
from segxfer3d.study import launching
from tests.data.image_files import noise, save, save_paletted, square
from tests.jobs.test_channels import nnunet
from tests.jobs.volume_sets import write_dataset
from tests.study import forked

QUICK = [
    "--recipe=paper", "--width=2", "--patch_size=[16,16,8]", "--max_epochs=1", "--steps_per_epoch=1", "--batch_size=2",
    "--device=cpu", "--overlap=0.0", "--validation_fraction=0", "--network=genesis_unet",
]  # fmt: skip


def call(*words):
    return CliRunner().invoke(cli, ["cross", *map(str, words)])


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_every_fold_is_trained_and_every_case_is_measured_once(tmp_path, monkeypatch):
    monkeypatch.setattr(launching, "started_from", forked.started_from)
    data, folder = write_dataset(tmp_path / "set", patients=4), tmp_path / "out"
    command = ["genesis_finetune", "--folds", 2, "-o", folder, "--dataset_dir", data, *QUICK]
    result = call(*command)
    assert result.exit_code == 0, result.output
    runs = [folder / "finetune" / f"set-random-all-s0-fold{fold}" for fold in (0, 1)]
    table = rows(folder / "cases.csv")
    assert [row["case"] for row in table] == ["p0", "p1", "p2", "p3"]
    for fold, run in enumerate(runs):
        split = json.loads((run / "split.json").read_text())
        assert (split["fold"], split["folds"]) == (fold, 2)
        mine = [row for row in table if row["fold"] == str(fold)]
        assert [row["case"] for row in mine] == split["test"]
        assert not set(split["test"]) & set(split["train"])
        assert [{k: v for k, v in row.items() if k != "fold"} for row in mine] == rows(run / "cases.csv")
    summary = json.loads((folder / "cases_summary.json").read_text())
    assert summary["dice"] == pytest.approx(sum(float(row["dice"]) for row in table) / 4)
    assert ("planned_from" in summary) == (folder / "plan.json").is_file()
    assert "2 folds, each case tested once: 4 cases" in result.output
    before = [(run / "model.pt").stat().st_mtime_ns for run in runs]
    (folder / "cases.csv").unlink()
    shutil.rmtree(runs[1])
    monkeypatch.setenv("SEGXFER3D_AMP", "True")  # another machine, say
    again = call(*command)  # goes on with what is missing
    assert again.exit_code == 0, again.output
    assert rows(folder / "cases.csv") == table
    after = [(run / "model.pt").stat().st_mtime_ns for run in runs]
    assert after[0] == before[0]
    assert after[1] != before[1]
    assert [json.loads((run / "run.json").read_text())["knobs"]["amp"] for run in runs] == [False, False]
    other = call(*command, "--lr", "0.1")
    assert isinstance(other.exception, InputError)
    assert "lr" in str(other.exception)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["genesis_pretrain"], "genesis_pretrain: no fine-tuning with the knob fold"),
        (["genesis_finetun"], "did you mean genesis_finetune"),
        (["genesis_finetune", "--fold", "1"], "--fold: every fold is trained"),
        (["genesis_finetune", "--resume", "True"], "--resume: the same command goes on"),
        (["genesis_finetune"], "--dataset_dir: where is the data"),
        (["genesis_finetune", "--dataset_dir", ".", "--test_fraction", "0.2"], "--test_fraction: beside folds"),
        (["genesis_finetune", "--dataset_dir", ".", "--max_epoch", "2"], "did you mean --max_epochs"),
        (["genesis_finetune", "--max_epochs", "few", "--lr", "-1"], "--max_epochs: expected .*; --lr: expected"),
        (["genesis_finetune", "--dataset_dir", ".", "--init", "warm"], "--init: expected one of"),
        (
            ["genesis_finetune", "--dataset_dir", ".", "--seed", "$1+1", "--label_count", "$2+1", "--minutes", "$5"],
            r"--seed: expected .*, no expression, got '\$1\+1'; --label_count: expected .*; --minutes: expected",
        ),
        (
            ["unet2d_finetune", "--dataset_dir", ".", "--label_fraction", "$0.5"],
            "--label_fraction: expected .*, no exp",
        ),
        (
            ["genesis_finetune", "--dataset_dir", ".", "--test_fraction", "$0.0"],
            "--test_fraction: expected .*, no expr",
        ),
        (["genesis_finetune", "--dataset_dir", ".", "--skip_bad_cases", "$False"], "--skip_bad_cases: expected .*, no"),
    ],
)
def test_what_is_refused_before_anything_starts(tmp_path, words, message):
    result = call(*words, "-o", tmp_path / "out")
    assert isinstance(result.exception, InputError), result.output
    with pytest.raises(InputError, match=message):
        raise result.exception
    assert not (tmp_path / "out").exists()


def test_folds_of_a_split_file(tmp_path):
    file = tmp_path / "folds.json"
    file.write_text(json.dumps([{"train": ["b", "c"], "val": ["a"]}] * 3))
    with pytest.raises(InputError, match="several folds test a; expected each once"):
        count_folds(None, {"split_file": str(file)}, "mine")
    file.write_text(json.dumps({"folds": [["a"], ["b"], ["c"]]}))
    assert count_folds(None, {"split_file": str(file)}, "mine") == 3
    with pytest.raises(InputError, match=r"folds 5: split_file .* has 3"):
        count_folds(5, {"split_file": str(file)}, "mine")
    file.write_text(json.dumps({"train": ["a"], "test": ["b"]}))
    with pytest.raises(InputError, match=r"has one split and no folds; segxfer3d run mine trains on it$"):
        count_folds(None, {"split_file": str(file)}, "mine")
    assert count_folds(None, {}, "mine") is None
    assert count_folds(7, {}, "mine") == 7


def test_folds_are_the_data_set_s_own_or_as_many_as_it_has_patients_for(tmp_path):
    data, bundle = write_dataset(tmp_path / "set", patients=6), fine_tuning("genesis_finetune")
    knobs = {"dataset_dir": str(data)}
    assert checked_folds(bundle, knobs, None, usual=5) == 5
    refused = call("genesis_finetune", "--folds", 7, "-o", tmp_path / "out", "--dataset_dir", data, *QUICK)
    assert "6 patients leave nobody in fold 6 of 7" in str(refused.exception)
    names = [path.name for path in sorted((data / "imagesTr").iterdir())]
    training = [
        {"image": f"imagesTr/{name}", "label": f"labelsTr/{name}", "fold": number % 3}
        for number, name in enumerate(names)
    ]
    (data / "dataset.json").write_text(json.dumps({"labels": {"1": "tumor"}, "training": training}))
    assert checked_folds(bundle, knobs, None, usual=5) == 3
    refused = call("genesis_finetune", "--folds", 5, "-o", tmp_path / "out", "--dataset_dir", data, *QUICK)
    assert "folds 5: the data set has 3 of its own" in str(refused.exception)
    assert not (tmp_path / "out").exists()


def test_a_channel_that_is_missing_stops_all_folds_before_one_starts(tmp_path):
    data = nnunet(tmp_path / "set")
    for name in ("p1_0002", "p3_0000"):
        (data / "imagesTr" / f"{name}.nii.gz").unlink()
    words = ["--recipe=strong", "--network=plain_unet", *QUICK[1:-1]]
    result = call("genesis_finetune", "--folds", 2, "-o", tmp_path / "out", "--dataset_dir", data, *words)
    assert isinstance(result.exception, InputError)
    assert "2 of 5 cases cannot be used" in str(result.exception)
    assert "p1_0002.nii.gz: no such file" in str(result.exception)
    assert "p3_0000.nii.gz: no such file" in str(result.exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("plan", [["--recipe=paper"], ["--recipe=strong", "--plan=none"]])
def test_bad_cases_stop_all_folds_before_one_starts_without_a_plan_too(plan, tmp_path):
    data = write_dataset(tmp_path / "set", patients=4)
    for name in ("p1", "p3"):
        (data / "imagesTr" / f"{name}.nii.gz").write_bytes(b"no image")
    words = ["--folds", 2, "-o", tmp_path / "out", "--dataset_dir", data, *QUICK[1:], *plan]
    result = call("genesis_finetune", *words)
    assert isinstance(result.exception, InputError), result.output
    said = str(result.exception)
    assert said.startswith("2 of 4 cases cannot be used; --skip_bad_cases True goes on without them:\n")
    assert all(said.count(f"{name}.nii.gz") == 1 for name in ("p1", "p3"))
    assert not (tmp_path / "out").exists()


def test_bad_cases_are_left_out_of_all_folds_where_asked(tmp_path, monkeypatch):
    data, bundle = write_dataset(tmp_path / "set", patients=4), fine_tuning("genesis_finetune")
    (data / "imagesTr" / "p1.nii.gz").write_bytes(b"no image")
    knobs = {"dataset_dir": str(data), "recipe": "paper", "skip_bad_cases": True}
    said = []
    monkeypatch.setattr(click, "echo", said.append)
    assert shared_plan(bundle, knobs, tmp_path / "out") is None
    assert len(said) == 1
    assert re.match(r"left out of all folds: .*p1\.nii\.gz", said[0])


def test_bad_images_stop_all_folds_before_one_starts(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(4):
        for part, high in (("images", 255), ("masks", 2)):
            (tmp_path / "set" / part).mkdir(parents=True, exist_ok=True)
            array = rng.integers(0, high, (32, 32), dtype=np.uint8)
            Image.fromarray(array).save(tmp_path / "set" / part / f"a{number}.png")
    (tmp_path / "set" / "images" / "a2.png").write_bytes(b"no image")
    words = ["--folds", 2, "-o", tmp_path / "out", "--dataset_dir", tmp_path / "set", "--init=random", "--device=cpu"]
    result = call("unet2d_finetune", *words)
    assert isinstance(result.exception, InputError), result.output
    assert "1 of 4 images cannot be used" in str(result.exception)
    assert "a2.png" in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_values_of_labels_are_mapped_for_the_plan_of_all_folds(tmp_path):
    data = write_dataset(tmp_path / "set", patients=2)
    assert _cases({"dataset_dir": str(data), "label_map": "255:1"}).cases[0].label_map == ((255, 1),)


def test_knobs_are_read_as_they_are_meant(tmp_path):
    words = f"--dataset_dir {tmp_path} --patient_pattern ^([^_]+) --patch_size [16,16,8] --lr 1e-3 --label_count 4"
    knobs = typed_knobs(
        [*words.split(), "--spacing", "$None", "--skip_bad_cases=True"], fine_tuning("genesis_finetune")
    )
    assert knobs == {
        "dataset_dir": str(tmp_path), "patient_pattern": "^([^_]+)", "patch_size": [16, 16, 8], "lr": 0.001,
        "label_count": 4, "spacing": None, "skip_bad_cases": True,
    }  # fmt: skip


def test_names_of_a_split_file_are_compared_once_before_anything_starts(tmp_path):
    data, folder = write_dataset(tmp_path / "set", patients=4), tmp_path / "out"
    file = tmp_path / "split.json"
    file.write_text(json.dumps({"folds": [["p0", "p9"], ["p1", "p8"]]}))
    result = call("genesis_finetune", "-o", folder, "--dataset_dir", data, "--split_file", file, *QUICK)
    assert isinstance(result.exception, InputError)
    assert "p9" in str(result.exception)
    assert "p8" in str(result.exception)
    assert not (folder / "finetune").exists()


def test_masks_that_cannot_be_used_are_left_out_where_asked(tmp_path):
    for name in ("a", "b"):
        save(tmp_path / "JPEGImages" / f"{name}.jpg", noise())
        save_paletted(tmp_path / "SegmentationClass" / f"{name}.png", square(value=8))
    for part, name in (("train", "a"), ("val", "b")):
        path = tmp_path / "ImageSets" / "Segmentation" / f"{part}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "SegmentationClass" / "a.png").write_bytes(b"no mask")
    knobs = {"dataset_dir": str(tmp_path), "dataset": "voc", "target": "cat"}
    with pytest.raises(InputError, match=r"^1 of 2 masks cannot be used; --skip_bad_cases True goes on without them:"):
        _cases(knobs, dims=2)
    assert [case.name for case in _cases({**knobs, "skip_bad_cases": True}, dims=2).cases] == ["b"]
