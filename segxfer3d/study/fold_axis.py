"""Whether a study with folds, or with a single one, can be run as it says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segxfer3d.config.own_split import MOST_FOLDS
from segxfer3d.schema.kinds import whole_problem
from segxfer3d.study.definition import Study


def read_folds(problems: list[str], value: Any) -> int | None:
    """What a study file has as "folds"."""
    if value is None:
        return None
    if why := whole_problem(value, 2, MOST_FOLDS):
        problems.append(f"folds: {why}")
        return None
    return int(value)


def check_folds(problems: list[str], study: Study) -> None:
    """Add what is wrong: bundles without folds, folds said twice, or a number of folds without which is tested."""
    places: dict[str, Mapping[str, Any]] = {"common": study.common, "finetune.knobs": study.finetune.knobs}
    for name, (before, after) in study.data.items():
        places |= {f"data.{name}.pretrain": before, f"data.{name}.finetune": after}
    if study.folds is None:
        for where, knobs in places.items():
            if knobs.get("folds") is not None and knobs.get("fold") is None:
                problems.append(f'{where}.folds: without "fold"; "folds" of the study itself runs all of them')
        return
    if "fold" not in study.finetune.bundle.knobs:
        problems.append(f"folds: the bundle {study.finetune.bundle.name} has no knob fold")
    for where, knobs in places.items():
        problems += [
            f'{where}.{name}: beside "folds" of the study, which sets it' for name in ("fold", "folds") if name in knobs
        ]
        if knobs.get("test_fraction"):
            problems.append(f"{where}.test_fraction: beside folds; expected one of them, both say what is tested")
