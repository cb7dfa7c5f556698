"""nnU-Net beside ours: its plan for our patch, and a training of a second where it is installed."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import rival_nnunet
from rival_plan import change_plan, prepare

from segxfer3d import InputError, find_cases
from segxfer3d.data.synthetic.phantoms import write_phantoms

SCRIPTS = Path(__file__).parents[2] / "scripts"


def plans():
    network = {"n_stages": 4, "features_per_stage": [32, 64, 128, 256], "strides": [[1, 1, 1]] + 3 * [[2, 2, 2]]}
    plan = {"patch_size": [40, 56, 40], "batch_size": 2, "spacing": [1.0, 1.0, 1.0]}
    plan["architecture"] = {"arch_kwargs": network}
    return {"transpose_forward": [1, 0, 2], "configurations": {"3d_fullres": plan}}


def test_width_and_batch_are_set_without_touching_the_patch():
    changed = plans()
    change_plan(changed, patch=None, batch=4, features=8)
    plan = changed["configurations"]["3d_fullres"]
    assert plan["patch_size"] == [40, 56, 40]
    assert plan["batch_size"] == 4
    assert plan["architecture"]["arch_kwargs"]["features_per_stage"] == [8, 16, 32, 64]
    change_plan(changed, patch=None, batch=None, features=None)
    assert plan["architecture"]["arch_kwargs"]["features_per_stage"] == [8, 16, 32, 64]


def test_another_patch_gets_the_strides_that_nnunet_derives_for_it():
    pytest.importorskip("nnunetv2", exc_type=ImportError)
    changed = plans()
    change_plan(changed, patch=[32, 24, 8], batch=None, features=8)
    plan = changed["configurations"]["3d_fullres"]
    assert plan["patch_size"] == [24, 8, 32]  # z, y, x of ours are 8, 24, 32, and its plan swaps the first two
    network = plan["architecture"]["arch_kwargs"]
    assert len(network["strides"]) == len(network["features_per_stage"]) == network["n_stages"]
    assert network["features_per_stage"][0] == 8
    with pytest.raises(InputError, match="strides do not divide it"):
        change_plan(changed, patch=[30, 24, 8], batch=None, features=8)


def test_the_rate_falls_over_the_seconds_and_the_last_step_passes_them():
    ticks, rates = iter(range(100)), []
    group = {"lr": 0.0}

    def step(_):
        rates.append(group["lr"])
        return {"loss": torch.tensor(1.0)}

    trainer = SimpleNamespace(
        initial_lr=0.1, optimizer=SimpleNamespace(param_groups=[group]), dataloader_train=iter(range(100)),
        train_step=step,
    )  # fmt: skip
    record = rival_nnunet.train(trainer, 9, clock=lambda: float(next(ticks)))
    # the clock is read once to start, three times a step, once to stop and once to say
    assert record["steps"] == 3
    assert rates == pytest.approx([0.1 * (1 - used / 9) ** 0.9 for used in (1, 4, 7)])
    assert record["data_seconds"] == 3


def test_the_mirrored_mean_is_that_of_single_passes():
    network, x = torch.nn.Conv3d(1, 2, 3, padding=1), torch.rand(1, 1, 4, 5, 6)
    with torch.no_grad():
        flips = [(), (2,), (4,), (2, 4)]
        expected = sum(torch.flip(network(torch.flip(x, flip)), flip) for flip in flips) / 4
        torch.testing.assert_close(rival_nnunet.mirrored_mean(network, x, (0, 2)), expected)
        torch.testing.assert_close(rival_nnunet.mirrored_mean(network, x, ()), network(x))


def test_a_folder_of_other_cases_is_refused(tmp_path, phantoms):
    (tmp_path / "prepared.json").write_text('["another"]')
    case_set = find_cases(phantoms)
    with pytest.raises(InputError, match="holds other labeled cases"):
        prepare(tmp_path, case_set.labeled[:2], case_set)


@pytest.mark.slow
def test_a_second_of_nnunet_is_scored_in_our_columns(tmp_path):
    pytest.importorskip("nnunetv2", exc_type=ImportError)
    data = write_phantoms(tmp_path / "data", patients=8, seed=3)
    command = [
        sys.executable, str(SCRIPTS / "rival_nnunet.py"), str(data), str(tmp_path / "run"), "--seconds", "1",
        "--patch", "16,16,16", "--batch", "2", "--features", "4", "--label_count", "2", "--first", "1", "--seed", "1",
        "--step", "1",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    record = json.loads((tmp_path / "run/rival.json").read_text())
    assert record["steps"] >= 1
    assert record["features"][0] == 4
    assert str(tmp_path) not in json.dumps(record)
    for name in ("cases.csv", "cases_plain.csv"):
        with (tmp_path / "run" / name).open() as file:
            (row,) = csv.DictReader(file)
        assert {"case", "patient", "dice", "iou", "label_mm3", "prediction_mm3", "empty_label"} <= row.keys()
        assert 0 <= float(row["dice"]) <= 1
