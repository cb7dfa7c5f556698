"""Whether a network that trained in bf16 is used in bf16 too: what the validation cases say in both precisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from monai.inferers import Inferer
from torch import nn

from segxfer3d.evaluation.evaluate import case_evaluator
from segxfer3d.evaluation.tables import CaseTable
from segxfer3d.networks.forward import set_amp
from segxfer3d.run import processes

TOLERANCE = 0.002  # of mean dice: 0.2 points


@dataclass(frozen=True)
class PrecisionCheck:
    """The mean dice of the validation cases by the same weights in both precisions.

    Attributes:
        cases: how many; none where there is no validation part.
        float32, bf16: mean dice; None without cases.
    """

    cases: int = 0
    float32: float | None = None
    bf16: float | None = None

    @property
    def amp(self) -> bool:
        """Whether the model may be used in bf16: where that changes the mean dice by 0.2 points at most. Without cases
        nobody knows, so it is float32."""
        return self.float32 is not None and self.bf16 is not None and abs(self.float32 - self.bf16) <= TOLERANCE

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a run's folder and for ``model.pt``."""
        return {
            "trained": "bf16",
            "cases": self.cases,
            "dice": {"float32": self.float32, "bf16": self.bf16},
            "used": "bf16" if self.amp else "float32",
        }

    def text(self) -> str:
        """A line for the console."""
        used = f"evaluation and inference in {'bf16' if self.amp else 'float32'}"
        if self.float32 is None or self.bf16 is None:
            return f"trained in bf16, which no validation cases could be checked in: {used}"
        return (
            f"trained in bf16; dice of {self.cases} validation case{'s' * (self.cases != 1)} {self.bf16:.4f} in bf16, "
            f"{self.float32:.4f} in float32: {used}"
        )


def check_precision(
    network: nn.Module,
    table: CaseTable,
    *,
    inferer: Inferer,
    device: torch.device,
    batch_size: int = 1,
    prepare_batch: Any = None,
    bf16: float | None = None,
) -> PrecisionCheck:
    """Segment the validation cases in float32, and in bf16 where that is not known.

    Args:
        network: that trained in bf16.
        table: of the validation cases, if there are any; its rows are those of the last pass.
        inferer, device, batch_size, prepare_batch: see :func:`~segxfer3d.evaluation.evaluate.case_evaluator`; with an
            inferer that has no precision of its own nothing is checked.
        bf16: the mean dice that this inferer had in bf16; None: it is measured.
    """
    if not set_amp(inferer, False) or table.dataset is None or not len(table.dataset):
        return PrecisionCheck()
    processes.share_buffers(network)
    evaluator = case_evaluator(
        network, table, inferer=inferer, device=device, batch_size=batch_size, prepare_batch=prepare_batch
    )
    evaluator.run()
    float32 = float(table.summary["dice"])
    set_amp(inferer, True)
    if bf16 is None:
        evaluator.run()
        bf16 = float(table.summary["dice"])
    return PrecisionCheck(len(table.rows), float32, bf16)
