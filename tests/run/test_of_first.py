"""What the first process says, in a second one too."""

import os

import ignite.distributed as idist
import torch

from segxfer3d.config import amp
from segxfer3d.run import devices, precision, processes
from segxfer3d.training.rates import peak_rate
from tests.two_processes import run_two


class _Run:
    def goes_on_with(self, name):
        return False

    def record(self, name, content):
        pass

    def say(self, text):
        pass


def _ask(rank, folder):
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/group", rank=rank, world_size=2)
    assert processes.of_first(f"process {rank}") == "process 0"
    losses = iter([1.0 / (step + 1) if step < 20 + 10 * rank else 9.0 for step in range(60)])

    class Trial:
        def run(self, rates, *, enough):
            from segxfer3d.training.trial import Step

            steps = []
            for _ in rates:
                steps.append(Step(next(losses), 0.0))
                if enough(steps):
                    break
            return steps

    rate = peak_rate(None, steps=10, optimizer_name="adamw", range_test=True, trial=Trial(), run=_Run())
    rates = idist.all_gather(rate)
    assert rates[0] == rates[1]
    torch.distributed.destroy_process_group()


def test_the_first_process_says_text_and_rate(tmp_path):
    assert processes.of_first("alone") == "alone"
    run_two(_ask, str(tmp_path))


def _ask_precision(rank, folder):
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/group", rank=rank, world_size=2)
    os.environ.pop(amp.VARIABLE, None)
    for first, second, expected in ((2.0, 0.5, True), (0.5, 2.0, False)):
        precision._known["cpu"] = (first, second)[rank]
        assert devices.has_fast_bf16("cpu") is expected
    torch.distributed.destroy_process_group()


def test_the_first_process_chooses_the_precision(tmp_path):
    run_two(_ask_precision, str(tmp_path))
