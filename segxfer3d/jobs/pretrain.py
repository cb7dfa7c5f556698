"""Data to pretrain on: random cubes of volumes, or images, and what a pretext is watched with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.transforms import Compose
from torch.utils.data import ConcatDataset, Dataset, Subset

from segxfer3d.augment.cubes import CropRule, RandCubed
from segxfer3d.config import groups
from segxfer3d.config.options import Options, infos
from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.cubes.store import CubeStore, is_cube_store
from segxfer3d.data.dataset import SeededDataset
from segxfer3d.data.layouts import Request, find_cases
from segxfer3d.data.preprocessing import Item, Preprocessing
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.data.split_draws import hold_out
from segxfer3d.errors import InputError
from segxfer3d.jobs.pretraining_sizes import PretrainingSizes
from segxfer3d.jobs.source import Source, SplitRule, find_checked, find_source, say_padding
from segxfer3d.run.devices import Place
from segxfer3d.run.folder import RunFolder

PROBED = 500  # images at most of each side of a probe
VALIDATED = 512  # images at most whose pretext loss is computed

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
        probe: images with classes to probe embeddings with, (to fit on, to test on); None where there are no classes.
    """

    train: SeededDataset
    validation: Dataset[Any] | None
    preprocessing: Preprocessing
    provenance: dict[str, Any]
    channels: int = 1
    classes: int = 0
    probe: tuple[Sequence[Item], Sequence[Item]] | None = None

    @property
    def pictures(self) -> Sequence[Item]:
        """Items to draw pictures of."""
        items: Sequence[Item] = self.train.data
        return items


def pretraining_data(
    options: Options,
    run: RunFolder,
    place: Place,
    *,
    dims: int,
    split_rule: SplitRule,
    task: str = "images",
    size: tuple[int, int, int] = (0, 0, 0),
    transform: Transform | None = None,
    planned: PretrainingSizes | None = None,
) -> PretrainingData:
    """Data for a pretext: of the share that ``pretrain_fraction`` sets apart, or of the training part (0).

    What fine-tuning with the same split options tests on never trains; validation items are the same in every epoch.

    Args:
        options: of the job.
        run: told what was found.
        place: where it runs; each of its processes takes its share of an epoch.
        dims: 3 for volumes, 2 for images.
        split_rule: who is in which part.
        task: ``images``, ``classification`` or ``segmentation``: what the pretext needs beside images.
        size: of the cubes that are cut from volumes, in voxels.
        transform: what is done to every item before it is batched, such as the corruption of cubes; a MONAI transform
            draws anew for each item.
        planned: sizes whose plan says how volumes are preprocessed.

    Raises:
        InputError: anything wrong with the data or what the options ask of them.
    """
    training = options[groups.Training]
    if training.batch_size is None or training.lr is None:
        name = "lr" if training.lr is None else "batch_size"
        raise InputError(f"{name}: expected a number; only fine-tuning finds one where it is none")
    length = training.steps_per_epoch * training.batch_size * place.world_size
    folder = options[groups.Data].dataset_dir
    if dims == 3 and folder and is_cube_store(folder):
        return _stored_cubes(options, Path(folder), size, transform, length)
    if dims == 2:
        refuse_sizes(options)
        _refuse_extra(options, task)
    source = find_source(options, run, dims=dims, task=task, split_rule=split_rule, labels=False)
    if planned is not None:
        source = planned.source(source, run)
    if dims == 3:
        return _cubes(options, run, source, size, transform, length)
    return _images(options, run, source, task, transform, length)


def refuse_sizes(options: Options) -> None:
    """Refuse sizes of images that a network cannot take.

    Raises:
        InputError: as it says.
    """
    network, training = options[groups.ImageNetwork], options[groups.Training]
    asked = options[groups.Network].network
    smallest = 32 if asked in groups.BACKBONES else 8  # its coarsest feature is one pixel
    if network.image_size % smallest:
        raise InputError(f"image_size: a ResNet needs a multiple of {smallest}, got {network.image_size}")
    if (
        network.backbone != asked.removesuffix("_unet")
        and ("backbone" in options.typed or network.backbone != infos(groups.ImageNetwork)["backbone"].default)
        and not training.resume
    ):
        whose = "network" if "network" in options.by_hand else "the checkpoint's network"
        raise InputError(f"backbone {network.backbone}: {whose} is {asked}; expected one of them, or the same")
    if training.batch_size == 1 and network.image_size == smallest:
        raise InputError(
            f"batch_size: one image of image_size {smallest} leaves batch norm a single value a channel; "
            "expected at least 2, or larger images"
        )
    if options[groups.Images].official_split and options[groups.Data].pretrain_fraction:
        raise InputError("official_split and pretrain_fraction: expected one of them, got both")


def _stored_cubes(
    options: Options, folder: Path, size: tuple[int, int, int], transform: Transform | None, length: int
) -> PretrainingData:
    store = CubeStore(folder)
    if tuple(store.size) != size:
        raise InputError(f"patch_size: the cube store {folder} holds cubes of {list(store.size)}, not {list(size)}")
    provenance = {"data": folder.resolve().name, **store.provenance()}
    preprocessing = VolumePreprocessing.from_dict(store.preprocessing)
    train = SeededDataset(store, transform, options[groups.Training].seed, length)
    return PretrainingData(train, None, preprocessing, provenance)


def _cubes(
    options: Options,
    run: RunFolder,
    source: Source,
    size: tuple[int, int, int],
    transform: Transform | None,
    length: int,
) -> PretrainingData:
    """Cubes of volumes, drawn anew for each item."""
    seed = options[groups.Training].seed
    say_padding(run, source.report, size)
    preprocessing = source.preprocessing
    rule, scale = None, preprocessing.as_dict()
    if options[groups.Cubes].crop_rule != "uniform" and scale["intensity"] == "window":
        rule = CropRule.for_window(scale["window_low"], scale["window_high"])
    sets: dict[str, SeededDataset | None] = {}
    for part, part_seed in (("pretrain", seed), ("validation", 0)):
        items = preprocessing.hold(
            getattr(source.split, part),
            source.case_set,
            labels=False,
            progress=options[groups.Run].progress and run.main,
        )
        if rule is not None:
            items = _large(options, run, items, rule, size)
        draw = RandCubed(size, rule)
        steps = Compose([draw, transform]) if transform is not None else draw
        count = length if part == "pretrain" else min(len(items) * 2, 32)
        sets[part] = SeededDataset(items, steps, part_seed, count) if items else None
    train = sets["pretrain"]
    if train is None:
        raise InputError(f"{source.case_set.root}: no volumes to pretrain on")
    return PretrainingData(train, sets["validation"], preprocessing, source.provenance(source.split.pretrain))


def _large(
    options: Options, run: RunFolder, items: Sequence[Item], rule: CropRule, size: tuple[int, int, int]
) -> Sequence[Item]:
    """The volumes that the crop rule is for, where it is asked for; else all, and how many these are is said."""
    large = [item for item in items if rule.starts(item["image"].shape[1:], size) is not None]
    if options[groups.Cubes].crop_rule == "genesis":
        if items and not large:
            raise InputError(
                f"crop_rule genesis: no volume is large enough for borders {rule.border}; --crop_rule uniform"
            )
        return large
    if items:
        run.say(f"{len(large)} of {len(items)} volumes are cropped under the published rules, the others anywhere")
    return items


def _refuse_extra(options: Options, task: str) -> None:
    extra = options[groups.ExtraImages]
    if extra.extra_dataset and not extra.extra_dataset_dir:
        raise InputError(f"extra_dataset_dir: where is the data set {extra.extra_dataset}? Expected its folder")
    if extra.extra_dataset_dir and task != "images":
        raise InputError(f"extra_dataset_dir: expected none, this pretext needs {task} data of one data set")


def _images(
    options: Options, run: RunFolder, source: Source, task: str, transform: Transform | None, length: int
) -> PretrainingData:
    """Images of one size, with more of another data set where there are."""
    case_set, cases = source.case_set, source.split.pretrain
    size, progress = options[groups.ExtraImages].canvas_size, options[groups.Run].progress and run.main
    labels = task == "segmentation"
    items: Any = source.preprocessing.hold(cases, case_set, labels=labels, progress=progress, size=size)
    extra, extra_cases = _extra(options, run, source)
    if extra is not None:
        extra_items: Any = source.preprocessing.hold(extra_cases, extra, labels=False, progress=progress, size=size)
        items = ConcatDataset([items, extra_items])
    validation = None
    if held := source.split.validation:
        validated: Any = source.preprocessing.hold(held, case_set, labels=labels, progress=progress, size=size)
        validation = Subset(validated, range(min(len(validated), VALIDATED)))
    provenance = source.provenance([*cases, *extra_cases])
    if extra is not None:
        provenance["extra_data"] = extra.layout
    return PretrainingData(
        train=SeededDataset(items, transform, options[groups.Training].seed, length),
        validation=validation,
        preprocessing=source.preprocessing,
        provenance=provenance,
        channels=case_set.channels,
        classes=len(case_set.categories),
        probe=_probe(options, source),
    )


def _extra(options: Options, run: RunFolder, source: Source) -> tuple[CaseSet | None, tuple[Case, ...]]:
    """More images to pretrain on: their data set, and those that can be used."""
    extra = options[groups.ExtraImages]
    if not extra.extra_dataset_dir:
        return None, ()
    case_set, report = find_checked(
        options, run, Path(extra.extra_dataset_dir), dims=2, layout=extra.extra_dataset, task="images",
        record="extra_check",
    )  # fmt: skip
    if case_set.channels != source.case_set.channels:
        raise InputError(
            f"extra_dataset_dir {case_set.root}: {case_set.channels} channels, {source.case_set.root} "
            f"{source.case_set.channels}"
        )
    return case_set, report.good


def _probe(options: Options, source: Source) -> tuple[Sequence[Item], Sequence[Item]] | None:
    """Two samples of the pretraining images with their classes; nothing where a data set has no classes."""
    if not options[groups.Monitor].probe:
        return None
    case_set, images = source.case_set, options[groups.Images]
    if not case_set.has_categories:
        request = Request(
            layout=case_set.layout, dims=2, task="classification", target=images.target, border=images.border,
            progress=False,
        )  # fmt: skip
        try:
            case_set = find_cases(case_set.root, request)
        except InputError:
            return None
    names = {case.name for case in source.split.pretrain}
    cases = [case for case in case_set.cases if case.name in names]
    if len(cases) < 20 or len({case.category for case in cases}) < 2:
        return None
    seed = options[groups.Data].split_seed
    order = torch.Generator().manual_seed(seed)
    sides = []
    for side in hold_out(cases, 0.3, seed=seed):
        chosen = torch.randperm(len(side), generator=order)[:PROBED].tolist()
        sample = [side[index] for index in sorted(chosen)]
        sides.append(source.preprocessing.hold(sample, case_set, labels=False, progress=False))
    return sides[0], sides[1]
