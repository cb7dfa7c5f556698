"""A few training steps on a copy of the network, of which nothing stays: to time them, or to try learning rates."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from monai.inferers import Inferer
from torch import nn
from torch.utils.data import DataLoader

from segxfer3d.errors import InputError
from segxfer3d.networks.forward import unwrap
from segxfer3d.training.optimization import make_optimizer
from segxfer3d.training.preparation import prepare_patches


class Step(NamedTuple):
    """A training step: the loss that it found, and the seconds that it and its batch took."""

    loss: float
    seconds: float


class Trial:
    """Training steps as MONAI's trainer takes them, on a copy of the network.

    The network, its gradients and every random number are afterwards as they were before. Batches come from the
    loader itself, whose items depend on nobody who asks for them, see :class:`~segxfer3d.data.dataset.SeededDataset`.

    Args:
        network: as it will be trained, on its device; of several processes each tries its own.
        loader: of the training batches.
        loss: of the network's outputs and the targets.
        inferer: how the network is applied.
        device: that trains.
        optimizer_name, weight_decay, clip_norm: see :func:`~segxfer3d.training.optimization.make_optimizer`.
        prepare_batch: images and targets of a batch; :func:`~segxfer3d.training.preparation.prepare_patches` where
            None.

    Raises:
        InputError: the loader has no batch.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        loader: DataLoader[Any],
        loss: nn.Module,
        inferer: Inferer,
        device: torch.device,
        optimizer_name: str = "adamw",
        weight_decay: float = 0.0,
        clip_norm: float = 0.0,
        prepare_batch: Callable[..., Any] | None = None,
    ) -> None:
        if len(loader) == 0:
            raise InputError("no training batch: fewer items than a batch has")
        self.network = network
        self.loader = loader
        self.loss = loss
        self.inferer = inferer
        self.device = device
        self.optimizer = {"name": optimizer_name, "weight_decay": weight_decay, "clip_norm": clip_norm}
        self.prepare_batch = prepare_batch or prepare_patches

    def run(
        self,
        rates: Iterable[float],
        *,
        clock: Callable[[], float] = time.perf_counter,
        enough: Callable[[list[Step]], bool] = lambda _: False,
    ) -> list[Step]:
        """Take a step for each learning rate.

        Args:
            rates: learning rates.
            clock: what seconds are counted by.
            enough: asked after each step, with all steps so far, whether to stop.
        """
        steps: list[Step] = []
        with _undisturbed(self.device):
            network = self._copy()
            optimizer = make_optimizer(network, lr=1.0, **self.optimizer)  # type: ignore[arg-type]
            batches = _endless(self.loader)
            for rate in rates:
                for group in optimizer.param_groups:
                    group["lr"] = rate
                start = clock()
                loss = self._step(network, optimizer, next(batches))
                if self.device.type == "cuda":
                    torch.cuda.synchronize(self.device)
                steps.append(Step(loss, clock() - start))
                if enough(steps):
                    break
        return steps

    def _copy(self) -> nn.Module:
        network = copy.deepcopy(unwrap(self.network))
        network.zero_grad()
        if getattr(self.network, "_compiled_call_impl", None) is not None:
            network.compile()
        return network.train()

    def _step(self, network: nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> float:
        images, targets = self.prepare_batch(batch, self.device, True)
        optimizer.zero_grad()
        loss = self.loss(self.inferer(images, network), targets)
        loss.backward()
        optimizer.step()
        return float(loss.detach())


def _endless(loader: DataLoader[Any]) -> Iterator[Any]:
    while True:
        yield from loader


@contextmanager
def _undisturbed(device: torch.device) -> Iterator[None]:
    """The random numbers of Python, NumPy and torch go on afterwards as if nothing had been."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  (libraries draw from it)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
