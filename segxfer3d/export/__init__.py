"""Trained models for programs that do not have this package: ONNX, OpenVINO, TorchScript, MONAI bundles.

Example:
    >>> export_model("runs/finetune/model.pt", "onnx", "exported")  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path

from segxfer3d import files
from segxfer3d.errors import InputError
from segxfer3d.export.compare import by_forward, case_file, refuse_difference
from segxfer3d.export.description import describe
from segxfer3d.export.target import SCRATCH, Compared, Target, Work
from segxfer3d.inference.engines import BATCH_STATISTICS
from segxfer3d.inference.engines.graphs import takes_batch_statistics
from segxfer3d.inference.model import load_model
from segxfer3d.temporary import temporary_folder

__all__ = ["export_model", "targets"]

Say = Callable[[str], None]


def targets() -> dict[str, Target]:
    """By name; importing their files imports none of their extras."""
    modules = (importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    return {module.TARGET.name: module.TARGET for module in modules if hasattr(module, "TARGET")}


def export_model(
    path: str | Path,
    to: str,
    folder: str | Path,
    *,
    case: str | Path | None = None,
    external_data: bool = False,
    license: str | Path | None = None,
    authors: str = "",
    progress: bool = False,
    say: Say = lambda text: None,
) -> Compared:
    """Export a fine-tuned model, once it has been compared with torch on a case.

    Args:
        path: ``model.pt`` of a run.
        to: ``onnx``, ``openvino``, ``torchscript`` or ``bundle``.
        folder: new or empty; it is there with all files, or not at all.
        case: file that both predict; None for a phantom.
        external_data: of ONNX: weights in a file beside the graph.
        license: file that becomes ``LICENSE`` of a bundle.
        authors: of a bundle.
        progress: show bars of windows, with the time left.
        say: is told what is being done.

    Returns:
        how the masks of the case differ.

    Raises:
        InputError: no such target or model, a pretrained one, several, a network with batch statistics, a folder that
            is not empty, an extra that is missing, a case that cannot be read; or masks that differ by more than
            rounding. Nothing is written then.
    """
    path, folder = Path(path), Path(folder)
    case = None if case is None else Path(case)
    target = _target(to, folder, external_data=external_data, license=license, authors=authors)
    if path.is_dir():
        raise InputError(f"{path}: a folder; expected the model.pt of one run, several models are not exported as one")
    model = load_model(path, amp=False, progress=progress)
    if takes_batch_statistics(model.network):
        raise InputError(f"{path}: cannot be exported: {BATCH_STATISTICS}")
    if case is not None and not case.exists():
        raise InputError(f"--case {case}: no such file")
    license = None if license is None else Path(license)
    if license is not None and not license.is_file():
        raise InputError(f"--license {license}: no such file")
    work = Work(
        model,
        describe(model),
        folder.absolute().name,
        external_data=external_data,
        license=license,
        authors=authors,
        progress=progress,
    )
    target.refuse(work, case)
    return _written(work, target, folder, case=case, say=say)


def _target(to: str, folder: Path, *, external_data: bool, license: str | Path | None, authors: str) -> Target:
    known = targets()
    if to not in known:
        raise InputError(f"--to {to!r}: expected one of {', '.join(known)}")
    if external_data and to != "onnx":
        raise InputError(f"--external-data: of --to onnx, not of {to}")
    if (license is not None or authors) and to != "bundle":
        raise InputError(f"{'--authors' if license is None else '--license'}: of --to bundle, not of {to}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists and is not an empty folder; expected a new one")
    known[to].refuse_absent()
    return known[to]


def _written(work: Work, target: Target, folder: Path, *, case: Path | None, say: Say) -> Compared:
    """Write beside the folder, compare, and let it take its place."""
    with (
        case_file(work, case) as (file, words),
        files.new_folder(folder) as place,
        temporary_folder(SCRATCH) as scratch,
    ):
        say(f"writing {target.title} of {work.model.path}")
        target.write(work, place)
        say(f"comparing with torch on {words}")
        if target.compare:
            compared = target.compare(work, place, file, scratch)
        else:
            compared = by_forward(work, target, place, file)
        refuse_difference(compared, f"--to {target.name}")
        # a file's path may say whose it is
        target.finish(work, place, f"Compared with torch on {words if case is None else 'a case'}: {compared}")
    return compared
