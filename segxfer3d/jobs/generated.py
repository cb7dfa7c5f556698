"""Jobs without data: some are generated, and a short pretraining on them stands in for a missing checkpoint."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import ignite.distributed as idist
import torch

from segxfer3d.errors import InputError
from segxfer3d.run.folder import Session


def generated_data(session: Session, write: Callable[[Path, int], Path], count: int) -> Path:
    """Have data generated beside the run; beside ``runs/<job>`` where the run has a number: all jobs share them.

    Args:
        session: the run.
        write: writes ``count`` cases below a folder, or finds them there; gives their folder.
        count: of cases.

    Raises:
        InputError: they cannot be written there.
    """
    folder = session.folder.absolute().parent
    if re.fullmatch(r"\d+(-pretraining)?", session.folder.name):
        folder = folder.parent
    try:
        with idist.one_rank_first():
            return write(folder / "generated", count)
    except OSError as error:
        raise InputError(
            f"no --dataset_dir given, and data cannot be generated in {folder} ({error}); another --output_dir?"
        ) from error


def pretrain_on_generated(session: Session) -> str:
    """Run the pretraining bundle on the same generated data, briefly; gives the path of its ``model.pt``."""
    from segxfer3d.run.bundle import run_bundle  # the bundle runner builds sessions of its own

    knobs = session.knobs
    folder = Path(str(session.folder) + "-pretraining")
    path = folder / "model.pt"
    if not (folder / "done.json").is_file():
        begun = (folder / "run.json").is_file()
        session.say(
            "going on with the pretraining that was stopped"
            if begun
            else "no --checkpoint given and the data are generated: pretraining briefly first"
        )
        shared = (
            "seed", "split_seed", "width", "backbone", "device", "amp", "phantom_patients", "generated_images",
            "patch_size", "image_size", "progress", "num_workers",
        )  # fmt: skip
        values = {name: knobs[name] for name in shared if name in knobs}
        run_bundle(knobs.pretrain_config, output_dir=str(folder), resume=begun, **values)
        torch.manual_seed(knobs.seed)
    idist.barrier()  # model.pt is written by the first process
    return str(path)
