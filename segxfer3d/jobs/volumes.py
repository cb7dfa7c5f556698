"""The data of the 3D jobs: volumes found, checked, split and held in memory, and the table of whole cases."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.engines import SupervisedEvaluator
from monai.inferers import Inferer
from monai.transforms import (
    Compose,
    RandCropByPosNegLabeld,
    RandFlipd,
    RandScaleIntensityd,
    RandShiftIntensityd,
    SelectItemsd,
    SpatialPadd,
)
from torch import nn

from segxfer3d.augment.cubes import CropRule, RandCubed
from segxfer3d.augment.genesis_corruption import GenesisCorruptiond
from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.check import check
from segxfer3d.data.cubes.store import CubeStore, is_cube_store
from segxfer3d.data.dataset import SeededDataset
from segxfer3d.data.layouts import Request, find_cases
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.data.split import Split, by_patient, labels_record
from segxfer3d.data.synthetic.phantoms import write_phantoms
from segxfer3d.errors import InputError
from segxfer3d.evaluation.tables import CaseDataset, CaseTable
from segxfer3d.files import names_hash
from segxfer3d.jobs.generated import generated_data
from segxfer3d.run.folder import Session
from segxfer3d.training.loaders import evaluation_loader
from segxfer3d.training.preparation import prepare_case


@dataclass
class Source:
    """The cases of a job, checked and split.

    Attributes:
        cases: what was found.
        split: by patient.
        preprocessing: of every volume.
        phantoms: whether the data were made because none were given.
        checked: the cases that can be used.
    """

    cases: CaseSet
    split: Split
    preprocessing: VolumePreprocessing
    phantoms: bool
    checked: tuple[Case, ...] = ()

    @property
    def name(self) -> str:
        """Of the data set: its folder's."""
        return self.cases.name


def find_source(session: Session, labeled: bool) -> Source:
    """Find, check and split the data that the knobs name, or phantoms where they name none.

    Args:
        session: its knobs say where the data are and how they are split and preprocessed.
        labeled: whether the job needs labels.

    Raises:
        InputError: anything wrong with the data; all bad cases at once.
    """
    knobs = session.knobs
    phantoms = not knobs.dataset_dir
    if phantoms:
        root = generated_data(session, write_phantoms, knobs.get("phantom_patients", 16))
        session.say(f"no --dataset_dir given: using chest-CT phantoms in {root}")
    else:
        root = Path(knobs.dataset_dir)
    cases = find_cases(root, Request(patient_pattern=knobs.patient_pattern))
    if labeled and not cases.labeled:
        raise InputError(
            f"{root}: no labels found; this job needs image/label pairs (imagesTr and labelsTr, or dataset.json)"
        )
    report = check(
        cases,
        cases.labeled if labeled else None,
        skip_bad=knobs.skip_bad_cases,
        progress=knobs.progress and session.main,
    )
    session.record("data_check", report.as_dict())
    for name, why in report.bad.items():
        session.say(f"left out: {name} ({why})")
    if report.empty_labels:
        session.say(f"warning: {len(report.empty_labels)} labels are empty: {', '.join(report.empty_labels[:5])}")
    split = by_patient(
        report.good,
        pretrain_fraction=knobs.pretrain_fraction,
        validation_fraction=knobs.validation_fraction,
        test_fraction=knobs.test_fraction,
        split_seed=knobs.split_seed,
        label_fraction=knobs.get("label_fraction"),
        label_count=knobs.get("label_count"),
        seed=knobs.get("seed", 0),
        labels=labeled,
    )
    session.record("split", split.as_dict())
    _say_padding(session, report.shapes)
    return Source(cases, split, _preprocessing(session, cases), phantoms, report.good)


def _say_padding(session: Session, shapes: dict[str, tuple[int, ...]]) -> None:
    patch = session.knobs.get("patch_size")
    small = sum(any(s < p for s, p in zip(shape, patch, strict=True)) for shape in shapes.values()) if patch else 0
    if small:
        session.say(f"{small} of {len(shapes)} volumes are smaller than the patch {patch}: padded with 0")


def _preprocessing(session: Session, cases: CaseSet) -> VolumePreprocessing:
    """What the knobs say; a job without these knobs (evaluation) takes the checkpoint's instead."""
    knobs = session.knobs
    intensity = knobs.get("intensity", "auto")
    if intensity == "auto":
        intensity = "window" if cases.modality == "CT" else "percentile"
    spacing = tuple(knobs.spacing) if knobs.get("spacing") else None
    return VolumePreprocessing(spacing, intensity, knobs.get("window_low", -1000), knobs.get("window_high", 1000))


@dataclass
class PretrainingData:
    """Corrupted and clean cubes for training and, where patients were held out, validation."""

    train: SeededDataset
    validation: SeededDataset | None
    preprocessing: VolumePreprocessing
    provenance: dict[str, Any]


def pretraining_data(session: Session) -> PretrainingData:
    """Cubes from the volumes (or the cube store) that the knobs name, corrupted as Models Genesis does.

    Validation cubes are the same in every epoch. Cases of the test and validation parts never train.
    """
    knobs = session.knobs
    length = knobs.steps_per_epoch * knobs.batch_size * session.world_size
    size = tuple(knobs.patch_size)
    if knobs.dataset_dir and is_cube_store(knobs.dataset_dir):
        store = CubeStore(knobs.dataset_dir)
        if tuple(store.size) != size:
            raise InputError(
                f"patch_size: the cube store {knobs.dataset_dir} holds cubes of {list(store.size)}, not {list(size)}"
            )
        provenance = {"data": Path(knobs.dataset_dir).resolve().name, **store.provenance()}
        preprocessing = VolumePreprocessing.from_dict(store.preprocessing)
        corrupted = SeededDataset(store, GenesisCorruptiond(), knobs.seed, length)
        return PretrainingData(corrupted, None, preprocessing, provenance)
    source = find_source(session, labeled=False)
    progress = knobs.progress and session.main
    rule = None
    if knobs.crop_rule != "uniform" and source.preprocessing.intensity == "window":
        rule = CropRule.for_window(knobs.window_low, knobs.window_high)
    sets: list[SeededDataset | None] = []
    for part, seed in ((source.split.pretrain, knobs.seed), (source.split.validation, 0)):
        volumes = source.preprocessing.hold(part, source.cases, labels=False, progress=progress)
        if rule is not None:
            large = [v for v in volumes if rule.starts(v["image"].shape[1:], size) is not None]
            if knobs.crop_rule == "genesis":
                if part and not large:
                    raise InputError(
                        f"crop_rule genesis: no volume is large enough for borders {rule.border}; --crop_rule uniform"
                    )
                volumes = large
            elif part:
                session.say(
                    f"{len(large)} of {len(volumes)} volumes are cropped under the published rules, the others anywhere"
                )
        steps = Compose([RandCubed(size, rule), GenesisCorruptiond()])
        count = length if part is source.split.pretrain else min(len(volumes) * 2, 32)
        sets.append(SeededDataset(volumes, steps, seed, count) if volumes else None)
    train, validation = sets
    if train is None:
        raise InputError(f"{source.cases.root}: no volumes to pretrain on")
    return PretrainingData(train, validation, source.preprocessing, _provenance(source, source.split.pretrain))


def _provenance(source: Source, cases: Sequence[Case]) -> dict[str, Any]:
    return {
        "data": source.name,
        "cases": len(cases),
        "patients": sorted({case.patient for case in cases}),
        "cases_hash": names_hash(case.name for case in cases),
    }


@dataclass
class FinetuningData:
    """Labeled patches to train on, whole cases to validate and test on."""

    source: Source
    labeled: tuple[Case, ...]
    train: SeededDataset
    validation: CaseDataset
    test: CaseDataset

    @property
    def classes(self) -> dict[int, str]:
        """Label value to name of each foreground class."""
        return self.source.cases.classes

    @property
    def name(self) -> str:
        """Of the data set."""
        return self.source.name

    @property
    def generated(self) -> bool:
        """Whether the data were made because none were given."""
        return self.source.phantoms

    @property
    def test_patients(self) -> set[str]:
        """The patients of the test part."""
        return {case.patient for case in self.source.split.test}

    @property
    def unit(self) -> str:
        """What ``test_patients`` counts, in words."""
        return "patients"

    @property
    def preprocessing(self) -> VolumePreprocessing:
        """Of every volume."""
        return self.source.preprocessing

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the labels come from."""
        return _provenance(self.source, self.labeled)


def finetuning_data(session: Session) -> FinetuningData:
    """Draw the labels that the knobs allow from the training part, and set up patches and cases."""
    knobs = session.knobs
    source = find_source(session, labeled=True)
    labeled = source.split.labeled
    if len(labeled) < session.world_size:
        raise InputError(
            f"{len(labeled)} labeled cases for {session.world_size} processes: expected at least one for each"
        )
    session.record("labels", labels_record(source.split))
    size = knobs.patch_size
    classes = source.cases.classes
    progress = knobs.progress and session.main
    items = source.preprocessing.hold(labeled, source.cases, labels=True, progress=progress)
    share = knobs.foreground_share
    keys = ["image", "label"]
    warnings.filterwarnings("ignore", "Num foregrounds")  # of an empty label, which has been counted and said
    patches = Compose(
        [
            SpatialPadd(keys, size),
            RandCropByPosNegLabeld(keys, "label", size, pos=share, neg=1 - share, num_samples=1, allow_smaller=True),
            FirstPatch(),
            *(RandFlipd(keys, prob=0.5, spatial_axis=axis) for axis in range(3)),
            RandScaleIntensityd("image", factors=0.1, prob=0.5),
            RandShiftIntensityd("image", offsets=0.05, prob=0.5),
            SelectItemsd(keys),
        ],
        map_items=False,
    )
    length = knobs.steps_per_epoch * knobs.batch_size * session.world_size
    train = SeededDataset(items, patches, knobs.seed, length)
    validation, test = (
        CaseDataset(cases, source.preprocessing, classes) for cases in (source.split.validation, source.split.test)
    )
    return FinetuningData(source, labeled, train, validation, test)


class FirstPatch:
    """MONAI's sampling crop gives a list; its only patch, as plain tensors."""

    def __call__(self, patches: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """The first patch."""
        return {key: getattr(value, "as_tensor", lambda v=value: v)() for key, value in patches[0].items()}


def case_evaluator(session: Session, network: nn.Module, inferer: Inferer, table: CaseTable) -> SupervisedEvaluator:
    """An evaluator that fills ``table``; gone through on demand, after training or alone."""
    return SupervisedEvaluator(
        device=session.device,
        val_data_loader=evaluation_loader(table.dataset, rank=session.rank, world_size=session.world_size),
        network=network,
        prepare_batch=prepare_case,
        inferer=inferer,
        val_handlers=[table],
        decollate=False,
    )
