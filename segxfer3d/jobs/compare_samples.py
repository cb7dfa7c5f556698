"""What networks that are compared see: the same patches of volumes, or whole images."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from segxfer3d.data.case import CaseSet
from segxfer3d.data.check import check
from segxfer3d.data.preprocessing.images import ImagePreprocessing
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError
from segxfer3d.interpret.cka import SMALLEST_BATCH
from segxfer3d.interpret.patches import choose_cases, volume_patches
from segxfer3d.pretexts.base import unit_images

SKIP_OPTION = "--skip-bad-cases"  # as segxfer3d compare spells it, in messages


def patches_of(
    prepare: VolumePreprocessing, case_set: CaseSet, size: tuple[int, int, int], count: int, seed: int, skip_bad: bool
) -> tuple[Tensor, list[str]]:
    """The patches of volumes that all networks see, and the names of the cases that they come from."""
    unlabeled = [replace(case, label=None) for case in case_set.cases]
    good = check(case_set, choose_cases(unlabeled, count, seed), skip_bad=skip_bad, skip_option=SKIP_OPTION).good
    return volume_patches(good, prepare, size, count, seed), [case.name for case in good]


def images_of(
    prepare: ImagePreprocessing, case_set: CaseSet, count: int, seed: int, skip_bad: bool
) -> tuple[Tensor, list[str]]:
    """At most so many whole images, in random order, and their names."""
    if case_set.channels != prepare.channels:
        raise InputError(f"dataset_dir: images of {case_set.channels} channels, the models take {prepare.channels}")
    order = torch.randperm(len(case_set.cases), generator=torch.Generator().manual_seed(seed))
    chosen = [case_set.cases[i] for i in order[:count]]
    good = check(case_set, chosen, skip_bad=skip_bad, skip_option=SKIP_OPTION).good
    if len(good) < SMALLEST_BATCH:
        raise InputError(f"dataset_dir: {len(good)} images, expected at least {SMALLEST_BATCH}")
    items = prepare.hold(good, case_set, labels=False, progress=True)
    return torch.stack([unit_images(items[i]) for i in range(len(items))]), [case.name for case in good]
