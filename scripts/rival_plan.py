"""The data and the plan of nnU-Net: its raw folder, its preprocessing, its plan, and that plan for another patch."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segxfer3d import files
from segxfer3d.data.case import Case, CaseSet
from segxfer3d.errors import InputError

NUMBER = 1
NAME = f"Dataset{NUMBER:03}_labeled"
CONFIGURATION = "3d_fullres"
MOST_FEATURES = 320  # nnU-Net's limit in 3D
SMALLEST_MAP = 4  # voxels of a side that nnU-Net leaves at the bottom


def prepare(folder: Path, cases: Sequence[Case], case_set: CaseSet) -> None:
    """Write the labeled cases as nnU-Net takes them, and let it plan and preprocess them; once a folder.

    Nothing of any other case is seen. Sets the environment that nnU-Net reads its folders from.

    Args:
        folder: to write; what an earlier call left of the same cases is used again.
        cases: labeled.
        case_set: says modality and classes.

    Raises:
        InputError: the folder holds other cases.
    """
    places = {key: folder / key for key in ("raw", "preprocessed", "results")}
    os.environ |= {f"nnUNet_{key}": str(path) for key, path in places.items()}
    names = [case.name for case in cases]
    done = folder / "prepared.json"
    if done.is_file():
        if json.loads(done.read_text(encoding="utf-8")) != names:
            raise InputError(f"{folder}: holds other labeled cases; expected an empty folder")
        return
    raw = places["raw"] / NAME
    for case in cases:
        _link(case.image, raw / "imagesTr" / f"{case.name}_0000.nii.gz")
        _link(Path(str(case.label)), raw / "labelsTr" / f"{case.name}.nii.gz")
    content = {
        "channel_names": {"0": "CT" if case_set.modality == "CT" else "MR"},
        "labels": {"background": 0, **{name: value for value, name in case_set.classes.items()}},
        "numTraining": len(names),
        "file_ending": ".nii.gz",
    }
    files.write_json(raw / "dataset.json", content)

    from nnunetv2.experiment_planning import plan_and_preprocess_api as steps

    os.environ |= {"nnUNet_n_proc_DA": "1"}  # the planner takes the number for its threads and cannot do with 0
    steps.extract_fingerprints([NUMBER], num_processes=1, show_progress_bar=False)
    steps.plan_experiments([NUMBER])
    steps.preprocess([NUMBER], configurations=(CONFIGURATION,), num_processes=(1,), show_progress_bar=False)
    files.write_json(done, names)


def read_plan(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """nnU-Net's plans and its ``dataset.json``, of a prepared folder."""
    place = folder / "preprocessed" / NAME
    plans, dataset = (json.loads((place / name).read_text()) for name in ("nnUNetPlans.json", "dataset.json"))
    return plans, dataset


def change_plan(plans: dict[str, Any], *, patch: Sequence[int] | None, batch: int | None, features: int | None) -> None:
    """Set the planned patch, batch or width; strides and kernels of another patch are what nnU-Net derives for it.

    Args:
        plans: changed in place.
        patch: voxels along the axes of our arrays, which nnU-Net has in reverse, transposed as it plans; None: planned.
        batch: patches in a step; None: planned.
        features: channels of the first stage, doubled at each further one; None: planned.

    Raises:
        InputError: a patch that nnU-Net would pad.
    """
    plan = plans["configurations"][CONFIGURATION]
    network = plan["architecture"]["arch_kwargs"]
    if patch is not None:
        from nnunetv2.experiment_planning.experiment_planners.network_topology import get_pool_and_conv_props

        size = [list(patch)[::-1][axis] for axis in plans["transpose_forward"]]
        _, strides, kernels, padded, _ = get_pool_and_conv_props(plan["spacing"], size, SMALLEST_MAP, 999999)
        if list(padded) != size:
            raise InputError(f"patch {list(patch)}: nnU-Net's strides do not divide it; next, z first: {list(padded)}")
        plan["patch_size"] = size
        network |= {
            "n_stages": len(strides),
            "strides": [list(stride) for stride in strides],
            "kernel_sizes": [list(kernel) for kernel in kernels],
            "n_conv_per_stage": [2] * len(strides),
            "n_conv_per_stage_decoder": [2] * (len(strides) - 1),
        }
    if patch is not None or features is not None:
        first = features or network["features_per_stage"][0]
        network["features_per_stage"] = [min(MOST_FEATURES, first * 2**k) for k in range(network["n_stages"])]
    if batch is not None:
        plan["batch_size"] = batch


def _link(source: Path, target: Path) -> None:
    files.make_folder(target.parent)
    if not target.exists():
        target.symlink_to(source.absolute())
