"""The plan of a study: a file that all of its trainings take their sizes from, pretrainings too.

``"plan"`` among the knobs of a study may name a file of ``segxfer3d plan --json``, as seen from the study file. Then
every arm has the same network on the same patches: the file's content counts, wherever it lies.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segxfer3d import documents
from segxfer3d.config.values import is_expression
from segxfer3d.errors import InputError
from segxfer3d.files import digest
from segxfer3d.schema.kinds import OBJECT, PATH, fits

PLAN = "plan"
EXPECTED = "data, none, or a file of segxfer3d plan --json, as seen from the study file"
RULES = ("data", "none")
# knobs that fine-tunings and the pretraining that they start from share under a plan, where either says them
SHARED = (PLAN, "network", "width", "norm", "spacing", "intensity", "window_low", "window_high")
UNIT_INTENSITIES = ("window", "percentile")  # in [0, 1], which pretraining needs
_COMPUTED = ("spacing", "patch_size", "batch_size", "strides", "kernels", "features", "intensity")
_WORDS = ("reasons", "memory", "steps")  # say why, and nothing is computed from them


def names_file(value: Any) -> bool:
    """Whether the value of the knob ``plan`` is the name of a file."""
    return isinstance(value, str) and fits(PATH, value) and value not in ("", *RULES) and not is_expression(value)


def find(value: str, beside: Path) -> Path:
    """The file that is meant: seen from a study file, or else from the working directory.

    Args:
        value: as written.
        beside: the folder of the study file.
    """
    path = Path(value).expanduser()
    return (path if path.is_file() and not (beside / path).is_file() else beside / path).resolve()


def problem(path: Path) -> str:
    """Why a file is no plan that a study can have; empty where it is one."""
    try:
        content = _content(path)
    except InputError as error:
        return str(error)
    missing = [name for name in _COMPUTED if name not in content]
    return f"{path.name} is no plan ({missing[0]} is missing); expected {EXPECTED}" if missing else ""


def identity(path: Path) -> str:
    """A fingerprint of what is computed from a plan, the same wherever it lies.

    Raises:
        InputError: it cannot be read.
    """
    return digest({name: value for name, value in _content(path).items() if name not in _WORDS})


def unlike(finetune: Mapping[str, Any], pretrain: Mapping[str, Any] | None) -> str:
    """What keeps fine-tunings under a plan of a file from being alike, in words; empty where nothing does.

    Args:
        finetune: knobs of an arm, all of them.
        pretrain: those of the pretraining that it starts from, if any.
    """
    if finetune.get("network") is None:
        return "expected network among the knobs of common"
    rules = finetune.get("intensity")
    if not {*(rules if isinstance(rules, (list, tuple)) else [rules])} <= {*UNIT_INTENSITIES}:
        return (
            f"expected intensity {' or '.join(UNIT_INTENSITIES)} among the knobs of common: pretraining has no other, "
            "and the arms that start from it keep it"
        )
    for name in SHARED if pretrain is not None else ():
        ours, its = finetune.get(name), (pretrain or {}).get(name)
        if ours != its:
            return f"{name} {_shown(ours)}, but {_shown(its)} in pretraining; expected the same, among common"
    return ""


def _content(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = documents.read(path, OBJECT, after=f"; expected {EXPECTED}")
    return content


def _shown(value: Any) -> str:
    return "none" if value is None else Path(value).name if names_file(value) else str(value)
