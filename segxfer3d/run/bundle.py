"""Running a bundle from Python: the same as ``python -m monai.bundle run``, in this process."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow

from segxfer3d.config import command_line as guard
from segxfer3d.errors import InputError
from segxfer3d.run.folder import open_sessions

_folders: list[Path] = []  # of the bundles that run now, the innermost last


def find_config(name: str) -> Path:
    """A bundle by its path, or by its file name beside a bundle that runs already.

    Raises:
        InputError: there is no such file.
    """
    beside = [*reversed(_folders), *(Path(file).parent for file in guard.config_files(sys.argv))]
    for candidate in (Path(name), *(folder / Path(name).name for folder in beside)):
        if candidate.is_file():
            return candidate
    raise InputError(f"bundle {name}: no such file (run from the folder that holds bundles/, or give its path)")


def run_bundle(
    config_file: str | Path | Sequence[str], tracking: str | None = None, **overrides: Any
) -> ConfigWorkflow:
    """Initialize, run and finalize a bundle; gives the workflow, whose parts can be looked at.

    Args:
        config_file: a bundle, or several, of which the later ones win.
        tracking: ``mlflow``, or the path of MONAI's tracking settings.
        overrides: knobs, or any other key of the bundle.

    Raises:
        InputError: an override that the bundle does not know, or whatever its input lacks.
    """
    files = [
        str(find_config(str(name))) for name in ([config_file] if isinstance(config_file, (str, Path)) else config_file)
    ]
    config = guard.merged_config(files)
    for name in overrides:
        guard.check_key(name, config)
    outer = open_sessions()
    _folders.append(Path(files[0]).parent)
    try:
        workflow = ConfigWorkflow(
            config_file=files, workflow_type=None, logging_file=False, tracking=tracking, **overrides
        )
        workflow.initialize()
        workflow.run()
        workflow.finalize()
    except Exception as error:
        cause = guard.root_cause(error)
        if isinstance(cause, InputError) and cause is not error:
            raise cause from error
        raise
    finally:
        _folders.pop()
        for session in open_sessions():
            if session not in outer:
                session.close()  # it failed; its log and its lock must not outlive it
    return workflow
