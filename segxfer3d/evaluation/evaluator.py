"""MONAI's evaluator for the cases of a table, which measures volumes while windows pass the network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monai.engines import SupervisedEvaluator
from monai.engines.utils import IterationEvents
from monai.utils.enums import CommonKeys as Keys

from segxfer3d.data.preprocessing.protocol import Item
from segxfer3d.evaluation.measuring import Measured
from segxfer3d.evaluation.tables import CaseTable
from segxfer3d.inference.volume_masks import Way


class CaseEvaluator(SupervisedEvaluator):
    """Measures the cases of a table.

    ``engine.state.output["pred"]`` has what is compared of each volume,
    :class:`~segxfer3d.evaluation.measuring.Measured`, instead of its logits; of images the logits, as MONAI's.

    Args:
        table: that is filled; it is among the handlers.
        how: see :class:`monai.engines.SupervisedEvaluator`.
    """

    def __init__(self, *, table: CaseTable, **how: Any) -> None:
        super().__init__(**how)
        self.table = table

    def _iteration(self, engine: Any, batchdata: Any) -> dict[str, Any]:
        if self.table.unit != "mm3":
            result: dict[str, Any] = super()._iteration(engine, batchdata)
            return result
        items: list[Item] = [batchdata] if isinstance(batchdata, dict) else batchdata
        with engine.mode(engine.network):
            said = [measured_by(engine, self.table, item, engine.network) for item in items]
        engine.state.output = {Keys.PRED: said}
        engine.fire_event(IterationEvents.FORWARD_COMPLETED)
        engine.fire_event(IterationEvents.MODEL_COMPLETED)
        output: dict[str, Any] = engine.state.output
        return output


def measured_by(evaluator: SupervisedEvaluator, table: CaseTable, item: Item, network: Callable[..., Any]) -> Measured:
    """What is compared of a volume as an evaluator applies a network, which is in evaluation mode.

    Args:
        evaluator: says the inferer and the device.
        table: of the case.
        item: of ``preprocessing.read``, with its label.
        network: that is applied.
    """
    inferer: Any = evaluator.inferer
    way = Way(inferer, network, evaluator.state.device, table.inference, list(table.classes))
    return table.measured_item(item, way)
