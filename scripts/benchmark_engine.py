"""What an engine costs over a bare loop of the same steps, the two taken in turn, step by step."""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.bundle import ConfigWorkflow

from segxfer3d.config.shipped import shipped_folder
from segxfer3d.networks.forward import layout_of
from segxfer3d.training.optimization import make_optimizer

BUNDLES = {"pretraining": "genesis_pretrain", "finetuning": "genesis_finetune"}
SMALL: dict[str, Any] = {
    "patch_size": [32, 32, 16], "batch_size": 4, "device": "cpu", "amp": False, "phantom_patients": 16,
    "validation_fraction": 0.0, "progress": False,
}  # fmt: skip
EPOCHS, STEPS = 4, 20
WARM_UP = 5  # steps that are not counted


def engine(options: argparse.Namespace) -> dict[str, float]:
    """CPU milliseconds of a step on small patches (four of 32x32x16) in the engines of the Models Genesis pretraining
    and fine-tuning, with their loaders, events, records and training states, and in a bare loop: the same network,
    loss and optimizer on a batch that lies there. Taken in turn, step by step: medians, and the engine's mean with what
    it does once an epoch (of 20 steps). The loader's share stands beside them."""
    figures: dict[str, float] = {}
    for name, bundle in BUNDLES.items():
        figures |= {f"{name}_{key}": value for key, value in measure(bundle, options).items()}
    return figures | {"width": options.small}


def measure(bundle: str, options: argparse.Namespace) -> dict[str, float]:
    """One engine beside a bare loop."""
    with tempfile.TemporaryDirectory() as folder:
        own = {"init": "random"} if bundle == "genesis_finetune" else {}
        workflow = ConfigWorkflow(
            config_file=str(shipped_folder() / f"{bundle}.json"), workflow_type=None, logging_file=False,
            output_dir=f"{folder}/{bundle}/1", width=options.small, max_epochs=EPOCHS, steps_per_epoch=STEPS,
            **SMALL, **own,
        )  # fmt: skip
        workflow.initialize()
        turns = Turns(workflow)
        workflow.run()
        workflow.finalize()
        lines = Path(f"{folder}/{bundle}/1/metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == EPOCHS
    return turns.figures()


class Turns:
    """Hangs on the trainer of a workflow that is ready to run, and takes a bare step after each of the engine's."""

    def __init__(self, workflow: ConfigWorkflow) -> None:
        parser = workflow.parser
        trainer: Engine = parser.get_parsed_content("train::trainer")
        self.bare: Callable[[], None] | None = None
        self.loss = None if "loss" not in parser else parser.get_parsed_content("loss")
        self.network = parser.get_parsed_content("training_network")
        name, decay, clip = (parser.get_parsed_content(key) for key in ("optimizer_name", "weight_decay", "clip_norm"))
        (group, *_) = parser.get_parsed_content("optimizer").param_groups
        self.optimizer = (name, group["initial_lr"], decay, clip)
        self.engine_seconds: list[float] = []
        self.bare_seconds: list[float] = []
        self.loader_seconds: list[float] = []
        self._since = self._asked = 0.0
        trainer.add_event_handler(Events.GET_BATCH_STARTED, self._ask)
        trainer.add_event_handler(Events.GET_BATCH_COMPLETED, self._take)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._turn)  # the last of its handlers

    def _ask(self, _: Engine) -> None:
        self._asked = time.process_time()

    def _take(self, engine: Engine) -> None:
        self.loader_seconds.append(time.process_time() - self._asked)
        if self.bare is None:
            self.bare = self._loop(engine.state.batch)

    def _turn(self, engine: Engine) -> None:
        assert self.bare is not None
        now = time.process_time()
        self.engine_seconds.append(now - self._since)
        self.bare()
        self._since = time.process_time()
        self.bare_seconds.append(self._since - now)

    def _loop(self, batch: Any) -> Callable[[], None]:
        """A bare step on a batch that lies there, of a network and an optimizer of its own."""
        network = copy.deepcopy(self.network)
        image, target = (as_plain(batch[key]) for key in ("image", "target" if self.loss is None else "label"))
        image = image.contiguous(memory_format=layout_of(network))
        optimizer = make_optimizer(network, *self.optimizer)  # torch's, which clips
        loss = self.loss

        def step() -> None:
            optimizer.zero_grad()
            batch = {"image": image, "target": target}
            value = network(batch)["loss"] if loss is None else loss(network(image), target)
            value.backward()
            optimizer.step()

        return step

    def figures(self) -> dict[str, float]:
        """Milliseconds and percents."""
        taken = (self.engine_seconds, self.bare_seconds, self.loader_seconds)
        engine_steps, bare_steps, loads = (seconds[WARM_UP:] for seconds in taken)
        bare = statistics.median(bare_steps)
        return {
            "bare_milliseconds": 1000 * bare,
            "engine_milliseconds": 1000 * statistics.median(engine_steps),
            "loader_milliseconds": 1000 * statistics.median(loads),
            "overhead_percent": 100 * (statistics.median(engine_steps) / bare - 1),
            "overhead_percent_with_epochs": 100 * (statistics.mean(engine_steps) / statistics.mean(bare_steps) - 1),
        }


def as_plain(tensor: torch.Tensor) -> torch.Tensor:
    """Without MONAI's metadata."""
    return tensor.as_subclass(torch.Tensor)
