"""The contrastive loss of two processes is that of one with both batches, and so is its gradient."""

from pathlib import Path

import torch

from segxfer3d.losses import nt_xent
from segxfer3d.losses.gather import gather, processes
from tests.two_processes import run_two


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    weight, *views = (torch.randn(*shape, generator=generator) for shape in ((6, 4), (4, 6), (4, 6)))
    return weight, views[0], views[1]


def loss_and_gradient(weight: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, ...]:
    weight = weight.clone().requires_grad_()
    contrast = nt_xent(first @ weight, second @ weight)
    contrast.loss.backward()
    assert weight.grad is not None
    return contrast.loss.detach(), contrast.accuracy, contrast.entropy, weight.grad


def _own_half(rank: int, folder: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    weight, first, second = batch()
    own = slice(2 * rank, 2 * rank + 2)
    *figures, gradient = loss_and_gradient(weight, first[own], second[own])
    torch.distributed.all_reduce(gradient)  # DistributedDataParallel's mean
    torch.save([*figures, gradient / 2, gather(first[own])], f"{folder}/{rank}")
    torch.distributed.destroy_process_group()


def test_two_processes_equal_one(tmp_path: Path) -> None:
    run_two(_own_half, str(tmp_path))
    expected = [*loss_and_gradient(*batch()), batch()[1]]
    for rank in range(2):
        torch.testing.assert_close(torch.load(tmp_path / str(rank), weights_only=True), expected)


def test_one_process_keeps_its_tensor() -> None:
    tensor = torch.rand(2, 3)
    assert processes() == 1
    assert gather(tensor) is tensor
