"""The precision of a device is chosen by a measurement."""

import json

import pytest
import torch

from segxfer3d.run import devices, precision
from segxfer3d.run.precision import bf16_speedup


@pytest.fixture
def clock(monkeypatch):
    """Replaces what is timed: (amp) -> the seconds of each further try."""
    bf16_speedup.cache_clear()
    asked: list[bool] = []

    def timed_as(whole: list[float], half: list[float]) -> list[bool]:
        left = {False: [9.0, *whole], True: [9.0, *half]}  # the first of each is not counted

        def seconds(_image, _weight, *, amp: bool) -> float:
            asked.append(amp)
            return left[amp].pop(0)

        monkeypatch.setattr(precision, "_seconds", seconds)
        return asked

    yield timed_as
    bf16_speedup.cache_clear()


def test_the_speedup_is_the_ratio_of_the_shortest_tries(clock):
    clock([0.5, 0.4, 0.3, 0.9, 0.6], [0.2, 0.8, 0.7, 0.2, 0.2])
    assert bf16_speedup("cpu") == 1.5


@pytest.mark.parametrize(("half", "fast"), [(0.25, True), (0.3 / 1.2, True), (0.26, False), (0.6, False)])
def test_bf16_is_chosen_where_it_takes_five_sixths_of_the_time_at_most(clock, half, fast):
    clock([0.3] * 5, [half] * 5)
    assert devices.has_fast_bf16("cpu") is fast


def test_emulation_is_tried_once(clock):
    asked = clock([0.1], [0.5])
    assert bf16_speedup("cpu") == 0.2
    assert len(asked) == 4


def test_it_is_measured_once_in_a_process_and_leaves_random_numbers_alone():
    bf16_speedup.cache_clear()
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    assert 0 < bf16_speedup("cpu") == bf16_speedup("cpu")
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize("device", ["cuda:99", "nonsense"])
def test_a_device_that_is_not_there_is_left_to_others_to_refuse(device):
    assert torch.cuda.is_available() or devices.has_fast_bf16(device) is False


@pytest.mark.parametrize("by_hand", [True, False])
def test_run_json_has_the_choice_and_its_measurement(tmp_path, phantoms, monkeypatch, by_hand):
    from segxfer3d.run.bundle import run_bundle

    monkeypatch.setattr("segxfer3d.run.devices.bf16_speedup", lambda _device: 2.5)
    monkeypatch.setattr("segxfer3d.run.folder.bf16_speedup", lambda _device: 2.5)
    small = {
        "dataset_dir": str(phantoms), "output_dir": str(tmp_path / "run"), "recipe": "paper", "width": 2,
        "patch_size": [16, 16, 16], "batch_size": 1, "max_epochs": 1, "steps_per_epoch": 1, "init": "random",
        "device": "cpu", "progress": False,
    }  # fmt: skip
    run_bundle("genesis_finetune", **small, **({"amp": False} if by_hand else {}))
    about = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    measured = {"amp": False, "bf16_speedup": None} if by_hand else {"amp": True, "bf16_speedup": 2.5}
    assert about["precision"] == measured
    assert about["knobs"]["amp"] is measured["amp"]
