"""The data of a job: found, checked and split as its options say, volumes and images alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from segxfer3d.config import groups, learning
from segxfer3d.config.channels import each_channel
from segxfer3d.config.image_files import ImageFiles
from segxfer3d.config.options import Options
from segxfer3d.config.volume_files import VolumeFiles
from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.check import CheckReport, Keep, check, refuse_without_target, refuse_wrong_modality
from segxfer3d.data.layouts import Request, about, find_cases
from segxfer3d.data.layouts.image_files import short_name
from segxfer3d.data.layouts.label_files import require_labels
from segxfer3d.data.plausible import no_hu, refuse_mask_images, refuse_masks
from segxfer3d.data.preprocessing import Preprocessing
from segxfer3d.data.preprocessing.images import ImagePreprocessing
from segxfer3d.data.preprocessing.loaded_volumes import KeptVolumes
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.data.seen import Seen, noted
from segxfer3d.data.split import Split
from segxfer3d.data.synthetic.images import write_images
from segxfer3d.data.synthetic.phantoms import write_phantoms
from segxfer3d.errors import InputError, once_each, some
from segxfer3d.files import names_hash
from segxfer3d.jobs.generated import generated_data
from segxfer3d.jobs.made_from import take_data
from segxfer3d.jobs.own_split import split_cases, split_said
from segxfer3d.run.folder import RunFolder
from segxfer3d.run.made_from import CASES, SEEN

# segxfer3d.data.split.by_patient or few_of_all
SplitRule = Callable[..., Split]


@dataclass(frozen=True)
class Source:
    """The cases of a job, checked and split.

    Attributes:
        case_set: what was found.
        report: of the check; its ``good`` cases are those that can be used.
        split: of the cases.
        preprocessing: of every case.
        generated: whether the data were made because none were given.
        kept: volumes as the check has read them, as many as there is room for.
        earlier: states of the data that a run which goes on may have trained on before, see
            :class:`~segxfer3d.run.made_from.MadeFrom`.
    """

    case_set: CaseSet
    report: CheckReport
    split: Split
    preprocessing: Preprocessing
    generated: bool
    kept: KeptVolumes = field(default_factory=lambda: KeptVolumes(0))
    earlier: Sequence[Mapping[str, Any]] = ()

    @property
    def name(self) -> str:
        """Of the data set."""
        return self.case_set.name

    def provenance(self, cases: Sequence[Case]) -> dict[str, Any]:
        """Which of the cases something was learned from, in whatever state they were, for a checkpoint."""
        about = {
            "data": self.name,
            "cases": len(cases),
            "patients": sorted({case.patient for case in cases}),
            "cases_hash": names_hash(case.name for case in cases),
        }
        if parts := official_parts_of(cases):
            about["official_parts"] = parts
        contents = {value for case in cases for value in self.report.noted(case)}
        for state in self.earlier:
            contents |= {state[CASES][case.name][0] for case in cases if state.get(CASES, {}).get(case.name)}
        about["contents"] = sorted(contents)
        if self.case_set.dims == 2:
            return about | {"target": self.case_set.target}
        looks = [self.report.seen[case.name] for case in cases if case.name in self.report.seen]
        return about | noted([*looks, *(look for look in self._looks_before(cases) if look not in looks)])

    def contents(self, cases: Iterable[Case]) -> dict[str, str]:
        """What some cases show, as hashes of their decoded values, under any name and in any folder; of an image there
        is one for each way in which a checkpoint may know it. Each has the one that stands for its case."""
        known = [(noted, self.report.recast.get(case.name, ())) for case in cases if (noted := self.report.noted(case))]
        others = {value: noted[0] for noted, recast in known for value in (*noted, *recast)}
        return others | {noted[0]: noted[0] for noted, _ in known}

    def _looks_before(self, cases: Sequence[Case]) -> set[Seen]:
        found = [state[SEEN][case.name] for state in self.earlier for case in cases if case.name in state.get(SEEN, {})]
        return {(tuple(look["spacing"]), tuple((low, high) for low, high in look["values"])) for look in found}


def official_parts_of(cases: Sequence[Case]) -> dict[str, int]:
    """How many cases are of each official part of their data set (``train``, ``val``); empty where it has none."""
    return dict(sorted(Counter(case.part for case in cases if case.part).items()))


def find_source(
    options: Options,
    run: RunFolder,
    *,
    dims: int,
    task: str,
    split_rule: SplitRule,
    labels: bool,
    preprocessing: Preprocessing | None = None,
    keep: Keep | None = None,
) -> Source:
    """Find, check and split the data that the options name, or make some where they name none.

    Args:
        options: of the job.
        run: told what was found.
        dims: 3 for volumes, 2 for images.
        task: ``segmentation``, ``classification`` or ``images``: what the job needs beside images.
        split_rule: who is in which part.
        labels: draw labels to train on, too; False for pretraining.
        preprocessing: of a checkpoint, where one is used; else what the options say.
        keep: is given each image as the check reads it; volumes are kept in any case.

    Raises:
        InputError: anything wrong with the data; all bad cases at once.
    """
    data = options[groups.Data]
    if data.dataset and not data.dataset_dir:
        raise InputError(f"dataset_dir: where is the data set {data.dataset}? Expected its folder")
    said = split_said(options, labels=task == "segmentation")
    generated = not data.dataset_dir
    root = _generated(options, run, dims) if generated else Path(data.dataset_dir)
    layout = "folder" if generated and dims == 2 else data.dataset
    kept = KeptVolumes()
    keep = kept if dims == 3 else keep
    spacing = preprocessing.spacing if isinstance(preprocessing, VolumePreprocessing) else _spacing(options)
    case_set, report = find_checked(
        options,
        run,
        root,
        dims=dims,
        layout=layout,
        task=task,
        keep=keep,
        spacing=spacing,
        look=said.look if said else None,
    )
    if dims == 2 and len(report.good) < 2:
        raise InputError(f"{case_set.root}: one image only; expected at least two")
    try:
        if said is None:
            split = split_cases(options, report.good, split_rule, labels=labels)
        else:
            split = said.split(options, report.good, dims=dims, labels=labels, run=run)
    except InputError as error:
        if not case_set.target:
            raise
        raise InputError(f"{case_set.layout}, {case_set.target}: {error}") from error
    run.record("split", split.as_dict() | (said.record if said else {}))
    if preprocessing is None:
        preprocessing = _preprocessing(options, case_set)
        if dims == 3 and options[groups.Volumes].intensity == "auto":
            refuse_wrong_modality(case_set, report)
            if case_set.assumed and (others := no_hu([case.name for case in report.good], report.kinds)):
                run.say(
                    f"warning: taken for CT in HU, without a value below 0 or of a small range: {some(others, 5, ', ')}"
                )
    more = said.record if said else {}
    take_data(run, case_set, report, split=split, labels=labels, preprocessing=preprocessing, said=more)
    return Source(case_set, report, split, preprocessing, generated, kept, run.made_from.earlier)


def find_checked(
    options: Options,
    run: RunFolder,
    root: Path,
    *,
    dims: int,
    layout: str,
    task: str,
    record: str = "data_check",
    keep: Keep | None = None,
    spacing: tuple[float, float, float] | None = None,
    look: Callable[[CaseSet], None] | None = None,
) -> tuple[CaseSet, CheckReport]:
    """The cases of a folder, each opened once, and shown to ``look`` before; what was found is said and recorded.

    Raises:
        InputError: anything wrong with them; all bad cases at once.
    """
    data, images = options[groups.Data], options.find(groups.Images)
    progress = options[groups.Run].progress and run.main
    request = Request(
        layout=layout,
        dims=dims,
        task=task,
        target=images.target if images and record == "data_check" else "",
        border=images.border if images else "ignore",
        extent=images.extent if images and record == "data_check" else "all",
        patient_pattern=data.patient_pattern,
        label_map=data.label_map,
        **_files(options),
        seed=data.split_seed,
        skip_bad=data.skip_bad_cases,
        skip_option=groups.SKIP_BAD_CASES,
        progress=progress,
    )
    case_set = find_cases(root, request)
    run.say(f"data: {about(case_set)}")
    for note in case_set.notes:
        run.say(f"note: {note}")
    if look is not None:
        look(case_set)
    cases: Sequence[Case] = case_set.cases
    if task == "segmentation" and dims == 3:
        cases = require_labels(case_set, "this job needs image/label pairs (imagesTr and labelsTr, or dataset.json)")
    report = check(
        case_set, cases, skip_bad=data.skip_bad_cases, skip_option=groups.SKIP_BAD_CASES, progress=progress, keep=keep,
        spacing=spacing, identify=True,
    )  # fmt: skip
    if dims == 3 and case_set.layout == "folder" and not request.image_pattern:
        refuse_masks(root, report.good, report.kinds)
    if dims == 2 and case_set.layout == "folder":
        for note in refuse_mask_images(root, report.good, report.kinds, short_name):
            run.say(f"note: {note}")
    run.record(record, report.as_dict())
    for why in once_each(report.bad):
        run.say(f"left out: {why}")
    if task == "segmentation":
        refuse_without_target(case_set, report)
    if report.empty_labels:
        run.say(f"warning: {len(report.empty_labels)} labels are empty: {some(report.empty_labels, 5, ', ')}")
    for note, names in by_note(report).items():
        run.say(f"note: {some(names, 3, ', ')}: {note}")
    if report.converted:
        run.say(f"note: {len(report.converted)} images of another color mode were converted (see {record}.json)")
    return case_set, report


def by_note(report: CheckReport) -> dict[str, list[str]]:
    """What is to be said of how volumes were read, and of which."""
    names: dict[str, list[str]] = {}
    for name, note in report.read_notes.items():
        names.setdefault(note, []).append(name)
    return names


def _files(options: Options) -> dict[str, Any]:
    """What the options say of the files that are meant."""
    groups_of_files = (options.find(VolumeFiles), options.find(ImageFiles))
    return {name: value for files in groups_of_files if files for name, value in asdict(files).items()}


def _spacing(options: Options) -> tuple[float, float, float] | None:
    """What volumes will be resampled to, where somebody set it."""
    volumes = options.find(groups.Volumes)
    return volumes.spacing if volumes else None


def _generated(options: Options, run: RunFolder, dims: int) -> Path:
    phantoms, images = options.find(groups.Phantoms), options.find(groups.Images)
    if dims == 3:
        folder = generated_data(run, write_phantoms, phantoms.phantom_patients if phantoms else 16)
        run.say(f"no --dataset_dir given: using chest-CT phantoms in {folder}")
    else:
        folder = generated_data(run, write_images, images.generated_images if images else 300)
        run.say(f"no --dataset_dir given: using generated images in {folder}")
    return folder


def _preprocessing(options: Options, case_set: CaseSet) -> Preprocessing:
    if case_set.dims == 2:
        return ImagePreprocessing(options[groups.ImageNetwork].image_size, case_set.channels)
    volumes, planned = options[groups.Volumes], options.find(learning.Planned)
    rules = each_channel("intensity", volumes.intensity, case_set.channels)
    if "foreground" in rules:  # whose numbers are the plan's, which comes after the cases
        if options.find(learning.Learning) is None or planned is None or planned.plan == "none":
            raise InputError("intensity foreground: needs a plan made from labels, as fine-tuning has with --plan data")
        rules = tuple("auto" if rule == "foreground" else rule for rule in rules)
    return VolumePreprocessing.for_modality(
        *case_set.modalities,
        intensity=rules,
        spacing=volumes.spacing,
        window_low=volumes.window_low,
        window_high=volumes.window_high,
        channel_names=case_set.channel_names,
    )


def say_padding(run: RunFolder, report: CheckReport, patch: Sequence[int]) -> None:
    """Say how many volumes are smaller than a patch."""
    small = sum(any(s < p for s, p in zip(shape, patch, strict=True)) for shape in report.shapes.values())
    if small:
        run.say(f"{small} of {len(report.shapes)} volumes are smaller than the patch {list(patch)}: padded with 0")
