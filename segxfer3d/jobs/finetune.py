"""Data to fine-tune on: few labeled cases to train on, others to validate and test on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from monai.transforms import Transform

from segxfer3d.augment.augmentation import Augmentation
from segxfer3d.augment.patches import TrainingPatches, labeled_patches, training_patches
from segxfer3d.config import groups, learning
from segxfer3d.config.options import Options
from segxfer3d.data.case import unit_of
from segxfer3d.data.dataset import SeededDataset
from segxfer3d.data.preprocessing import Preprocessing
from segxfer3d.data.shown_classes import refuse_unseen, unseen_classes
from segxfer3d.data.split import labels_record
from segxfer3d.errors import InputError, some
from segxfer3d.jobs.holding import held_volumes
from segxfer3d.jobs.planning import Planned, planned_axes
from segxfer3d.jobs.source import Source
from segxfer3d.jobs.vanished import say_vanished
from segxfer3d.run.devices import Place
from segxfer3d.run.folder import RunFolder


@dataclass(frozen=True)
class FinetuningData:
    """What a network is fine-tuned, validated and tested on.

    Attributes:
        source: where the cases come from.
        train: random items of the labeled cases, as many an epoch as the options say.
        validation: None where there is no validation part.
        test: what is measured.
    """

    source: Source
    train: SeededDataset
    validation: Any | None
    test: Any

    @property
    def classes(self) -> dict[int, str]:
        """Label value to name of each foreground class."""
        return self.source.case_set.classes

    @property
    def channels(self) -> int:
        """Of an image."""
        return self.source.case_set.channels

    @property
    def name(self) -> str:
        """Of the data set."""
        return self.source.name

    @property
    def generated(self) -> bool:
        """Whether the data were made because none were given."""
        return self.source.generated

    @property
    def test_patients(self) -> set[str]:
        """The patients (of images: the scenes, or single images) of the test part."""
        return {case.patient for case in self.source.split.test}

    @property
    def test_contents(self) -> dict[str, str]:
        """What the cases of the test part show, see :meth:`~segxfer3d.jobs.source.Source.contents`."""
        return self.source.contents(self.source.split.test)

    @property
    def dims(self) -> int:
        """3 for volumes, 2 for images."""
        return self.source.case_set.dims

    @property
    def unit(self) -> str:
        """What ``test_patients`` counts, in words."""
        return unit_of(self.source.split.test, self.dims)

    @property
    def preprocessing(self) -> Preprocessing:
        """Of every case."""
        return self.source.preprocessing

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the labels come from."""
        return self.source.provenance(self.source.split.labeled)


def patches(options: Options, *, planned: Planned) -> Transform:
    """What draws a training patch of a volume and its label, see :mod:`segxfer3d.augment.patches`.

    Args:
        options: of the job.
        planned: its sizes.
    """
    size, share = planned.patch_size, options[groups.Patches].foreground_share
    augmentation = full_augmentation(options, planned=planned)
    if augmentation is None:
        return labeled_patches(size, foreground_share=share, mirror_axes=planned_axes(options, planned.plan))
    return training_patches(size, foreground_share=share, augmentation=augmentation)


def full_augmentation(options: Options, *, planned: Planned) -> Augmentation | None:
    """How patches and images are changed in training; None where ``augmentation`` is ``flips``.

    Args:
        options: of the job.
        planned: its sizes and axes.

    Raises:
        InputError: axes that images do not have.
    """
    changes = options[learning.Augmentation]
    if changes.augmentation == "flips":
        return None
    chances: dict[str, Any] = changes.chances
    axes = planned_axes(options, planned.plan, dims=planned.source.case_set.dims)
    return Augmentation(**chances, mirror_axes=axes, rotate_degrees=changes.rotate_degrees)


def finetuning_data(
    options: Options,
    run: RunFolder,
    place: Place,
    *,
    planned: Planned,
    transform: Callable[[Any], Any] | None = None,
) -> FinetuningData:
    """Set up what trains and what is measured, and record whose labels are used.

    Volumes are measured whole, on their files' grid; images at the size that the network sees, as in the paper.

    Args:
        options: of the job.
        run: records whose labels are used.
        place: where it runs; each of its processes takes its share of an epoch.
        planned: the cases and the sizes.
        transform: what is done to every labeled case before it is batched, such as a random patch; a MONAI transform
            draws anew for each item.

    Raises:
        InputError: labels that are too few, or volumes that cannot be held in memory.
    """
    source = planned.source
    dims, split = source.case_set.dims, source.split
    nouns = "images" if dims == 2 else "cases"
    if len(split.labeled) < place.world_size:
        raise InputError(
            f"{len(split.labeled)} labeled {nouns} for {place.world_size} processes: expected at least one for each"
        )
    run.record("labels", labels_record(split))
    if dims == 2:
        number = len(source.report.good) - len(split.pretrain)
        run.say(f"{len(split.labeled)} of {number} images are labeled for training, {len(split.test)} are measured")
    training = options[groups.Training]
    again = [*split.labeled, *split.validation]  # the cases of the test part are read once
    holding = held_volumes(options, run, source, again, labels=True)
    measured: Callable[..., Any] = holding.whole if dims == 3 else lambda cases, once=False: holding.hold(cases)
    length = training.steps_per_epoch * planned.batch_size * place.world_size
    labeled = holding.hold(split.labeled)
    if isinstance(transform, TrainingPatches):
        transform.prepare(labeled)
    if options[learning.Learning].recipe != learning.PAPER:
        refuse_unseen(labeled, source.case_set.classes)
    elif unseen := unseen_classes(labeled, source.case_set.classes):  # as trainings that are there did
        names = some(list(unseen.values()), 3, ", ")
        run.say(f"warning: none of the {len(labeled)} labeled {nouns} shows the class {names}; it is not learned")
    validation, test = measured(split.validation) if split.validation else None, measured(split.test, once=True)
    say_vanished(run, (labeled, validation, test))
    return FinetuningData(
        source=source,
        train=SeededDataset(labeled, transform, training.seed, length),
        validation=validation,
        test=test,
    )
