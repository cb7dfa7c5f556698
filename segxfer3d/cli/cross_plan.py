"""What all folds of a cross-validation share: the names in their split file, and one plan, so that what they say can be
averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segxfer3d.config.values import is_expression

if TYPE_CHECKING:
    from segxfer3d.data.case import Case, CaseSet
    from segxfer3d.study.definition import Bundle

PLANNED_FROM = "all labeled cases, those that a fold tests too"  # as nnU-Net does it
_OF_IMAGES = ("target", "border", "image_kind", "exif")
_FIXED = ("spacing", "patch_size", "batch_size", "width", "window_low", "window_high")


def shared_plan(bundle: Bundle, knobs: Mapping[str, Any], folder: Path) -> dict[str, Any] | None:
    """The plan that all folds share, as plain values, made from all labeled cases as nnU-Net makes its own. Before the
    first fold starts all cases are read once, whether or not there is a plan.

    None where no plan is asked for, where one is given, where a checkpoint brings sizes, or where a number of
    labels is: a plan looks at the labels of all cases, more than these trainings may.

    Args:
        bundle: of the fine-tuning.
        knobs: that are set.
        folder: of the cross-validation; its plan is taken where it is there.

    Raises:
        InputError: data that cannot be read, all bad cases at once, or sizes that cannot be planned.
    """
    from segxfer3d.study.documents import read_object
    from segxfer3d.study.trials import CROSS_PLAN, TRIALS_FILE

    planned, path = _is_planned(bundle, knobs), folder / CROSS_PLAN
    if planned and path.is_file():
        return read_object(path, "plan")
    if not planned and ((folder / TRIALS_FILE).is_file() or any(map(is_expression, knobs.values()))):
        return None  # checked when it began, or nothing but a training knows the data; each fold checks anyway
    case_set, cases = _checked(bundle, knobs)
    if not planned:
        return None
    made = _made(knobs, case_set, cases)
    click.echo(f"{path}: one plan for all folds, from all {len(cases)} labeled cases")
    return made


def _is_planned(bundle: Bundle, knobs: Mapping[str, Any]) -> bool:
    """Whether all folds share a plan."""
    from segxfer3d.config.learning import PAPER

    few = knobs.get("label_count") is not None or knobs.get("label_fraction") is not None
    if "plan" not in bundle.knobs or knobs.get("plan", "data") != "data" or knobs.get("checkpoint") or few:
        return False
    return knobs.get("recipe") != PAPER or "plan" in knobs


def _checked(bundle: Bundle, knobs: Mapping[str, Any]) -> tuple[CaseSet, tuple[Case, ...]]:
    """The data set, and its labeled cases that can be used, each read once.

    Raises:
        InputError: none is labeled, or some cannot be used and are not to be skipped; all at once.
    """
    from segxfer3d.config.groups import SKIP_BAD_CASES
    from segxfer3d.data.check import check, refuse_without_target, refuse_wrong_modality
    from segxfer3d.data.layouts.label_files import require_labels
    from segxfer3d.data.plausible import refuse_masks
    from segxfer3d.errors import once_each, some

    dims = 3 if "spacing" in bundle.knobs else 2
    case_set = _cases(knobs, dims=dims)
    cases = require_labels(case_set, "folds are of image/label pairs") if dims == 3 else case_set.cases
    spacing: Any = knobs.get("spacing")
    report = check(
        case_set,
        cases,
        skip_bad=bool(knobs.get("skip_bad_cases", False)),
        skip_option=SKIP_BAD_CASES,
        progress=False,
        spacing=tuple(spacing) if isinstance(spacing, (list, tuple)) else None,
    )
    if dims == 3 and case_set.layout == "folder" and not knobs.get("image_pattern"):
        refuse_masks(case_set.root, report.good, report.kinds)
    refuse_without_target(case_set, report)
    if dims == 3 and knobs.get("intensity", "auto") == "auto" and not knobs.get("checkpoint"):
        refuse_wrong_modality(case_set, report)
    if report.bad:
        click.echo(f"left out of all folds: {some(once_each(report.bad), 10, '; ')}")
    return case_set, report.good


def checked_folds(bundle: Bundle, knobs: Mapping[str, Any], folds: int | None, *, usual: int) -> int:
    """How many folds the volumes have; a split file, or a number, is compared with them once instead of in every fold's
    training.

    Args:
        bundle: of the fine-tuning; of images each training compares.
        knobs: that are set.
        folds: that are asked for, or that a split file has.
        usual: where nobody says how many.

    Raises:
        InputError: names that do not fit, all at once; another number than the data set's own folds; a fold without
            patients; a validation part of the data set's own; or data that cannot be found.
    """
    if "spacing" not in bundle.knobs:
        return folds or usual
    from segxfer3d.config.own_split import OwnSplit
    from segxfer3d.data.folds import Draws, by_fold, fold_count
    from segxfer3d.data.named_parts import name_cases
    from segxfer3d.data.split_file import read_split_file
    from segxfer3d.jobs.own_split import SplitSaid

    case_set = _cases(knobs)
    if knobs.get("split_file"):
        name_cases(read_split_file(str(knobs["split_file"])), case_set.cases, labels=True)
        return folds or usual
    own = all(case.fold is not None for case in case_set.labeled or case_set.cases)
    number = fold_count(case_set.cases, folds if folds or own else usual)
    SplitSaid(OwnSplit(fold=0, folds=number), None, labels=True).look(case_set)
    asked = {name: value for name, value in knobs.items() if not isinstance(value, str)}  # no expression
    drawn = {name: asked[name] for name in ("validation_fraction", "split_seed") if name in asked}
    apart = asked.get("pretrain_fraction", 0.0)
    by_fold(case_set.cases, Draws(labels=False, **drawn), fold=0, folds=number, pretrain_fraction=apart)
    return number


def _cases(knobs: Mapping[str, Any], *, dims: int = 3) -> CaseSet:
    """The volumes or images that knobs mean."""
    from segxfer3d.config.groups import SKIP_BAD_CASES
    from segxfer3d.config.image_files import ImageFiles, Images
    from segxfer3d.config.volume_files import VolumeFiles
    from segxfer3d.data.layouts import Request, find_cases

    of_images = [field for group in (Images, ImageFiles) for field in fields(group) if field.name in _OF_IMAGES]
    meant = [*fields(VolumeFiles), *of_images]
    said = {field.name: knobs[field.name] for field in meant if field.name in knobs}
    texts = {name: knobs.get(name, "") for name in ("patient_pattern", "label_map")}
    request = Request(
        layout=knobs.get("dataset", ""),
        dims=dims,
        skip_bad=bool(knobs.get("skip_bad_cases", False)),
        skip_option=SKIP_BAD_CASES,
        progress=False,
        **texts,
        **said,
    )
    return find_cases(knobs["dataset_dir"], request)


def _made(knobs: Mapping[str, Any], case_set: CaseSet, cases: Sequence[Case]) -> dict[str, Any]:
    """The plan as plain values."""
    import torch

    from segxfer3d.config.recipes import default
    from segxfer3d.run.devices import find_device, has_fast_bf16
    from segxfer3d.training.capacity import plan_for

    device = knobs.get("device") or ("cuda" if torch.cuda.is_available() else "cpu")
    fixed = {name: knobs[name] for name in _FIXED if knobs.get(name) is not None}
    if knobs.get("intensity", "auto") != "auto":
        fixed["intensity"] = knobs["intensity"]
    network = knobs.get("network") or default("network", str(knobs.get("recipe", "strong")), dims=3, data="given")
    plan, _ = plan_for(
        find_device(device),
        cases,
        case_set,
        network=network,
        amp=bool(knobs.get("amp", has_fast_bf16(device))),
        minutes=knobs.get("minutes"),
        fixed={name: tuple(value) if isinstance(value, list) else value for name, value in fixed.items()},
    )
    return plan.as_dict()
