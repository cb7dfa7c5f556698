"""Running a bundle from Python: the same as ``python -m monai.bundle run``, in this process."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow

from segxfer3d.config import command_line, short_errors
from segxfer3d.config.options import load_table
from segxfer3d.config.shipped import find_bundle
from segxfer3d.config.written import as_meant, written_texts
from segxfer3d.errors import InputError
from segxfer3d.run.folder import open_runs

_folders: list[Path] = []  # of the bundles that run now, the innermost last


def run_bundle(
    config_file: str | Path | Sequence[str | Path], tracking: str | None = None, **overrides: Any
) -> ConfigWorkflow:
    """Initialize, run and finalize a bundle; gives the workflow, whose parts can be looked at.

    Args:
        config_file: a bundle, or several, of which the later ones win: a path, or a name that is looked for beside a
            bundle that runs already and among those that come with the package.
        tracking: ``mlflow``, or the path of MONAI's tracking settings.
        overrides: options, or any other key of the bundle.

    Raises:
        InputError: an override that the bundle does not know, or whatever its input lacks.
    """
    beside = [*reversed(_folders), *(Path(file).parent for file in command_line.config_files(sys.argv))]
    names = [config_file] if isinstance(config_file, (str, Path)) else config_file
    files = [str(find_bundle(str(name), beside=tuple(beside))) for name in names]
    config = command_line.merged_config(files)
    for name, value in overrides.items():
        command_line.check_key(name, config)
        command_line.check_value(name, value)
    written, table = written_texts(files), load_table()
    meant = {name: as_meant(table[name], config[name], {}, written) for name in written if name in table}
    outer = open_runs()
    _folders.append(Path(files[0]).parent)
    try:
        workflow = ConfigWorkflow(
            config_file=files, workflow_type=None, logging_file=False, tracking=tracking, **(meant | overrides)
        )
        workflow.initialize()
        workflow.run()
        workflow.finalize()
    except Exception as error:
        cause = short_errors.root_cause(error)
        if isinstance(cause, InputError) and cause is not error:
            raise InputError(str(cause)) from error  # a new one: that one is in the chain already
        raise
    finally:
        _folders.pop()
        for run in open_runs():
            if run not in outer:
                run.close()  # it failed; its log and its lock must not outlive it
    return workflow
