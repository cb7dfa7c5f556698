"""``model.pt``: the weights that a training ends with, and what inference needs beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from segxfer3d.inference.settings import InferenceSettings
from segxfer3d.networks import SegmentationNetwork
from segxfer3d.pretexts.base import Pretext
from segxfer3d.run.folder import RunFolder
from segxfer3d.weights import checkpoint


class Described(Protocol):
    """What can be written down: preprocessing, see :mod:`segxfer3d.data.preprocessing`, or a plan."""

    def as_dict(self) -> dict[str, Any]: ...


class ModelWriter:
    """Writes ``model.pt`` of a run, with what the run started from.

    Args:
        run: whose model it is.
        preprocessing: what inference has to repeat.
        classes: label value to name; empty for a pretext.
        provenance: data and cases it was trained on.
        patch_size: of what the network was trained on, in every dimension.
        seed: of the training.
        init: how the network was initialized; empty for a pretext.
        pretext: what it was trained by, where it is a pretext: which parts it trained is noted.
        plan: that its sizes come from, if any: it is noted.
        amp: whether it was trained in bf16, which is repeated unless something else was found at the end.
    """

    def __init__(
        self,
        run: RunFolder,
        preprocessing: Described,
        *,
        classes: Mapping[int, str],
        provenance: Mapping[str, Any],
        patch_size: Sequence[int],
        seed: int = 0,
        init: str = "",
        pretext: Pretext | None = None,
        plan: Described | None = None,
        amp: bool | None = None,
    ) -> None:
        self.run = run
        self.preprocessing = preprocessing
        self.classes = classes
        self.provenance: dict[str, Any] = {
            "job": run.job, "patch_size": list(patch_size), "seed": seed, "init": init, **provenance
        }  # fmt: skip
        if amp is not None:
            self.provenance["amp"] = amp
        if plan is not None:
            self.provenance["plan"] = plan.as_dict()
        if pretext is not None:
            self.provenance |= {"pretext": type(pretext).__name__, "trained_parts": list(pretext.trained_parts)}

    def write(
        self,
        network: SegmentationNetwork,
        inference: InferenceSettings | None = None,
        *,
        found: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write the weights of ``network``; gives the file.

        Args:
            network: that was trained.
            inference: how its outputs become masks; None for a pretext.
            found: at the end of the training, for the provenance.

        Raises:
            InputError: it cannot be written.
        """
        path = self.run.path / "model.pt"
        if self.run.main:
            checkpoint.write_model(
                path,
                network.state_dict(),
                network=network.definition,
                preprocessing=self.preprocessing.as_dict(),
                classes=self.classes,
                provenance={**self.provenance, **self.run.started_from, **(found or {})},
                inference=None if inference is None else inference.as_dict(),
            )
        self.run.say(f"model: {path}")
        return path
