"""What a job computes on: the device, its precision, the versions of what it was made with, and seeds."""

from __future__ import annotations

import platform
import random
from typing import Any

import ignite
import ignite.distributed as idist
import monai
import numpy as np
import torch

from segxfer3d.config import amp, command_line
from segxfer3d.config.groups import Run, Training
from segxfer3d.config.options import Options
from segxfer3d.errors import InputError
from segxfer3d.run import precision, processes
from segxfer3d.version import __version__


class Place:
    """Where a job runs: it joins the process group that torchrun started, finds the device, and seeds.

    Attributes:
        device: of the network.
        rank: number of this process.
        world_size: how many there are.

    Raises:
        InputError: a device that is not there.
    """

    def __init__(self, options: Options) -> None:
        if not isinstance(options, Options):
            command_line.shorten_errors()
            raise InputError(f"options: expected what the bundle reads (reading.read), got {options!r}")
        processes.join()
        self.rank = idist.get_rank()
        self.world_size = idist.get_world_size()
        self.device = find_device(options[Run].device, self.world_size)
        if self.device.type == "cuda":
            torch.backends.cudnn.benchmark = False
            torch.backends.cudnn.deterministic = True
        training = options.find(Training)
        seed_everything(training.seed if training else 0)

    @property
    def main(self) -> bool:
        """Whether this process is the one that writes and prints."""
        return bool(self.rank == 0)


def find_device(name: str, world_size: int = 1) -> torch.device:
    """The device of a name; with several processes, this process's own GPU.

    Raises:
        InputError: no such device.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"device: expected cpu, cuda or cuda:<n>, got {name!r}") from None
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise InputError(f"device: {name} asked for, but torch sees no GPU; --device cpu")
        if world_size > 1:
            device = idist.device()
        torch.cuda.set_device(device)
    return device


def seed_everything(*numbers: int) -> None:
    """Seed Python, NumPy and torch from several numbers (seed, epoch, process)."""
    state = np.random.SeedSequence(list(numbers)).generate_state(3)
    random.seed(int(state[0]))
    np.random.seed(int(state[1]))  # noqa: NPY002  (libraries draw from the legacy generator)
    torch.manual_seed(int(state[2]))


def has_fast_bf16(device: str) -> bool:
    """Whether trainings on ``device`` compute in bf16 where nobody says: where it :func:`computes_faster_in_bf16`, or
    what the environment variable ``SEGXFER3D_AMP`` sets instead.

    Raises:
        InputError: a variable that says neither True nor False.
    """
    said = amp.said()
    return computes_faster_in_bf16(device) if said is None else said


def computes_faster_in_bf16(device: str) -> bool:
    """Whether ``device`` is faster in bf16 than in float32 by a margin, see
    :func:`~segxfer3d.run.precision.bf16_speedup`.

    The first of several processes measures, and all have its answer; so every process has to ask.

    A name that is no device, or a GPU that is not there, gives False: :class:`Place` refuses it with a better message.
    """
    device = str(device)
    if not precision.can_be_asked(device):
        return False
    processes.join()
    speedup = precision.bf16_speedup(device) if idist.get_rank() == 0 else 0.0
    return float(processes.of_first(str(speedup))) >= precision.FASTER


def _processor() -> str:
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    name = capabilities.get("cpu_name") or platform.processor() or platform.machine()
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


def versions() -> dict[str, str]:
    """What a run is made with."""
    return {
        "segxfer3d": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "monai": monai.__version__,
        "ignite": ignite.__version__,
        "numpy": np.__version__,
        "processor": _processor(),
        "threads": str(torch.get_num_threads()),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
    }
