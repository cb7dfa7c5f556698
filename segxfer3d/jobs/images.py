"""The data of the 2D jobs: images found, checked, split and held in memory, as the bundles compose them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.utils.data import ConcatDataset, Subset

from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.check import check
from segxfer3d.data.dataset import SeededDataset
from segxfer3d.data.layouts import Request, find_cases
from segxfer3d.data.preprocessing.images import HeldImages, ImagePreprocessing
from segxfer3d.data.split import Split, few_of_all
from segxfer3d.data.split_draws import hold_out
from segxfer3d.data.synthetic.images import write_images
from segxfer3d.errors import InputError
from segxfer3d.files import names_hash
from segxfer3d.jobs.generated import generated_data
from segxfer3d.run.folder import Session

PROBED = 500  # images at most of each side of a probe
VALIDATED = 512  # images at most whose pretext loss is computed


def find_source(session: Session, task: str) -> tuple[CaseSet, bool]:
    """The images that the knobs name, checked; or generated ones, where they name none, and whether they are.

    Raises:
        InputError: anything wrong with them; all bad images at once.
    """
    knobs = session.knobs
    if knobs.dataset and not knobs.dataset_dir:
        raise InputError(f"dataset_dir: where is the data set {knobs.dataset}? Expected its folder")
    _refuse_sizes(knobs)
    generated = not knobs.dataset_dir
    folder, name = knobs.dataset_dir, knobs.dataset
    if generated:
        folder, name = str(generated_data(session, write_images, knobs.generated_images)), "folder"
        session.say(f"no --dataset_dir given: using generated images in {folder}")
    found = _found(session, name, folder, knobs.target, task)
    if len(found.cases) < 2:
        raise InputError(f"{found.root}: one image only; expected at least two")
    return found, generated


def _found(session: Session, dataset: str, folder: str, target: str, task: str, record: str = "data_check") -> CaseSet:
    knobs = session.knobs
    progress = knobs.progress and session.main
    request = Request(
        layout=dataset, dims=2, task=task, target=target, border=knobs.border, patient_pattern=knobs.patient_pattern,
        seed=knobs.split_seed, skip_bad=knobs.skip_bad_cases, progress=progress,
    )  # fmt: skip
    images = find_cases(folder, request)
    for note in images.notes:
        session.say(f"note: {note}")
    report = check(images, skip_bad=knobs.skip_bad_cases, progress=progress)
    session.record(record, report.as_dict())
    for name, why in report.bad.items():
        session.say(f"left out: {name} ({why})")
    if report.empty_labels:
        session.say(f"warning: {len(report.empty_labels)} masks are empty: {', '.join(report.empty_labels[:5])}")
    if report.converted:
        session.say(f"note: {len(report.converted)} images of another color mode were converted (see {record}.json)")
    return replace(images, cases=report.good)


def _refuse_sizes(knobs: Any) -> None:
    smallest = 8 if knobs.backbone == "conrec" else 32  # its coarsest feature is one pixel
    if knobs.image_size % smallest:
        raise InputError(f"image_size: a ResNet needs a multiple of {smallest}, got {knobs.image_size}")
    if knobs.batch_size == 1 and knobs.image_size == smallest:
        raise InputError(
            f"batch_size: one image of image_size {smallest} leaves batch norm a single value a channel; "
            "expected at least 2, or larger images"
        )
    if knobs.official_split and knobs.pretrain_fraction:
        raise InputError("official_split and pretrain_fraction: expected one of them, got both")


@dataclass
class ImagePretrainingData:
    """Images to pretrain on.

    Attributes:
        train: random images, as many an epoch as the knobs say.
        validation: of images that do not train; None where none were held out.
        probe: images with classes to probe embeddings with, (to fit on, to test on); None where there are no classes.
        images: the data set.
    """

    train: SeededDataset
    validation: Subset[Any] | None
    probe: tuple[HeldImages, HeldImages] | None
    images: CaseSet
    preprocessing: ImagePreprocessing
    provenance: dict[str, Any]

    @property
    def classes(self) -> int:
        """How many classes there are to tell apart."""
        return len(self.images.categories)


def pretraining_data(session: Session, task: str = "images") -> ImagePretrainingData:
    """Images for a pretext: of the share that the knob ``pretrain_fraction`` sets apart, or all (0).

    The share is drawn by ``split_seed`` as :func:`finetuning_data` draws it, so that what pretrains is never tested on.
    With ``official_split`` the data set's own training part trains and its validation part validates.

    Args:
        session: its knobs say which.
        task: ``images``, ``classification`` or ``segmentation``: what the pretext needs beside images.
    """
    knobs = session.knobs
    if knobs.extra_dataset and not knobs.extra_dataset_dir:
        raise InputError(f"extra_dataset_dir: where is the data set {knobs.extra_dataset}? Expected its folder")
    if knobs.extra_dataset_dir and task != "images":
        raise InputError(f"extra_dataset_dir: expected none, this pretext needs {task} data of one data set")
    images, _ = find_source(session, task)
    split = few_of_all(
        images.cases,
        pretrain_fraction=knobs.pretrain_fraction,
        validation_fraction=knobs.validation_fraction,
        split_seed=knobs.split_seed,
        labels=False,
        official=knobs.official_split,
    )
    cases, held = split.pretrain, split.validation
    progress = knobs.progress and session.main
    preprocessing = ImagePreprocessing(knobs.image_size, images.channels)
    labels, size = images.has_labels, knobs.canvas_size
    own = preprocessing.hold(cases, images, labels=labels, progress=progress, size=size)
    data: Any = own
    extra: tuple[Case, ...] = ()
    if knobs.extra_dataset_dir:
        more = _found(session, knobs.extra_dataset, knobs.extra_dataset_dir, "", "images", "extra_check")
        if more.channels != images.channels:
            raise InputError(
                f"extra_dataset_dir {more.root}: {more.channels} channels, {images.root} {images.channels}"
            )
        data = ConcatDataset([own, preprocessing.hold(more.cases, more, labels=False, progress=progress, size=size)])
        extra = more.cases
    length = knobs.steps_per_epoch * knobs.batch_size * session.world_size
    validation = None
    if held:
        validated = preprocessing.hold(held, images, labels=labels, progress=progress, size=size)
        validation = Subset(validated, range(min(len(validated), VALIDATED)))
    everyone = [*cases, *extra]
    return ImagePretrainingData(
        train=SeededDataset(data, None, knobs.seed, length),
        validation=validation,
        probe=_probe(session, images, cases),
        images=images,
        preprocessing=preprocessing,
        provenance=_provenance(images, everyone) | ({"extra_data": more.layout} if extra else {}),
    )


def _probe(session: Session, images: CaseSet, cases: Sequence[Case]) -> tuple[HeldImages, HeldImages] | None:
    """Two samples of the pretraining images with their classes; nothing where a data set has no classes."""
    knobs = session.knobs
    if not knobs.probe:
        return None
    if not images.has_categories:
        try:
            request = Request(
                layout=images.layout, dims=2, task="classification", target=knobs.target, border=knobs.border,
                progress=False,
            )  # fmt: skip
            images = find_cases(images.root, request)
        except InputError:
            return None
    known = {case.name for case in cases}
    labeled = [case for case in images.cases if case.name in known]
    if len(labeled) < 20 or len({case.category for case in labeled}) < 2:
        return None
    fit, test = hold_out(labeled, 0.3, seed=knobs.split_seed)
    order = torch.Generator().manual_seed(knobs.split_seed)
    sides = []
    for side in (fit, test):
        chosen = torch.randperm(len(side), generator=order)[:PROBED].tolist()
        sampled = [side[i] for i in sorted(chosen)]
        preprocessing = ImagePreprocessing(knobs.image_size, images.channels)
        sides.append(preprocessing.hold(sampled, images, labels=False, progress=False))
    return sides[0], sides[1]


def _provenance(images: CaseSet, cases: Sequence[Case]) -> dict[str, Any]:
    return {
        "data": images.name,
        "target": images.target,
        "cases": len(cases),
        "patients": sorted({case.patient for case in cases}),
        "cases_hash": names_hash(case.name for case in cases),
    }


@dataclass
class ImageFinetuningData:
    """Images with masks: a few to train on, the rest to be measured on.

    Attributes:
        generated: whether they were made because none were given.
    """

    images: CaseSet
    split: Split
    generated: bool
    train: SeededDataset
    validation: HeldImages | None
    test: HeldImages
    preprocessing: ImagePreprocessing

    @property
    def classes(self) -> dict[int, str]:
        """Label value to name of each class."""
        return self.images.classes

    @property
    def name(self) -> str:
        """Of the data set."""
        return str(self.provenance["data"])

    @property
    def test_patients(self) -> set[str]:
        """The groups of images (patients, where known) in the test part."""
        return {case.patient for case in self.split.test}

    @property
    def unit(self) -> str:
        """What ``test_patients`` counts, in words."""
        alone = all(case.patient == case.name for case in self.split.test)
        return "images" if alone else "groups of images"

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the labels come from."""
        return _provenance(self.images, self.split.train)


def finetuning_data(session: Session) -> ImageFinetuningData:
    """A few images with masks to train on, all the others to evaluate on, as the paper does.

    What ``pretrain_fraction`` sets apart for pretraining is in neither; the split_seed alone draws it. So it does with
    what ``test_fraction`` sets apart of the others: then every seed and every number of labels is measured on the same
    images, and images that are neither labeled nor among those are not used.
    """
    knobs = session.knobs
    images, generated = find_source(session, "segmentation")
    split = few_of_all(
        images.cases,
        pretrain_fraction=knobs.pretrain_fraction,
        validation_fraction=knobs.validation_fraction,
        test_fraction=knobs.test_fraction,
        split_seed=knobs.split_seed,
        label_fraction=knobs.label_fraction,
        label_count=knobs.label_count,
        seed=knobs.seed,
        official=knobs.official_split,
    )
    if len(split.train) < session.world_size:
        raise InputError(f"{len(split.train)} labeled images for {session.world_size} processes: expected one for each")
    session.record("split", split.as_dict())
    session.record("labels", {"cases": [case.name for case in split.train]})
    number = len(images.cases) - len(split.pretrain)
    session.say(f"{len(split.train)} of {number} images are labeled for training, {len(split.test)} are measured")
    progress = knobs.progress and session.main
    length = knobs.steps_per_epoch * knobs.batch_size * session.world_size
    preprocessing = ImagePreprocessing(knobs.image_size, images.channels)

    def held(cases: Sequence[Case]) -> HeldImages:
        return preprocessing.hold(cases, images, labels=True, progress=progress)

    return ImageFinetuningData(
        images=images,
        split=split,
        generated=generated,
        train=SeededDataset(held(split.train), None, knobs.seed, length),
        validation=held(split.validation) if split.validation else None,
        test=held(split.test),
        preprocessing=preprocessing,
    )
