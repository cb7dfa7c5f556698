"""Minutes as a number of epochs: what is timed, what fits, and that a run that goes on keeps it."""

import json
import time
from types import SimpleNamespace

import pytest
import torch

from segxfer3d import files
from segxfer3d.errors import InputError
from segxfer3d.training.length import Length, clock_of, find_length
from segxfer3d.training.trial import Step
from tests.training.stand_ins import Run
from tests.training.test_trial import network, trial

CPU = torch.device("cpu")


class Recording(Run):
    def record(self, name, content):
        files.write_json(self.path / f"{name}.json", content)


def timed(seconds, workers=0):
    """A trial whose steps take these seconds, the last of them again and again."""

    def run(rates, *, clock, enough):
        steps = []
        for number, _ in enumerate(rates):
            steps.append(Step(1.0, seconds[min(number, len(seconds) - 1)]))
            if enough(steps):
                break
        return steps

    return SimpleNamespace(device=CPU, loader=SimpleNamespace(num_workers=workers), run=run)


def test_without_minutes_the_epochs_count(tmp_path):
    run = Recording(tmp_path)
    length = find_length(None, max_epochs=7, steps_per_epoch=20, trial=None, run=run)
    assert (length.epochs, length.steps) == (7, 140)
    assert run.said == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("minutes", [None, 1.0])
@pytest.mark.parametrize(("warmup", "fits"), [(0, True), (5, True), (6, False), (50, False)])
def test_a_warm_up_of_the_decoder_leaves_the_encoder_an_epoch(minutes, warmup, fits, tmp_path):
    knobs = {"max_epochs": 6, "steps_per_epoch": 20, "trial": timed([0.5]), "decoder_warmup_epochs": warmup}
    if fits:
        assert find_length(minutes, run=Recording(tmp_path), **knobs).epochs == 6
        return
    message = f"decoder_warmup_epochs {warmup}: the training has 6 epochs, so that the encoder never trains; expected f"
    with pytest.raises(InputError, match=message):
        find_length(minutes, run=Recording(tmp_path), **knobs)
    assert not list(tmp_path.iterdir())
    goes_on = Recording(tmp_path, resume=True)  # of an earlier version, which took it
    assert find_length(None, run=goes_on, **knobs).epochs == 6


def test_the_median_after_a_step_of_warm_up(tmp_path):
    run = Recording(tmp_path)
    steps = timed([30.0, 0.5, 9.0, 0.5, 0.5, 0.7])
    length = find_length(1.0, max_epochs=7, steps_per_epoch=20, trial=steps, run=run)
    assert (length.epochs, length.steps, length.timed, length.seconds_per_step) == (6, 120, 5, 0.5)
    assert json.loads((tmp_path / "length.json").read_text()) == length.as_dict()
    (said,) = run.said
    assert said.startswith("minutes 1: 6 epochs of 20 steps, at 0.5 s ")
    assert said.endswith(" a step (median of 5); the same training again: --max_epochs 6 instead of --minutes")


def test_what_repeats_a_planned_training_names_its_plan(tmp_path):
    run = Recording(tmp_path)
    run.record("plan", {})
    find_length(1.0, max_epochs=7, steps_per_epoch=20, trial=timed([0.5]), run=run)
    again = f"the same training again: --plan {tmp_path / 'plan.json'} --max_epochs 6 instead of --minutes"
    assert run.said[0].endswith(again)


def test_quick_steps_are_timed_more_often(tmp_path):
    length = find_length(1.0, max_epochs=7, steps_per_epoch=20, trial=timed([9.0, 0.01]), run=Recording(tmp_path))
    assert (length.timed, length.epochs) == (25, 300)


def test_a_run_that_goes_on_keeps_its_length(tmp_path):
    before = find_length(1.0, max_epochs=7, steps_per_epoch=20, trial=timed([0.5]), run=Recording(tmp_path))
    again = Recording(tmp_path, resume=True)
    assert find_length(1.0, max_epochs=7, steps_per_epoch=20, trial=timed([0.1]), run=again) == before
    for content in ("{", '{"epochs": 3}'):
        (tmp_path / "length.json").write_text(content)
        with pytest.raises(InputError, match=r"resume: .*length\.json.*it says how many epochs.*start a new one"):
            find_length(1.0, max_epochs=7, steps_per_epoch=20, trial=timed([0.1]), run=again)


def test_less_than_an_epoch_is_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"minutes 0\.1: 12 steps of 0\.5 s fit, no epoch of 20; expected at least 0\.17"
    ):
        find_length(0.1, max_epochs=7, steps_per_epoch=20, trial=timed([0.5]), run=Recording(tmp_path))


def test_whose_time(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert clock_of(CPU) == "processor"
    assert clock_of(CPU, 2) == clock_of(torch.device("cuda")) == "wall"
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert clock_of(CPU) == "wall"


def test_real_steps_and_the_random_numbers_after_them(tmp_path):
    module = network()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    start = time.perf_counter()
    length = find_length(0.01, max_epochs=1, steps_per_epoch=1, trial=trial(module), run=Recording(tmp_path))
    assert 0 < length.seconds_per_step < time.perf_counter() - start
    assert length.steps == int(0.6 / length.seconds_per_step)
    assert torch.equal(torch.rand(3), expected)
    assert Length.from_dict(length.as_dict()) == length
