"""The network that fine-tuning starts from."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import ignite.distributed as idist

from segxfer3d import files
from segxfer3d.config import groups
from segxfer3d.config.initializations import needs_checkpoint
from segxfer3d.config.options import Options
from segxfer3d.errors import InputError
from segxfer3d.jobs.finetune import FinetuningData
from segxfer3d.jobs.generated import pretrain_on_generated
from segxfer3d.jobs.planning import Planned
from segxfer3d.networks import SegmentationNetwork
from segxfer3d.networks.sizes import refuse_size
from segxfer3d.run.folder import RunFolder
from segxfer3d.study.records import weights_hash
from segxfer3d.weights import passport
from segxfer3d.weights.initialize import initialize
from segxfer3d.weights.lineage import STARTED_FROM, start_of


def start_network(
    options: Options, run: RunFolder, *, network: SegmentationNetwork, data: FinetuningData, planned: Planned
) -> SegmentationNetwork:
    """Initialize ``network`` as the option ``init`` says, from the option ``checkpoint``; on generated data a missing
    checkpoint is made by a short pretraining.

    Args:
        options: of the job.
        run: told what was loaded.
        network: whose tensors are set in place.
        data: that it will be fine-tuned on, which the checkpoint has to fit.
        planned: its sizes, which a pretraining on generated data shares.

    Raises:
        InputError: a checkpoint is needed and missing, or does not fit; or a size that the network cannot take.
    """
    start = options[groups.Start]
    refuse_size(network, planned.patch_size, "patch_size" if len(planned.patch_size) == 3 else "image_size")
    source, weights = "", None
    notes: list[str] = []
    if needs_checkpoint(start.init):
        source = start.checkpoint or _pretrained(options, run, data, planned)
        weights, notes = passport.read_weights(source, network, data, init=start.init, options=options.values)
        for note in notes:
            run.say(note)
        run.made_from.take(checkpoint=weights_hash(Path(source)))
        run.started_from = {STARTED_FROM: start_of(source)}
    report = initialize(network, start.init, weights, source)
    run.record("transfer", report.as_dict() | ({"notes": notes} if notes else {}))
    run.say(report.summary())
    return network


def _pretrained(options: Options, run: RunFolder, data: FinetuningData, planned: Planned) -> str:
    """A checkpoint of the same generated data.

    Raises:
        InputError: the data are somebody's own.
    """
    start = options[groups.Start]
    if not data.generated:
        raise InputError(
            f"checkpoint: init {start.init} needs one; make it with python -m monai.bundle run --config_file "
            f"{start.pretrain_config} --dataset_dir {options[groups.Data].dataset_dir}, or start with --init random"
        )
    sizes: dict[str, Any] = {"width": planned.shape.width}
    if data.source.case_set.dims == 3:
        sizes["patch_size"] = list(planned.patch_size)
    if planned.plan is not None:
        plan = Path(f"{run.path}-plan.json")  # beside the run, which has not begun
        if run.main:
            with suppress(OSError):  # where no folder can be made, writing says so
                plan.parent.mkdir(parents=True, exist_ok=True)
            files.write_json(plan, planned.plan.as_dict())
        idist.barrier()  # all processes read it
        sizes["plan"] = str(plan)
    return pretrain_on_generated(options, run, sizes)
