"""Loaders: random batches to train on, fixed batches for a pretext's loss, and what is evaluated."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from torch.utils.data import DataLoader, Dataset, Sampler
from torch.utils.data.distributed import DistributedSampler

from segxfer3d.config import stopping
from segxfer3d.data.dataset import collate
from segxfer3d.errors import numbered

logger = logging.getLogger(__name__)

EVALUATION_BATCH = 64  # items of one size that are evaluated together


def train_loader(
    dataset: Dataset[Any],
    *,
    batch_size: int,
    device: torch.device,
    num_workers: int = 0,
    rank: int = 0,
    world_size: int = 1,
) -> DataLoader[Any]:
    """A loader that keeps the order of ``dataset`` (random already), each process taking its share.

    Args:
        dataset: a :class:`~segxfer3d.data.dataset.SeededDataset`, whose items do not depend on who asks for them.
        batch_size: items of a batch of one process; what does not fill a batch is left out.
        device: that trains; batches for a GPU lie in pinned memory.
        num_workers: loader processes, at most one for each processor that this process may use; with 0 the training
            process loads.
        rank, world_size: of the process.
    """
    sampler: Sampler[int] = InOrder(dataset)
    if world_size > 1:
        sampler = DistributedSampler(dataset, world_size, rank, shuffle=False)
    num_workers = _limited(num_workers, say=rank == 0)
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=num_workers,
        drop_last=True,
        collate_fn=collate,
        pin_memory=device.type == "cuda",
        persistent_workers=num_workers > 0,
        worker_init_fn=_leave_signals,
    )


class InOrder(Sampler[int]):
    """The numbers of a data set's items as they come; the first pass may begin within: an epoch that goes on.

    Attributes:
        first: where the next pass begins; the ones after it begin at 0.
    """

    def __init__(self, dataset: Dataset[Any]) -> None:
        self.length = len(cast("Sequence[Any]", dataset))
        self.first = 0

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        first, self.first = self.first, 0
        return iter(range(first, self.length))


def _limited(num_workers: int, say: bool) -> int:
    """At most a loader process for each processor: more only wait for each other, and torch warns of them. They make
    the same items however many they are."""
    processors = visible_processors()
    if num_workers <= processors:
        return num_workers
    if say:
        several = processors > 1
        logger.info(
            "note: num_workers %d, but this process may use %d processor%s: %d loader process%s",
            num_workers, processors, "s" * several, processors, "es" * several,
        )  # fmt: skip
    return processors


def visible_processors() -> int:
    """How many processors this process may use: a batch system or ``taskset`` shows it a few of the machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _leave_signals(_: int) -> None:
    """A terminal sends Ctrl-C to the loader's processes too, a batch system its signals: one that died of it would be
    reported as a failure, before the trainer has kept its step. The trainer ends them, by a SIGTERM of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stopping.end_unless_waiting)


def loss_loader(
    dataset: Dataset[Any] | None, *, batch_size: int, least: int = 1, rank: int = 0
) -> DataLoader[Any] | None:
    """A loader of fixed validation batches for a pretext's loss; None where there is nothing to validate on.

    Args:
        dataset: of the validation part; None where there is none.
        batch_size: items of a batch.
        least: items that the pretext needs in a batch: of fewer the loss says nothing. One image has none to be told
            from, so that its contrast is 0 from the start.
        rank: of the process.
    """
    if dataset is None:
        return None
    count = len(cast("Sequence[Any]", dataset))
    if count < least:
        if rank == 0:
            held = numbered(count, "image validates", "images validate")
            logger.info(
                "note: %s, and this pretext compares %d or more: there is no validation; a larger validation_fraction "
                "gives one",
                held, least,
            )  # fmt: skip
        return None
    few = count < batch_size
    return DataLoader(
        dataset, batch_size=batch_size, drop_last=not few, collate_fn=collate
    )  # one sample has nothing to contrast
