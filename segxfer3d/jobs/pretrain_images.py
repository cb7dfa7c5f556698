"""Images to pretrain on, and what a pretext is watched with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import ConcatDataset, Dataset

from segxfer3d.config import groups
from segxfer3d.config.image_files import ImageFiles
from segxfer3d.config.options import Options
from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.dataset import SeededDataset
from segxfer3d.data.layouts import Request, find_cases
from segxfer3d.data.preprocessing import Item, Preprocessing
from segxfer3d.data.preprocessing.held_images import HeldImages, KeptImages
from segxfer3d.data.split import Split
from segxfer3d.data.split_draws import hold_out
from segxfer3d.errors import InputError
from segxfer3d.files import digest, names_hash
from segxfer3d.jobs.made_from import cases_of, data_of
from segxfer3d.jobs.source import Source, find_checked, official_parts_of
from segxfer3d.jobs.vanished import say_vanished
from segxfer3d.run.folder import RunFolder

PROBED = 500  # images at most of each side of a probe
VALIDATED = 512  # images at most whose pretext loss is computed
_VALIDATED = 6  # of random numbers

Transform = Callable[[Any], Any]


@dataclass(frozen=True)
class PretrainingData:
    """What a pretext trains on.

    Attributes:
        train: random items, as many an epoch as the options say.
        validation: of cases that do not train, the same in every epoch; None where none were held out.
        preprocessing: of every case.
        provenance: which cases train.
        channels: of an image.
        classes: how many there are to tell apart.
        masks: channels of a label, one for each class that is segmented.
        probe: images with classes to probe embeddings with, (to fit on, to test on); None where there are no classes.
    """

    train: SeededDataset
    validation: Dataset[Any] | None
    preprocessing: Preprocessing
    provenance: dict[str, Any]
    channels: int = 1
    classes: int = 0
    masks: int = 1
    probe: tuple[Sequence[Item], Sequence[Item]] | None = None

    @property
    def pictures(self) -> Sequence[Item]:
        """Items to draw pictures of."""
        items: Sequence[Item] = self.train.data
        return items


def refuse_extra(options: Options, task: str) -> None:
    """Refuse more images of another data set where a pretext needs one data set, or the folder is missing."""
    extra = options[groups.ExtraImages]
    if extra.extra_dataset and not extra.extra_dataset_dir:
        raise InputError(f"extra_dataset_dir: where is the data set {extra.extra_dataset}? Expected its folder")
    if extra.extra_dataset_dir and task != "images":
        raise InputError(f"extra_dataset_dir: expected none, this pretext needs {task} data of one data set")


def held_images(
    options: Options,
    run: RunFolder,
    source: Source,
    task: str,
    transform: Transform | None,
    length: int,
    kept: KeptImages,
) -> PretrainingData:
    """Images for views, or of one size with their masks, with more of another data set where there are."""
    case_set, cases = source.case_set, source.split.pretrain
    labels = task == "segmentation"
    _say_benchmark(run, source, "--official_split True leaves them out")

    def hold(chosen: Sequence[Case], of: CaseSet, what: KeptImages, labels: bool = labels) -> HeldImages:
        progress = options[groups.Run].progress and run.main
        return HeldImages(of, kept.size, cases=chosen, labels=labels, progress=progress, kept=what)

    held = [hold(cases, case_set, kept)]
    provenance = source.provenance(cases)
    extra, extra_kept = _extra(options, run, source, kept)
    if extra is not None:
        _say_benchmark(run, extra, "all of extra_dataset_dir pretrain: leave their files out of it")
        provenance["extra"] = extra.provenance(extra.split.pretrain)
        held.append(hold(extra.split.pretrain, extra.case_set, extra_kept, False))
    if kept.size is None:
        _say_held(run, held)
    items: Any = held[0] if extra is None else ConcatDataset(held)
    validation = None
    if source.split.validation:
        validation = hold(_validated(options, run, source.split.validation), case_set, kept)
    say_vanished(run, (held[0], validation))
    return PretrainingData(
        train=SeededDataset(items, transform, options[groups.Training].seed, length),
        validation=validation,
        preprocessing=source.preprocessing,
        provenance=provenance,
        channels=case_set.channels,
        classes=len(case_set.categories),
        masks=len(case_set.classes),
        probe=_probe(options, run, source),
    )


def _validated(options: Options, run: RunFolder, cases: Sequence[Case]) -> Sequence[Case]:
    """The images whose loss is computed, sorted as they were: all, or as many as there may be, drawn by ``split_seed``.

    A run of an earlier version goes on with those that it began with, the first by name.
    """
    if len(cases) <= VALIDATED:
        return cases
    if run.resume and not run.made_from.knew("validated"):
        return cases[:VALIDATED]
    order = np.random.default_rng([options[groups.Data].split_seed, _VALIDATED]).permutation(len(cases))
    chosen = [cases[number] for number in sorted(order[:VALIDATED])]
    run.say(f"the loss of {len(chosen)} of {len(cases)} images that validate is computed, drawn by split_seed")
    run.made_from.take(validated=names_hash(case.name for case in chosen))
    return chosen


def _say_benchmark(run: RunFolder, source: Source, way: str) -> None:
    """Say that a pretext is given the part of a data set that others measure on, and the way out."""
    cases = source.split.pretrain
    if count := official_parts_of(cases).get("val", 0):
        run.say(
            f"note: {count} of {len(cases)} images are of the official validation part of {source.name}, which is what "
            f"benchmarks measure; {way}"
        )


def _say_held(run: RunFolder, held: Sequence[HeldImages]) -> None:
    """Say where images of their own sizes are."""
    there, on_demand = sum(len(images) for images in held), sum(images.on_demand for images in held)
    taken = sum(images.bytes for images in held) / 2**20
    run.say(f"{there - on_demand} images are held in memory at their own sizes ({taken:.0f} MiB)")
    if on_demand:
        run.say(
            f"{on_demand} images do not fit in memory: decoded on demand; --num_workers decodes beside the training"
        )


def _extra(options: Options, run: RunFolder, source: Source, kept: KeptImages) -> tuple[Source | None, KeptImages]:
    """More images to pretrain on, all of another data set that can be used, and what the check kept of them."""
    extra = options[groups.ExtraImages]
    beside = KeptImages(kept.size, limit=kept.room)
    if not extra.extra_dataset_dir:
        return None, beside
    case_set, report = find_checked(
        options, run, Path(extra.extra_dataset_dir), dims=2, layout=extra.extra_dataset, task="images",
        record="extra_check", keep=beside,
    )  # fmt: skip
    if case_set.channels != source.case_set.channels:
        raise InputError(
            f"extra_dataset_dir {case_set.root}: {case_set.channels} channels, {source.case_set.root} "
            f"{source.case_set.channels}"
        )
    run.made_from.take(extra_data=data_of(case_set) | {"cases": digest(cases_of(case_set, report))})
    return Source(case_set, report, Split(report.good, (), (), (), ()), source.preprocessing, False), beside


def _probe(options: Options, run: RunFolder, source: Source) -> tuple[Sequence[Item], Sequence[Item]] | None:
    """Two samples of the pretraining images with their classes, no patient in both; nothing where a data set has no
    classes.

    Images are read as they pretrain; a run of an earlier version, which listed them anew, goes on as it began.
    """
    if not options[groups.Monitor].probe:
        return None
    earlier = run.resume and not run.made_from.knew("probed")
    listed = source.case_set if source.case_set.has_categories else _with_classes(options, source.case_set, earlier)
    if listed is None:
        return None
    known = {case.name: case for case in source.split.pretrain}
    cases = [case for case in listed.cases if case.name in known]
    if not earlier:
        cases = [replace(known[case.name], category=case.category) for case in cases]
        listed = source.case_set
    if len(cases) < 20 or len({case.category for case in cases}) < 2 or len({case.patient for case in cases}) < 2:
        return None
    if not earlier:
        run.made_from.take(probed="as they pretrain")
    seed = options[groups.Data].split_seed
    order = torch.Generator().manual_seed(seed)
    sides = []
    for side in hold_out(cases, 0.3, seed=seed):
        chosen = torch.randperm(len(side), generator=order)[:PROBED].tolist()
        sample = [side[index] for index in sorted(chosen)]
        sides.append(source.preprocessing.hold(sample, listed, labels=False, progress=False))
    return sides[0], sides[1]


def _with_classes(options: Options, case_set: CaseSet, earlier: bool) -> CaseSet | None:
    """The images once more, with the classes that whole images have; None where they have none."""
    request = Request(
        layout=case_set.layout, dims=2, task="classification", target=options[groups.Images].target,
        image_kind=options[ImageFiles].image_kind, progress=False,
        skip_bad=options[groups.Data].skip_bad_cases and not earlier, left_out={},
    )  # fmt: skip
    try:
        return find_cases(case_set.root, request)
    except InputError:
        return None
