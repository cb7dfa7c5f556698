"""Choose what to pretrain and what to transfer, to segment volumes and images from few labels.

The names below are the public ones; each is imported when it is first used, so that ``import segxfer3d`` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from segxfer3d.config.old_names import install as _install
from segxfer3d.version import __version__

# public name -> the module that has it
_PUBLIC = {
    "Case": "data.case",
    "CaseSet": "data.case",
    "CaseTable": "evaluation.tables",
    "InputError": "errors",
    "Model": "inference.model",
    "Prediction": "inference.predictions",
    "Recipe": "config.bundles",
    "Request": "data.layouts",
    "check": "data.check",
    "evaluate": "evaluation.evaluate",
    "export_model": "export",
    "find_cases": "data.layouts",
    "load_ensemble": "inference.ensemble",
    "load_model": "inference.model",
    "run_bundle": "run.bundle",
    "write_report": "report.page",
}
__all__ = ["Case", "CaseSet", "CaseTable", "InputError", "Model", "Prediction", "Recipe", "Request", "__version__",
           "check", "evaluate", "export_model", "find_cases", "load_ensemble", "load_model", "run_bundle",
           "write_report"]  # fmt: skip

if TYPE_CHECKING:
    from segxfer3d.config.bundles import Recipe
    from segxfer3d.data.case import Case, CaseSet
    from segxfer3d.data.check import check
    from segxfer3d.data.layouts import Request, find_cases
    from segxfer3d.errors import InputError
    from segxfer3d.evaluation.evaluate import evaluate
    from segxfer3d.evaluation.tables import CaseTable
    from segxfer3d.export import export_model
    from segxfer3d.inference.ensemble import load_ensemble
    from segxfer3d.inference.model import Model, load_model
    from segxfer3d.inference.predictions import Prediction
    from segxfer3d.report.page import write_report
    from segxfer3d.run.bundle import run_bundle

_install()


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
