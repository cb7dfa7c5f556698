"""What is settled between the last training step and the final table: how the network's outputs become masks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from monai.inferers import Inferer
from torch import nn

from segxfer3d.config import groups, learning
from segxfer3d.config.options import Options
from segxfer3d.evaluation.component_choice import choose_components
from segxfer3d.evaluation.precision_check import check_precision
from segxfer3d.evaluation.tables import CaseTable
from segxfer3d.inference.settings import InferenceSettings
from segxfer3d.jobs.planning import Planned
from segxfer3d.networks.forward import set_amp
from segxfer3d.run.folder import RunFolder
from segxfer3d.training.loaders import EVALUATION_BATCH
from segxfer3d.training.resume import TrainingState


class Ending:
    """Settles how the trained network is used, from the options and from the validation cases.

    Args:
        options: of the job.
        run: told what was chosen; records it.
        network: that was trained.
        planned: says activation and axes.
        validation: table of the validation cases, if there are any.
        test: table of the test cases, which is measured with what was settled.
        inferer, prepare_batch, device: of the final table.
        plain: the inferer of validation, which mirrors nothing; None: that of the final table.
        state: of the training, which knows what validation found; None: nobody knows.
    """

    def __init__(
        self,
        options: Options,
        run: RunFolder,
        network: nn.Module,
        *,
        planned: Planned,
        validation: CaseTable,
        test: CaseTable,
        inferer: Inferer,
        prepare_batch: Any,
        device: torch.device,
        plain: Inferer | None = None,
        state: TrainingState | None = None,
    ) -> None:
        self.keep = options[learning.Learning].largest_component
        self.amp = options[groups.Run].amp
        self.run = run
        self.network = network
        self.planned = planned
        self.validation = validation
        self.test = test
        self.inferer = inferer
        self.prepare_batch = prepare_batch
        self.device = device
        self.plain = plain
        self.state = state

    def precision(self) -> dict[str, Any]:
        """What model.pt says of its precision: ``amp``, and how that was found; the final table is measured in it.

        Nothing is checked of what trained in float32.
        """
        if not self.amp:
            return {}
        found = check_precision(
            self.network,
            self.validation,
            inferer=self.plain or self.inferer,
            device=self.device,
            batch_size=EVALUATION_BATCH,
            prepare_batch=self.prepare_batch,
            bf16=self._validated(),
        )
        set_amp(self.inferer, found.amp)
        self.run.record("precision", found.as_dict())
        self.run.say(found.text())
        return {"amp": found.amp, "precision": found.as_dict()}

    def _validated(self) -> float | None:
        """The dice in bf16 that validation found of these weights; each of several processes had its own statistics."""
        if self.plain is None or self.state is None or self.state.metric != "dice" or self.run.place.world_size > 1:
            return None
        return self.state.figure()

    def settings(self) -> InferenceSettings:
        """What model.pt says of inference; the table of the test cases takes it on."""
        settings = replace(
            self.planned.inference, mirror_axes=self.planned.mirror_axes, largest_component=self._components()
        )
        self.test.inference = settings
        return settings

    def _components(self) -> tuple[int, ...]:
        if self.planned.inference.regions:
            return ()  # whose components lie in each other
        if self.keep != "auto":
            return tuple(self.test.classes) if self.keep == "always" else ()
        choice = choose_components(
            self.network,
            self.validation,
            inferer=self.inferer,
            device=self.device,
            batch_size=EVALUATION_BATCH,
            prepare_batch=self.prepare_batch,
        )
        self.run.record("components", choice.as_dict())
        self.run.say(choice.text())
        return choice.values
