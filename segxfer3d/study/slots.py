"""GPUs for trainings: each gets a slot of one GPU, locked for all studies of this user on this machine."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segxfer3d.files import Lock


@dataclass(frozen=True)
class Slot:
    """A share of a GPU; ``gpu`` is what ``CUDA_VISIBLE_DEVICES`` calls it."""

    gpu: str
    lock: Lock


def visible_gpus(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The GPUs that trainings may use: those of ``CUDA_VISIBLE_DEVICES``, else all that ``nvidia-smi`` lists."""
    if "CUDA_VISIBLE_DEVICES" in environment:
        return [
            name.strip() for name in environment["CUDA_VISIBLE_DEVICES"].split(",") if name.strip() not in ("", "-1")
        ]
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return re.findall(r"^GPU (\d+):", listed, re.MULTILINE)


class Slots:
    """The slots of some GPUs.

    Args:
        gpus: as ``CUDA_VISIBLE_DEVICES`` calls them; none: trainings run on the CPU, and need no slot.
        per_gpu: trainings at a time on each.
        folder: where the lock files are; by default one of this user's in the folder for temporary files.
    """

    def __init__(self, gpus: Sequence[str], per_gpu: int = 1, folder: Path | None = None) -> None:
        self.gpus = list(gpus)
        self.per_gpu = per_gpu
        self.folder = folder or Path(tempfile.gettempdir()) / f"segxfer3d-gpus-{os.getuid()}"

    def take(self) -> Slot | None:
        """A free slot, on a GPU with as few others as may be; None where all are taken."""
        for share in range(self.per_gpu):
            for gpu in self.gpus:
                name = re.sub(r"\W", "_", gpu)
                if lock := Lock.take(self.folder / f"{name}-{share}.lock"):
                    return Slot(gpu, lock)
        return None
