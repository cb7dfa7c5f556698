"""Jobs without data: some are generated, and a short pretraining on them stands in for a missing checkpoint."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch

from segxfer3d.config import groups
from segxfer3d.config.options import Options
from segxfer3d.errors import InputError
from segxfer3d.run.bundle import run_bundle
from segxfer3d.run.folder import RunFolder

# what a short pretraining takes over from the fine-tuning that it is for
_SHARED = (
    "seed", "split_seed", "network", "norm", "width", "batch_statistics", "backbone", "device", "amp",
    "phantom_patients", "generated_images", "patch_size", "image_size", "progress", "num_workers",
)  # fmt: skip


def generated_data(run: RunFolder, write: Callable[[Path, int], Path], count: int) -> Path:
    """Have data generated beside the run; beside ``runs/<job>`` where the run has a number: all jobs share them.

    Args:
        run: whose data they are.
        write: writes ``count`` cases below a folder, or finds them there; gives their folder.
        count: of cases.

    Raises:
        InputError: they cannot be written there.
    """
    folder = run.path.absolute().parent
    if re.fullmatch(r"\d+(-pretraining)?", run.path.name):
        folder = folder.parent
    try:
        with idist.one_rank_first():
            return write(folder / "generated", count)
    except OSError as error:
        raise InputError(
            f"no --dataset_dir given, and data cannot be generated in {folder} ({error}); another --output_dir?"
        ) from error


def pretrain_on_generated(options: Options, run: RunFolder, sizes: Mapping[str, Any]) -> str:
    """Run the pretraining bundle on the same generated data, briefly; gives the path of its ``model.pt``.

    Args:
        options: of the fine-tuning, some of which are shared.
        run: the fine-tuning's.
        sizes: options of the pretraining that follow from what was planned.
    """
    values = options.values
    folder = Path(str(run.path) + "-pretraining")
    path = folder / "model.pt"
    if not (folder / "done.json").is_file():
        begun = (folder / "run.json").is_file()
        run.say(
            "going on with the pretraining that was stopped"
            if begun
            else "no --checkpoint given and the data are generated: pretraining briefly first"
        )
        shared = {name: values[name] for name in _SHARED if name in values} | dict(sizes)
        run_bundle(options[groups.Start].pretrain_config, output_dir=str(folder), resume=begun, **shared)
        torch.manual_seed(options[groups.Training].seed)
    idist.barrier()  # model.pt is written by the first process
    return str(path)
