"""Whether a folder can be a run's: a new one's, or that of the run that is meant."""

from __future__ import annotations

import os
from pathlib import Path

from segxfer3d import documents, files
from segxfer3d.config import earlier
from segxfer3d.config.options import Options, differences
from segxfer3d.errors import InputError, some
from segxfer3d.run.devices import Place

_TRAINED = ("done.json", "metrics.jsonl", "checkpoints/*")  # what is there of a run that began to train


def refuse_folder(folder: Path, options: Options, place: Place, *, resume: bool, can_resume: bool) -> None:
    """Refuse a folder that cannot be written, or holds another run than is meant.

    Args:
        folder: of the run.
        options: of its job.
        place: where it runs.
        resume: it goes on.
        can_resume: it could.

    Raises:
        InputError: it cannot be used; nothing is touched.
    """
    try:
        described = (folder / "run.json").is_file()
        if resume and not described:
            raise InputError(f"resume: {folder} holds no run to go on with{_left(folder)}")
        if not resume and (folder / "run.json").exists():
            hint = "--resume True goes on with it, " if can_resume else ""
            raise InputError(f"output_dir: {folder} holds a run already; {hint}another --output_dir starts a new one")
        if can_resume and not described and (left := _left(folder)):
            raise InputError(f"output_dir: {folder} holds what a run left{left}; give another --output_dir")
        nearest = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    except OSError as error:
        raise InputError(f"output_dir: {folder} cannot be used ({error.strerror})") from error
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"output_dir: {folder} cannot be written ({nearest} is no writable folder)")
    if resume:
        _refuse_run(folder, options, place)


def _left(folder: Path) -> str:
    """What is there of a run whose ``run.json`` is gone, in words."""
    found = [path for pattern in _TRAINED for path in sorted(folder.glob(pattern)) if not path.name.startswith(".")]
    return f": {found[0].relative_to(folder)}, but its run.json is gone" if found else ""


def _refuse_run(folder: Path, options: Options, place: Place) -> None:
    """Refuse to go on with a run that is another one than this command means, or that still runs."""
    before = documents.own(folder / "run.json", before="resume: ")
    job, knobs, count = before.get("job"), before["knobs"], before.get("processes", 1)
    if job != options.job:
        raise InputError(f"resume: {folder} holds a run of {job}, not of {options.job}")
    changed = differences(earlier.as_today(knobs), options)
    if count != place.world_size:
        changed.append(f"{count} processes, not {place.world_size}")
    if changed:
        raise InputError(
            f"resume: {folder} was started with {some(changed, 12)}. Repeat its command (it is in run.json) with "
            "--resume True, or start a new run"
        )
    log = folder / "log.txt"
    if place.main and log.exists():
        with log.open("a") as file:
            files.lock(file, folder)
