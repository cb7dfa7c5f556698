"""What the bundles compose: the data of each job, the network it starts from, the files it leaves.

Everything here takes a :class:`~segxfer3d.runs.Session` and reads its knobs.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import ignite.distributed as idist
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
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler
from tqdm import tqdm

from segxfer3d import checkpoint, processes, transfer
from segxfer3d.data.cases import Case, CaseSet
from segxfer3d.data.checks import check_cases
from segxfer3d.data.cube_store import CubeStore, is_cube_store
from segxfer3d.data.cubes import CropRule, RandCubed
from segxfer3d.data.datasets import find_cases
from segxfer3d.data.image_dataset import ImagePreprocessing
from segxfer3d.data.phantoms import write_phantoms
from segxfer3d.data.preprocessing import Preprocessing
from segxfer3d.data.sampling import SeededDataset
from segxfer3d.data.splits import Split, split_by_patient, take_labels
from segxfer3d.engines import layout_of
from segxfer3d.errors import InputError
from segxfer3d.evaluation import CaseDataset, CaseTable, format_table, prepare_case, save_previews
from segxfer3d.networks import PARTS, SegmentationNetwork
from segxfer3d.pretexts.base import Pretext
from segxfer3d.pretexts.corruption import GenesisCorruptiond
from segxfer3d.runs import Session, names_hash
from segxfer3d.weights import genesis, imagenet

MEMORY_SHARE = 0.6  # of the machine's memory that cached volumes may take


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
    preprocessing: Preprocessing
    phantoms: bool
    checked: tuple[Case, ...] = ()

    @property
    def name(self) -> str:
        """Of the data set: its folder's."""
        return self.cases.root.resolve().name


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
    cases = find_cases(root, knobs.patient_pattern)
    if labeled and not cases.labeled:
        raise InputError(
            f"{root}: no labels found; this job needs image/label pairs (imagesTr and labelsTr, or dataset.json)"
        )
    report = check_cases(
        cases.labeled if labeled else cases.cases,
        cases.classes,
        skip_bad=knobs.skip_bad_cases,
        progress=knobs.progress and session.main,
    )
    session.record("data_check", report.as_dict())
    for name, why in report.bad.items():
        session.say(f"left out: {name} ({why})")
    if report.empty_labels:
        session.say(f"warning: {len(report.empty_labels)} labels are empty: {', '.join(report.empty_labels[:5])}")
    split = split_by_patient(
        report.good, knobs.pretrain_fraction, knobs.validation_fraction, knobs.test_fraction, knobs.split_seed
    )
    session.record("split", split.as_dict())
    _say_padding(session, report.shapes)
    return Source(cases, split, _preprocessing(session, cases), phantoms, report.good)


def generated_data(session: Session, write: Callable[[Path, int], Path], count: int) -> Path:
    """Have data generated beside the run; beside ``runs/<job>`` where the run has a number: all jobs share them.

    Args:
        session: the run.
        write: writes ``count`` cases below a folder, or finds them there; gives their folder.
        count: of cases.

    Raises:
        InputError: they cannot be written there.
    """
    folder = session.folder.absolute().parent
    if re.fullmatch(r"\d+(-pretraining)?", session.folder.name):
        folder = folder.parent
    try:
        with idist.one_rank_first():
            return write(folder / "generated", count)
    except OSError as error:
        raise InputError(
            f"no --dataset_dir given, and data cannot be generated in {folder} ({error}); another --output_dir?"
        ) from error


def _say_padding(session: Session, shapes: dict[str, tuple[int, ...]]) -> None:
    patch = session.knobs.get("patch_size")
    small = sum(any(s < p for s, p in zip(shape, patch, strict=True)) for shape in shapes.values()) if patch else 0
    if small:
        session.say(f"{small} of {len(shapes)} volumes are smaller than the patch {patch}: padded with 0")


def _preprocessing(session: Session, cases: CaseSet) -> Preprocessing:
    """What the knobs say; a job without these knobs (evaluation) takes the checkpoint's instead."""
    knobs = session.knobs
    intensity = knobs.get("intensity", "auto")
    if intensity == "auto":
        intensity = "window" if cases.modality == "CT" else "percentile"
    spacing = tuple(knobs.spacing) if knobs.get("spacing") else None
    return Preprocessing(spacing, intensity, knobs.get("window_low", -1000), knobs.get("window_high", 1000))


def _load(session: Session, cases: Sequence[Case], transform: Compose, keys: Sequence[str]) -> list[dict[str, Any]]:
    """Load cases into memory, as plain tensors; refuse where they would not fit."""
    items: list[dict[str, Any]] = []
    used, limit = 0, MEMORY_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    bar = tqdm(cases, desc="loading", disable=not (session.knobs.progress and session.main), leave=False)
    for case in bar:
        paths = {"image": str(case.image)} | ({"label": str(case.label)} if "label" in keys else {})
        loaded = transform(paths)
        item = {key: loaded[key].as_tensor().contiguous() for key in keys}
        used += sum(tensor.numel() * tensor.element_size() for tensor in item.values())
        if used > limit:
            raise InputError(
                f"the volumes do not fit in memory ({len(items)} of {len(cases)} take {used / 2**30:.0f} GiB); "
                "for pretraining write a cube store with scripts/make_cube_store.py and give it as --dataset_dir"
            )
        items.append(item)
    return items


@dataclass
class PretrainingData:
    """Corrupted and clean cubes for training and, where patients were held out, validation."""

    train: SeededDataset
    validation: SeededDataset | None
    preprocessing: Preprocessing
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
        preprocessing = Preprocessing.from_dict(store.preprocessing)
        corrupted = SeededDataset(store, GenesisCorruptiond(), knobs.seed, length)
        return PretrainingData(corrupted, None, preprocessing, provenance)
    source = find_source(session, labeled=False)
    transform = source.preprocessing.image_transform()
    rule = None
    if knobs.crop_rule != "uniform" and source.preprocessing.intensity == "window":
        rule = CropRule.for_window(knobs.window_low, knobs.window_high)
    sets: list[SeededDataset | None] = []
    for part, seed in ((source.split.pretrain, knobs.seed), (source.split.validation, 0)):
        volumes = _load(session, part, transform, ["image"])
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
    def preprocessing(self) -> Preprocessing:
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
    labeled = take_labels(source.split.train, knobs.label_fraction, knobs.label_count, knobs.seed)
    if len(labeled) < session.world_size:
        raise InputError(
            f"{len(labeled)} labeled cases for {session.world_size} processes: expected at least one for each"
        )
    session.record("labels", {"cases": [c.name for c in labeled], "patients": sorted({c.patient for c in labeled})})
    size = knobs.patch_size
    classes = source.cases.classes
    items = _load(
        session,
        labeled,
        Compose([source.preprocessing.training_transform(), source.preprocessing.one_hot(classes)]),
        ["image", "label"],
    )
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


def train_loader(session: Session, dataset: SeededDataset) -> DataLoader[Any]:
    """A loader that keeps the order of ``dataset`` (random already), each process taking its share."""
    knobs = session.knobs
    sampler: DistributedSampler[Any] | None = None
    if session.world_size > 1:
        sampler = DistributedSampler(dataset, session.world_size, session.rank, shuffle=False)
    return DataLoader(
        dataset,
        batch_size=knobs.batch_size,
        sampler=sampler,
        num_workers=knobs.num_workers,
        drop_last=True,
        pin_memory=session.device.type == "cuda",
        persistent_workers=knobs.num_workers > 0,
    )


def loss_loader(session: Session, dataset: SeededDataset | None) -> DataLoader[Any] | None:
    """A loader of fixed validation batches for a pretext's loss."""
    if dataset is None:
        return None
    size = session.knobs.batch_size
    return DataLoader(dataset, batch_size=size, drop_last=len(dataset) >= size)  # one sample has nothing to contrast


def case_loader(session: Session, dataset: CaseDataset) -> DataLoader[Any]:
    """A loader of whole cases, one at a time, each process taking its share."""
    # an engine refuses an empty loader; the table passes over a case that is not its process's
    indices = list(range(session.rank, len(dataset), session.world_size)) or [0]
    return DataLoader(dataset, batch_size=None, sampler=indices, num_workers=0)


class Target(Protocol):
    """What a checkpoint is checked against: the data that a network will be fine-tuned on."""

    @property
    def name(self) -> str: ...

    @property
    def generated(self) -> bool: ...

    @property
    def test_patients(self) -> set[str]: ...

    @property
    def preprocessing(self) -> Any: ...


def start_network(session: Session, network: SegmentationNetwork, data: Target) -> SegmentationNetwork:
    """Initialize ``network`` as the knob ``init`` says, from the knob ``checkpoint``; on generated data a missing
    checkpoint is made by a short pretraining.

    Raises:
        InputError: a checkpoint is needed and missing, or does not fit.
    """
    knobs = session.knobs
    state_dict = None
    source = ""
    if transfer.needs_checkpoint(knobs.init):
        path = knobs.checkpoint
        if not path:
            if not data.generated:
                raise InputError(
                    f"checkpoint: init {knobs.init} needs one; make it with python -m monai.bundle run --config_file "
                    f"{knobs.pretrain_config} --dataset_dir {knobs.dataset_dir}, or start with --init random"
                )
            path = pretrain_on_generated(session)
        source = str(path)
        state_dict = read_weights(session, source, network, data)
    report = transfer.initialize(network, knobs.init, state_dict, source)
    session.record("transfer", report.as_dict())
    session.say(report.summary())
    return network


def read_weights(session: Session, path: str, network: SegmentationNetwork, data: Target) -> dict[str, torch.Tensor]:
    """The state dict of a model of ours, or of a published Models Genesis or ImageNet checkpoint, checked against
    ``network``.

    Raises:
        InputError: it is of another network, or its pretext did not train what ``init`` would load.
    """
    ours = network.definition["arguments"]
    is_resnet = network.definition["name"] == "imagenet_unet"
    if is_resnet and str(path).endswith(".safetensors"):
        return imagenet.read(path, ours["backbone"])
    content = checkpoint.read_file(path)
    if "format" not in content:
        if is_resnet:
            return imagenet.read(path, ours["backbone"])
        if network.definition["name"] != "genesis_unet":
            hint = (
                "; --backbone resnet18, resnet34 or resnet50 takes ImageNet's" if imagenet.is_imagenet(content) else ""
            )
            raise InputError(f"checkpoint {path}: a foreign one; expected model.pt of a run{hint}")
        if not network.definition["arguments"].get("batch_statistics"):
            session.say(
                "published Models Genesis weights: they were trained with batch statistics, see --batch_statistics"
            )
        return genesis.read(path)
    model = checkpoint.read_model(path)
    theirs = model["network"]["arguments"]
    if model["network"]["name"] != network.definition["name"]:
        raise InputError(
            f"checkpoint {path}: its network is {model['network']['name']}, this one {network.definition['name']}"
        )
    for name in ("width", "backbone", "in_channels"):
        if theirs.get(name) != ours.get(name):
            hint = f"; --{name} {theirs.get(name)}" if name in session.knobs else ""
            raise InputError(
                f"checkpoint {path}: its network has {name} {theirs.get(name)}, this one {ours.get(name)}{hint}"
            )
    trained = model["provenance"].get("trained_parts", PARTS)
    if untrained := [part for part in transfer.loaded_parts(session.knobs.init) if part not in trained]:
        raise InputError(
            f"init {session.knobs.init}: the pretext of {path} ({model['provenance'].get('pretext')}) did not train "
            f"the {' and '.join(untrained)}; expected --init encoder"
        )
    if model["provenance"].get("data") == data.name:
        seen = set(model["provenance"].get("patients", [])) & data.test_patients
        if seen:
            session.say(f"warning: {len(seen)} of the test patients were in this checkpoint's training data")
    if model["preprocessing"] != data.preprocessing.as_dict():
        session.say("warning: the checkpoint was trained with other preprocessing than this run uses")
    state_dict: dict[str, torch.Tensor] = model["state_dict"]
    return state_dict


def pretrain_on_generated(session: Session) -> str:
    """Run the pretraining bundle on the same generated data, briefly; gives the path of its ``model.pt``."""
    from segxfer3d.bundle import run_bundle  # the bundle runner builds sessions of its own

    knobs = session.knobs
    folder = Path(str(session.folder) + "-pretraining")
    path = folder / "model.pt"
    if not (folder / "done.json").is_file():
        begun = (folder / "run.json").is_file()
        session.say(
            "going on with the pretraining that was stopped"
            if begun
            else "no --checkpoint given and the data are generated: pretraining briefly first"
        )
        shared = (
            "seed", "split_seed", "width", "backbone", "device", "amp", "phantom_patients", "generated_images",
            "patch_size", "image_size", "progress", "num_workers",
        )  # fmt: skip
        values = {name: knobs[name] for name in shared if name in knobs}
        run_bundle(knobs.pretrain_config, output_dir=str(folder), resume=begun, **values)
        torch.manual_seed(knobs.seed)
    idist.barrier()  # model.pt is written by the first process
    return str(path)


def to_training(session: Session, network: nn.Module) -> nn.Module:
    """Bring a network (or pretext) to the device, in the wanted layout, compiled and distributed as asked."""
    knobs = session.knobs
    if isinstance(network, Pretext):
        network.check(knobs.batch_size)
    network = network.to(session.device)
    if knobs.channels_last:
        network = network.to(memory_format=layout_of(network))  # type: ignore[call-overload]
    if session.world_size > 1:
        # a frozen encoder has no gradients in the first epochs of a decoder warm-up
        unused = knobs.get("decoder_warmup_epochs", 0) > 0
        # the head's 1x1x1 weights have no layout of their own: a note about speed that is of no use here
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        devices = [session.device.index] if session.device.type == "cuda" else None
        network = nn.parallel.DistributedDataParallel(network, devices, find_unused_parameters=unused)
    if knobs.compile:
        network.compile()
    return network


class ModelWriter:
    """Writes ``model.pt`` of a run.

    Args:
        session: the run.
        preprocessing: what inference has to repeat.
        classes: label value to name; empty for a pretext.
        provenance: data and cases it was trained on.
        pretext: what it was trained by, where it is a pretext: which parts it trained is noted.
    """

    def __init__(
        self,
        session: Session,
        preprocessing: Preprocessing | ImagePreprocessing,
        classes: dict[int, str],
        provenance: dict[str, Any],
        pretext: Pretext | None = None,
    ) -> None:
        self.session = session
        self.preprocessing = preprocessing
        self.classes = classes
        self.provenance = provenance
        if pretext is not None:
            trained = {"pretext": type(pretext).__name__, "trained_parts": list(pretext.trained_parts)}
            self.provenance = provenance | trained

    def write(self, network: SegmentationNetwork) -> Path:
        """Write the weights of ``network``; gives the file."""
        knobs = self.session.knobs
        path = self.session.folder / "model.pt"
        provenance = {
            "job": self.session.job,
            "patch_size": list(knobs.patch_size) if "patch_size" in knobs else [knobs.image_size] * 2,
            "seed": knobs.seed,
            "init": knobs.get("init", ""),
            **self.provenance,
        }
        if self.session.main:
            checkpoint.write_model(
                path, network.state_dict(), network.definition, self.preprocessing.as_dict(), self.classes, provenance
            )
        self.session.say(f"model: {path}")
        return path


def case_evaluator(session: Session, network: nn.Module, inferer: Inferer, table: CaseTable) -> SupervisedEvaluator:
    """An evaluator that fills ``table``; gone through on demand, after training or alone."""
    return SupervisedEvaluator(
        device=session.device,
        val_data_loader=case_loader(session, table.dataset),
        network=network,
        prepare_batch=prepare_case,
        inferer=inferer,
        val_handlers=[table],
        decollate=False,
    )


def final_table(session: Session, evaluator: SupervisedEvaluator, table: CaseTable) -> None:
    """Evaluate, and show the short table that a run ends with."""
    if len(table.dataset) == 0:
        session.say("no test patients (test_fraction 0): no table")
        return
    processes.share_buffers(evaluator.network)
    evaluator.run()
    session.say(format_table(f"{session.job}, test part", table.summary))
    session.say(f"every case: {session.folder / table.file}")
    save_previews(session, evaluator, table)
