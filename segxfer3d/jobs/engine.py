"""Making the engine of a model ready for the cases of a job, and saying which it is."""

from __future__ import annotations

import math
from collections.abc import Sequence

from segxfer3d.config.engines import AUTO
from segxfer3d.data.case import Case
from segxfer3d.data.check import CheckReport
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError
from segxfer3d.inference.engines.choice import settle
from segxfer3d.inference.engines.network import EngineNetwork
from segxfer3d.inference.model import Model
from segxfer3d.run.folder import RunFolder


def settle_engine(run: RunFolder, model: Model, cases: Sequence[Case], report: CheckReport, overlap: float) -> None:
    """Compile, or choose, what computes the model's network; recorded in ``engine.json``, and said.

    Of torch by its name there is nothing to say.

    Args:
        run: is told.
        model: that will see the cases.
        cases: of the job.
        report: of their check.
        overlap: of the windows.

    Raises:
        InputError: an engine that cannot take the network, or a choice by several processes.
    """
    network = model.network
    if not isinstance(network, EngineNetwork):
        return
    if network.engine is None and run.place.world_size > 1:
        raise InputError(f"engine {AUTO}: each process would choose for itself; expected the name of an engine")
    windows = expected_windows(model, cases, report, overlap)
    shape = (network.encoder.in_channels, *model.patch_size)
    choice = settle(network, shape, windows=windows, members=max(1, len(model.members)))
    run.record("engine", choice.as_dict())
    run.say(choice.sentence())


def expected_windows(model: Model, cases: Sequence[Case], report: CheckReport, overlap: float) -> int:
    """How many windows, or images, the network is about to see, turned ones counted; a model of several counts once.

    Args:
        model, cases, report, overlap: as of :func:`settle_engine`.
    """
    turns: int = 2 ** len(model.inference.mirror_axes)
    preprocessing = model.preprocessing
    if not isinstance(preprocessing, VolumePreprocessing):
        return turns * len(cases)
    total = 0
    for case in cases:
        sides: Sequence[float] = report.shapes.get(case.name, model.patch_size)
        if preprocessing.spacing and case.name in report.spacings:
            spacings = report.spacings[case.name]
            sides = [n * s / new for n, s, new in zip(sides, spacings, preprocessing.spacing, strict=True)]
        steps = [max(1.0, side * (1 - overlap)) for side in model.patch_size]
        total += math.prod(
            1 + max(0, math.ceil((n - side) / step))
            for n, side, step in zip(sides, model.patch_size, steps, strict=True)
        )
    return turns * total
