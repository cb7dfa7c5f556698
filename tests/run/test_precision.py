"""The precision of a device is chosen by a measurement, once, and what is written says by which."""

import json
import os
import subprocess
import sys

import pytest
import torch

from segxfer3d.config import amp
from segxfer3d.errors import InputError
from segxfer3d.run import devices, precision
from segxfer3d.run.bundle import run_bundle


@pytest.fixture
def unmeasured(monkeypatch):
    """Nothing is known of any device, and nothing is said."""
    monkeypatch.setattr(precision, "_known", {})
    monkeypatch.delenv(amp.VARIABLE, raising=False)


@pytest.fixture
def clock(monkeypatch, unmeasured):
    """Replaces what is timed: the seconds of the tries of the first size, and of the other, float32's before bf16's."""
    asked: list[tuple[int, bool]] = []

    def timed_as(first, second):
        sizes = {8: first, 16: second}
        left = {side: {False: [9.0, *whole], True: [9.0, *half]} for side, (whole, half) in sizes.items()}

        def seconds(image, _weight, *, amp):
            asked.append((image.shape[-1], amp))
            times = left[image.shape[-1]][amp]
            return times.pop(0) if len(times) > 1 else times[0]

        monkeypatch.setattr(precision, "_seconds", seconds)
        return asked

    return timed_as


FAIR = ([1.0], [1.0])


def test_the_speedup_is_the_ratio_of_the_shortest_tries(clock):
    asked = clock(FAIR, ([0.5, 0.4, 0.3, 0.9, 0.6], [0.2, 0.8, 0.7, 0.2, 0.2]))
    assert precision.bf16_speedup("cpu") == 1.5
    assert len(asked) == 2 * (1 + 2) + 2 * (1 + 5)
    assert asked[:4] == [(8, False), (8, True)] * 2  # in turn
    assert precision.bf16_speedup("cpu") == 1.5
    assert len(asked) == 18  # once in a process


@pytest.mark.parametrize(("half", "fast"), [(0.2, True), (0.3 / 1.2, True), (0.26, False), (0.6, False)])
def test_bf16_is_chosen_where_it_takes_five_sixths_of_the_time_at_most(clock, half, fast):
    clock(FAIR, ([0.3], [half]))
    assert devices.has_fast_bf16("cpu") is fast


@pytest.mark.parametrize(("half", "tries"), [(1 / 1.09, 5), (1 / 1.15, 20), (1 / 1.3, 20), (1 / 1.4, 5)])
def test_what_is_near_to_the_threshold_is_tried_more_often(clock, half, tries):
    asked = clock(FAIR, ([1.0], [half]))
    precision.bf16_speedup("cpu")
    assert asked.count((16, True)) == asked.count((16, False)) == tries + 1


def test_a_lucky_try_among_the_first_is_corrected_by_more(clock):
    clock(FAIR, ([1.3, 1.3, 1.3, 1.3, 1.3, 1.0], [1.0]))
    assert precision.bf16_speedup("cpu") == 1.0


def test_emulation_is_known_by_its_small_size_alone(clock):
    asked = clock(([0.1], [0.5]), FAIR)
    assert precision.bf16_speedup("cpu") == 0.2
    assert {side for side, _ in asked} == {8}


EMULATED = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", amp.VARIABLE: ""}


def test_a_processor_without_bf16_stays_in_float32():
    """These variables have torch and oneDNN take this processor for one."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "segxfer3d.run.precision", "cpu"],
        env={**os.environ, **EMULATED}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    choice = json.loads(done.stdout)
    assert choice["amp"] is False
    assert 0 < choice["bf16_speedup"] < 0.5


def test_a_measurement_leaves_threads_results_and_random_numbers_alone(unmeasured):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        torch.manual_seed(3)
        image, weight = torch.rand(1, 8, 12, 12, 12), torch.rand(8, 8, 3, 3, 3)
        results = [torch.nn.functional.conv3d(image, weight), image.flatten(2) @ image.flatten(2).mT, torch.rand(2)]
        torch.manual_seed(3)
        torch.rand(image.shape), torch.rand(weight.shape)
        assert precision.bf16_speedup("cpu") > 0
        again = [torch.nn.functional.conv3d(image, weight), image.flatten(2) @ image.flatten(2).mT, torch.rand(2)]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, other) for one, other in zip(results, again, strict=True))


@pytest.mark.parametrize("device", ["cuda:99", "nonsense", "meta"])
def test_a_device_that_is_not_there_is_left_to_others_to_refuse(unmeasured, device):
    assert torch.cuda.is_available() or devices.has_fast_bf16(device) is False


def test_an_environment_variable_takes_the_place_of_a_measurement(clock, monkeypatch):
    asked = clock(FAIR, FAIR)
    for text, expected in (("True", True), ("False", False)):
        monkeypatch.setenv(amp.VARIABLE, text)
        assert devices.has_fast_bf16("cpu") is expected
    assert asked == []
    monkeypatch.setenv(amp.VARIABLE, "yes")
    with pytest.raises(InputError, match=r"SEGXFER3D_AMP: expected True or False .*, got 'yes'"):
        devices.has_fast_bf16("cpu")


SMALL = {
    "recipe": "paper", "width": 2, "patch_size": [16, 16, 16], "batch_size": 1, "max_epochs": 1, "steps_per_epoch": 1,
    "init": "random", "device": "cpu", "progress": False, "validation_fraction": 0.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("said", "speedup", "by_hand", "expected"),
    [
        (None, 2.5, None, (True, 2.5)), (None, 2.5, False, (False, None)), (None, 0.4, True, (True, None)),
        ("True", 0.4, None, (True, None)),
    ],
)  # fmt: skip
@pytest.mark.slow
def test_run_json_has_the_choice_and_its_measurement(
    unmeasured, tmp_path, phantoms, monkeypatch, caplog, said, speedup, by_hand, expected
):
    monkeypatch.setattr(precision, "_known", {"cpu": speedup})
    if said:
        monkeypatch.setenv(amp.VARIABLE, said)
    more = {} if by_hand is None else {"amp": by_hand}
    values = {**SMALL, "dataset_dir": str(phantoms), "output_dir": str(tmp_path / "run")}
    with caplog.at_level("INFO", "segxfer3d"):
        run_bundle("genesis_finetune", **values, **more)
    about = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert about["precision"] == dict(zip(("amp", "bf16_speedup"), expected, strict=True))
    assert about["knobs"]["amp"] is expected[0]
    slow = expected[0] and speedup < precision.FASTER
    assert ("warning: bf16 is not faster than float32 on this cpu; --amp False" in caplog.text) is slow
    # whatever this machine would choose now
    monkeypatch.setattr(precision, "_known", {"cpu": 0.4 if expected[0] else 2.5})
    monkeypatch.delenv(amp.VARIABLE, raising=False)
    (tmp_path / "run" / "done.json").unlink()
    caplog.clear()
    with caplog.at_level("INFO", "segxfer3d"):
        run_bundle("genesis_finetune", **values, **more, resume=True)
    assert ("bf16 is not faster" in caplog.text) is expected[0]
