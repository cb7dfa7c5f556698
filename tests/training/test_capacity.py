import pytest
import torch

from segxfer3d.training.capacity import memory_of, voxels_per_second

CPU = torch.device("cpu")


def test_a_cpu_has_memory():
    assert 0.1 < memory_of(CPU) < 10**5


@pytest.mark.parametrize("amp", [False, True])
def test_measuring_leaves_random_states(amp):
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    assert voxels_per_second(CPU, amp=amp, steps=1) > 100
    assert torch.equal(torch.rand(3), expected)
