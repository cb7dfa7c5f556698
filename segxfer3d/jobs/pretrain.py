"""Data to pretrain on: random cubes of volumes, or images, and what a pretext is watched with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from monai.transforms import Compose

from segxfer3d.augment.cubes import CropRule, RandCubed
from segxfer3d.config import groups
from segxfer3d.config.options import Options
from segxfer3d.config.own_split import OwnSplit
from segxfer3d.data.cubes.store import is_cube_store
from segxfer3d.data.dataset import SeededDataset
from segxfer3d.data.layouts.request import BY_TARGET
from segxfer3d.data.preprocessing import Item
from segxfer3d.data.preprocessing.held_images import KeptImages
from segxfer3d.data.store.volumes import StoredVolumes
from segxfer3d.errors import InputError
from segxfer3d.jobs.holding import held_volumes
from segxfer3d.jobs.pretrain_images import PretrainingData, Transform, held_images, refuse_extra
from segxfer3d.jobs.pretraining_sizes import PretrainingSizes
from segxfer3d.jobs.source import Source, SplitRule, find_source, say_padding
from segxfer3d.jobs.stored_cubes import stored_cubes
from segxfer3d.jobs.unused import refuse_unused_window
from segxfer3d.jobs.unvalidated import refuse_unvalidated
from segxfer3d.run.devices import Place
from segxfer3d.run.folder import RunFolder

__all__ = ["PretrainingData", "pretraining_data", "refuse_sizes"]


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

    What fine-tuning with the same split options tests on never trains (of images of a target: with the same target);
    validation items are the same in every epoch.

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
        return stored_cubes(
            options, run, Path(folder), size=size, transform=transform, length=length, split_rule=split_rule
        )
    if dims == 2:
        refuse_sizes(options)
        refuse_extra(options, task)
    if dims == 3:
        source = find_source(options, run, dims=dims, task=task, split_rule=split_rule, labels=False)
        refuse_unvalidated(options, len(source.split.validation))
        if planned is not None:
            source = planned.source(source, run)
        refuse_unused_window(options, source.preprocessing)
        return _cubes(options, run, source, size, transform, length)
    kept = KeptImages(options[groups.ExtraImages].canvas_size, labels=task == "segmentation")
    source = find_source(options, run, dims=dims, task=task, split_rule=split_rule, labels=False, keep=kept)
    refuse_unvalidated(options, len(source.split.validation))
    _say_apart(options, run, source)
    return held_images(options, run, source, task, transform, length, kept)


def _say_apart(options: Options, run: RunFolder, source: Source) -> None:
    """With whom images are kept apart, where a fine-tuning may see those of a target alone and draws from them."""
    own, fraction = options.find(OwnSplit), options[groups.Data].pretrain_fraction
    asked = [f"pretrain_fraction {fraction:g}"] if fraction else []
    asked += [f"fold {own.fold}"] if own is not None and own.fold is not None and not own.split_file else []
    if source.case_set.layout in BY_TARGET and asked:
        target = options[groups.Images].target
        run.say(
            f"note: {', '.join(asked)}: drawn from the images of {f'target {target}' if target else 'all targets'}; a "
            "fine-tuning with another --target draws from others, and may test on what pretrains here"
        )


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
    if network.backbone != asked.removesuffix("_unet") and options.is_asked("backbone") and not training.resume:
        whose = "network" if "network" in options.by_hand else "the checkpoint's network"
        raise InputError(f"backbone {network.backbone}: {whose} is {asked}; expected one of them, or the same")
    if training.batch_size == 1 and network.image_size == smallest:
        raise InputError(
            f"batch_size: one image of image_size {smallest} leaves batch norm a single value a channel; "
            "expected at least 2, or larger images"
        )


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
    alone = source.case_set.channels == 1  # the published rule looks at a CT
    if options[groups.Cubes].crop_rule != "uniform" and scale["intensity"] == "window" and alone:
        rule = CropRule.for_window(scale["window_low"], scale["window_high"])
    sets: dict[str, SeededDataset | None] = {}
    split = source.split
    holding = held_volumes(options, run, source, [*split.pretrain, *split.validation], labels=False)
    for part, part_seed in (("pretrain", seed), ("validation", 0)):
        items = holding.hold(getattr(split, part))
        if rule is not None:
            items = _large(options, run, items, rule, size)
        ruled = rule is not None and any(_fits(item, rule, size) for item in items)
        draw = RandCubed(size, rule if ruled else None)  # without a rule nothing is compiled for it
        steps = Compose([draw, transform]) if transform is not None else draw
        count = length if part == "pretrain" else min(len(items) * 2, 32)
        sets[part] = SeededDataset(items, steps, part_seed, count) if items else None
    train = sets["pretrain"]
    if train is None:
        raise InputError(f"{source.case_set.root}: no volumes to pretrain on")
    return PretrainingData(
        train,
        sets["validation"],
        preprocessing,
        source.provenance(source.split.pretrain),
        channels=source.case_set.channels,
    )


def _large(
    options: Options, run: RunFolder, items: Sequence[Item], rule: CropRule, size: tuple[int, int, int]
) -> Sequence[Item]:
    """The volumes that the crop rule is for, where it is asked for; else all, and how many these are is said."""
    fitting = [number for number, item in enumerate(items) if _fits(item, rule, size)]
    large = items.part(fitting) if isinstance(items, StoredVolumes) else [items[number] for number in fitting]
    if options[groups.Cubes].crop_rule == "genesis":
        if items and not large:
            raise InputError(
                f"crop_rule genesis: no volume is large enough for borders {rule.border}; --crop_rule uniform"
            )
        return large
    if items:
        run.say(f"{len(large)} of {len(items)} volumes are cropped under the published rules, the others anywhere")
    return items


def _fits(item: Item, rule: CropRule, size: tuple[int, int, int]) -> bool:
    """Whether a volume is large enough for a crop inside the rule's borders."""
    return rule.starts(item["image"].shape[1:], size) is not None
