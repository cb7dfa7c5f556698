"""Soft dice of raw probabilities: of each batch, as the Models Genesis tables have it, and of all cases as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from ignite.exceptions import NotComputableError
from ignite.metrics import Metric
from ignite.metrics.metric import reinit__is_reduced, sync_all_reduce

from segxfer3d.errors import InputError
from segxfer3d.inference.labels import check_range

GENESIS_BATCH = 16  # cases that the published evaluation takes the dice of together
_CHUNK = 1 << 20  # voxels counted at once: bounds the memory of a whole CT and stays in the processor's cache


class SoftSums(NamedTuple):
    """What the soft dice of a case is made of, over its voxels and classes: sum(p y), sum(p) and sum(y)."""

    both: float
    predicted: float
    labeled: float


def soft_sums(probabilities: torch.Tensor, label: torch.Tensor) -> SoftSums:
    """The sums of one case, or of several as one, in float64; shapes and errors as `GenesisDice`."""
    total = torch.zeros(3, dtype=torch.float64)
    for p, y in voxel_chunks(probabilities, label):
        total += sums_of_chunk(p, y)
    return SoftSums(*total.tolist())


def sums_of_chunk(probabilities: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """The three of :class:`SoftSums`, float64 on the CPU, of what :func:`voxel_chunks` gives."""
    both = torch.where(label, probabilities, 0).sum(dtype=torch.float64)
    sums = (both, probabilities.sum(dtype=torch.float64), torch.count_nonzero(label))
    return torch.stack([each.to("cpu", torch.float64) for each in sums])


def soft_dice(cases: Sequence[SoftSums]) -> float:
    """Dice (2 sum(p y) + 1) / (sum(p) + sum(y) + 1) of all voxels of these cases; large ones weigh more."""
    both, predicted, labeled = (sum(numbers) for numbers in zip(*cases, strict=True))
    return float((2 * both + 1) / (predicted + labeled + 1))


class GenesisDice(Metric):
    """Soft dice of the raw probabilities, batch by batch: the Dice of the Models Genesis tables.

    (2 sum(p y) + 1) / (sum(p) + sum(y) + 1) over every voxel p, y of a batch's cases; no threshold. The smoothing
    of 1 makes it 1.0 where labels and probabilities are all zero. The mean over batches, each of which weighs as much
    as it has cases. The published evaluation takes batches of `GENESIS_BATCH` cases; one batch of the whole set is the
    pooled dice. Several classes are pooled: their channels count as further voxels (the source has one class).

    `update` takes (probabilities, label) of one batch: (N, ...) each, or lists of N cases on grids of their own; `add`
    takes the sums of its cases. Processes add up their batches. Source: Zhou et al., Models Genesis, Medical Image
    Analysis 67 (2021) 101840, task NCS, as Keras evaluates it.

    Raises:
        InputError: shapes differ, probabilities outside [0, 1] (logits, NaN), labels other than 0 and 1.
        NotComputableError: `compute` before the first `update`.

    Example:
        >>> metric = GenesisDice()
        >>> metric.update((torch.tensor([[0.9], [0.2]]), torch.tensor([[1], [0]])))  # a batch of two cases: 2.8 / 3.1
        >>> metric.update((torch.tensor([[0.4]]), torch.tensor([[1]])))  # ... and one of one: 1.8 / 2.4
        >>> round(metric.compute(), 4)  # (2 * 0.9032 + 0.75) / 3
        0.8522
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"skip_unrolling": True, **options})  # a list of cases is one batch

    @reinit__is_reduced
    def reset(self) -> None:
        # dice times cases of each batch, number of cases
        self._sums = torch.zeros(2, dtype=torch.float64, device=self._device)

    def update(self, output: Sequence[Any]) -> None:
        probabilities, label = output
        if len(probabilities) != len(label):
            raise InputError(f"{len(probabilities)} probabilities and {len(label)} labels: expected the same shape")
        self.add([soft_sums(p, y) for p, y in zip(probabilities, label, strict=True)])

    @reinit__is_reduced
    def add(self, cases: Sequence[SoftSums]) -> None:
        self._sums += torch.tensor([len(cases) * soft_dice(cases), len(cases)], dtype=torch.float64).to(self._sums)

    @sync_all_reduce("_sums")
    def compute(self) -> float:
        total, cases = self._sums.tolist()
        if not cases:
            raise NotComputableError("GenesisDice needs at least one case before it is computed")
        return float(total / cases)


def pooled_figures(cases: Sequence[SoftSums]) -> dict[str, float]:
    """``genesis_dice``, of batches of :data:`GENESIS_BATCH` cases in their order, and
    ``pooled_dice``, of all cases as one."""
    metric = GenesisDice()
    for first in range(0, len(cases), GENESIS_BATCH):
        metric.add(cases[first : first + GENESIS_BATCH])
    return {"genesis_dice": metric.compute(), "pooled_dice": soft_dice(cases)}


def voxel_chunks(probabilities: torch.Tensor, label: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Pieces of probabilities (float32) and label (bool), flat; errors as `GenesisDice`."""
    if probabilities.shape != label.shape:
        shapes = f"{tuple(probabilities.shape)} and {tuple(label.shape)}"
        raise InputError(f"probabilities and label of shape {shapes}: expected the same shape")
    flat = [tensor.detach().as_subclass(torch.Tensor).reshape(-1) for tensor in (probabilities, label)]
    for p, y in zip(*(torch.split(tensor, _CHUNK) for tensor in flat), strict=True):
        check_range(p, "probabilities")
        if y.dtype != torch.bool:
            if not bool(((y == 0) | (y == 1)).all()):
                raise InputError("label with values other than 0 and 1: expected one channel per class")
            y = y == 1
        yield p.float(), y.to(p.device)
