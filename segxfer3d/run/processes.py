"""Several processes, as torchrun starts them: joining them, and what they have to agree on."""

from __future__ import annotations

import atexit
import os

import ignite.distributed as idist
import torch
from torch import nn


def join() -> None:
    """Join the process group when torchrun started this process (gloo without a GPU, nccl with one)."""
    if _started() > 1 and idist.backend() is None:
        idist.initialize("nccl" if torch.cuda.is_available() else "gloo")


def count() -> int:
    """How many processes train together, before they have joined, too: values of a bundle are computed first."""
    return _started() if idist.backend() is None else int(idist.get_world_size())


def _started() -> int:
    """By torchrun, which says it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def leave_at_exit() -> None:
    """Leave the process group, where there is one, when this process ends without an error.

    Not before: the next run in these processes uses the group again, joining anew can hang.
    """
    if idist.get_world_size() > 1:
        atexit.unregister(idist.finalize)
        atexit.register(idist.finalize)


def share_buffers(network: nn.Module | None) -> None:
    """Give every process the buffers of the first one.

    Gradients make the weights equal, but each process counts the batch-norm statistics of its own batches. Without
    this, a figure measured in several processes would belong to several networks, and none of them to ``model.pt``.
    """
    if network is not None and idist.get_world_size() > 1:
        for buffer in network.buffers():
            torch.distributed.broadcast(buffer, 0)


def of_first(text: str) -> str:
    """What the first process has, in all of them; every process has to ask."""
    return str(idist.broadcast(text, safe_mode=True)) if idist.get_world_size() > 1 else text


def mean(values: dict[str, float]) -> dict[str, float]:
    """The mean over all processes, which have to give the same names."""
    count = idist.get_world_size()
    if count == 1:
        return dict(values)
    totals = idist.all_reduce(torch.tensor(list(values.values()), dtype=torch.float64, device=idist.device()))
    return dict(zip(values, (totals / count).tolist(), strict=True))
