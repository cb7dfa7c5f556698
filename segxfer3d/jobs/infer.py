"""Masks of new volumes and images: the job ``infer``."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from segxfer3d.config import groups
from segxfer3d.config.bundles import Recipe
from segxfer3d.config.engines import Engines
from segxfer3d.config.image_files import ImageFiles
from segxfer3d.config.masks import Masks
from segxfer3d.config.models import Models
from segxfer3d.config.options import Options
from segxfer3d.config.volume_files import VolumeFiles
from segxfer3d.config.windows import Mirroring, SkippedAir, WindowSize
from segxfer3d.data.case import NOUNS, Case
from segxfer3d.data.check import check
from segxfer3d.data.class_names import refuse_other_order
from segxfer3d.data.layouts.dataset_json import NAME, read_declared
from segxfer3d.data.plausible import refuse_masks, refuse_no_hu
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError, once_each, some
from segxfer3d.inference.components import Row, columns_of
from segxfer3d.inference.inputs import modality_of_inputs, passed_files, passed_over
from segxfer3d.inference.model import Model
from segxfer3d.inference.predictions import Prediction, prediction_format, refuse_format, write_prediction
from segxfer3d.jobs.engine import settle_engine
from segxfer3d.jobs.model_fit import refuse_unused, say_fit, say_members, say_precision
from segxfer3d.jobs.source import by_note
from segxfer3d.run.folder import RunFolder


def input_cases(options: Options, run: RunFolder, model: Model) -> tuple[Case, ...]:
    """The volumes or images of the option ``input`` that can be read.

    Args:
        options: of the job.
        run: told what is left out.
        model: that will see them.

    Raises:
        InputError: nothing to segment, files of the other kind than the model's, or files that cannot be used (all at
            once); or several processes.
    """
    if run.place.world_size > 1:
        raise InputError("infer runs in one process; start it with python -m monai.bundle run, without torchrun")
    inference = options[groups.Inference]
    refuse_unused(options, model)
    run.record("transfer", model.transfer.as_dict())
    say_members(run, model)
    say_precision(options, run, model)
    files = options[VolumeFiles]
    patterns = {"image_pattern": files.image_pattern, "label_pattern": files.label_pattern}
    of_channels = {"channel_pattern": files.channel_pattern, "channel_names": files.channel_names}
    case_set = model.inputs(inference.input, series=files.series, uneven=files.uneven_slices, **patterns, **of_channels)
    refuse_format(options[Masks].mask_format, dims=model.dims, sources=[case.image for case in case_set.cases])
    for note in _other_classes(Path(inference.input), model):
        run.say(f"note: {note}")
    if model.dims == 3 and files.modality == "auto":
        _refuse_other_modality(case_set.cases, model)
    report = check(
        case_set,
        skip_bad=inference.skip_bad_cases,
        skip_option=groups.SKIP_BAD_CASES,
        progress=options[groups.Run].progress,
        keep=model.kept if model.dims == 3 else None,
        spacing=model.preprocessing.spacing if isinstance(model.preprocessing, VolumePreprocessing) else None,
    )
    if model.dims == 3 and not files.image_pattern:
        refuse_masks(inference.input, report.good, report.kinds)
    if model.dims == 3 and files.modality == "auto" and _takes_hu(model):
        dicom = {name for names in modality_of_inputs(report.good).values() for name in names}
        silent = [case.name for case in report.good if case.name not in dicom]
        refuse_no_hu(inference.input, silent, report.kinds, model=str(model.path))
    run.record("data_check", report.as_dict())
    if others := passed_over(inference.input, dims=model.dims):
        names = some([path.name for path in others], 3, ", ")
        run.say(f"note: {len(others)} {NOUNS[5 - model.dims]} are passed over, which the model is not for ({names})")
    for passed in passed_files(inference.input, dims=model.dims, series=files.series, **patterns):
        run.say(f"note: {passed}")
    say_fit(run, model, report.good, report)
    for why in once_each(report.bad):
        run.say(f"left out: {why}")
    for note, whose in by_note(report).items():
        run.say(f"note: {some(whose, 3, ', ')}: {note}")
    settle_engine(run, model, report.good, report, options[groups.Windows].overlap)
    return tuple(report.good)


def _other_classes(target: Path, model: Model) -> list[str]:
    """What a ``dataset.json`` beside the inputs calls the classes, where it is not what the model calls them.

    Raises:
        InputError: they have another order.
    """
    for folder in (target, target.parent):
        with suppress(InputError):  # one that says nothing of classes
            if declared := read_declared(folder):
                break
    else:
        return []
    way_on = "masks would have the model's values; inputs that lie elsewhere go on"
    place = f"{folder / NAME}"
    note = refuse_other_order(declared.classes, model.classes, place=place, checkpoint=model.path, way_on=way_on)
    return [f"{folder / NAME}: {note}"] if note else []


def _takes_hu(model: Model) -> bool:
    """Whether its intensities are a window of HU, or those of a CT's foreground; of several channels, of all."""
    scales = model.preprocessing.scales if isinstance(model.preprocessing, VolumePreprocessing) else ()
    return bool(scales) and all(scale.intensity in ("window", "foreground") for scale in scales)


def _refuse_other_modality(cases: Sequence[Case], model: Model) -> None:
    """A model whose intensities are a window of HU takes CT only."""
    if not _takes_hu(model):
        return
    others = {modality: names for modality, names in modality_of_inputs(cases).items() if modality != "CT"}
    if others:
        listed = "; ".join(f"{some(names, 3, ', ')}: {modality}" for modality, names in others.items())
        raise InputError(
            f"checkpoint {model.path}: a model of CT in HU; inputs are of another modality ({listed}); "
            "--modality CT takes them as they are"
        )


class Segmenter:
    """Writes a mask for every case, and ``components.csv``.

    Args:
        options: of the job.
        run: where they are written.
        model: to use.
        cases: volumes or images of the model's kind.
    """

    def __init__(self, options: Options, run: RunFolder, *, model: Model, cases: Sequence[Case]) -> None:
        self.run_folder = run
        self.model = model
        self.cases = cases
        self.probabilities = options[groups.Inference].probabilities
        self.mask_format = options[Masks].mask_format
        self.rows: list[Row] = []

    def run(self) -> None:
        """Segment every input in turn; a mask that is written stays, whatever happens to the next.

        While a case passes the network, the mask of the one before is written and its components are measured.
        """
        with ThreadPoolExecutor(1, "writing") as pool:
            writing: Future[tuple[list[Row], list[str]]] | None = None
            try:
                for number, prediction in enumerate(
                    self.model.predict_each(self.cases, probabilities=self.probabilities), 1
                ):
                    last, writing = writing, None
                    self._say(last)
                    writing = pool.submit(self._written, number, prediction)
                    del prediction  # not while the next one is waited for
            finally:
                self._say(writing)
        if count := getattr(self.model.inferer, "passed_over", 0):
            self.run_folder.say(f"skip_air: {count} windows of air were passed over")
        self.run_folder.say(f"masks and components.csv: {self.run_folder.path}")

    def _written(self, number: int, prediction: Prediction) -> tuple[list[Row], list[str]]:
        """Write what is said of a case; the rows of its components, and what a user should hear."""
        path, volume = self.run_folder.path, self.model.dims == 3
        write_prediction(path, prediction, probabilities=self.probabilities, mask_format=self.mask_format)
        said = []
        if volume and (why := prediction_format(prediction, self.mask_format).why):
            said.append(f"note: {prediction.name}: {why}")
        components = prediction.components()
        size = f"{int((prediction.mask > 0).sum())} {'voxels' if volume else 'pixels'}"
        said.append(f"{number}/{len(self.cases)} {prediction.name}: {len(components)} components, {size}")
        return components, said

    def _say(self, writing: Future[tuple[list[Row], list[str]]] | None) -> None:
        """Wait for what is being written, and say it."""
        if writing is None:
            return
        components, said = writing.result()
        self.rows += components
        self.run_folder.write_rows("components.csv", self.rows, columns_of(self.model.dims))
        for text in said:
            self.run_folder.say(text)


RECIPE = Recipe(
    name="infer",
    description="Masks and a list of components for new volumes or images, by a fine-tuned model.",
    base="apply",
    dims=0,
    options=(
        groups.Inference, Models, VolumeFiles, ImageFiles, Masks, groups.Windows, WindowSize, SkippedAir, Mirroring,
        Engines,
    ),
    imports=(
        "import segxfer3d.inference.ensemble as ensemble",
        "import segxfer3d.inference.precision as precision",
    ),
    differs={
        "amp": "$precision.amp_of(@checkpoint, @model_dir) and devices.has_fast_bf16(@device)",
        "batch_size": 2,
        "spread": "auto",
        "dataset_dir": "@input",
        "model": {
            "_target_": "segxfer3d.inference.ensemble.load_models",
            "folder": "@model_dir", "spacing_of": "@spacing_of",
            "path": "$@options[groups.Inference].checkpoint", "device": "$@place.device", "overlap": "@overlap",
            "window": "@window", "spread": "@spread", "reuse": True, "skip_air": "$@skip_air and not @probabilities",
            "mirroring": "@mirroring",
            "batch_size": "$@batch_size or 2", "amp": "@amp", "channels_last": "@channels_last",
            "progress": "@progress", "image_kind": "@image_kind", "exif": "@exif", "engine": "@engine",
        },
        "network_def": "$@model.network",
        "inferer": "$@model.inferer",
        "dataset": {
            "_target_": "segxfer3d.jobs.infer.input_cases",
            "options": "@options", "run": "@run_folder", "model": "@model",
        },
        "segmenter": {
            "_target_": "segxfer3d.jobs.infer.Segmenter",
            "options": "@options", "run": "@run_folder", "model": "@model", "cases": "@dataset",
        },
        "evaluator": "@segmenter",  # what MONAI asks a bundle of inference for, as it does for "dataset"
        "initialize": ["@options", "@run_folder", "@segmenter", "$@run_folder.begin()"],
        "run": ["$@segmenter.run()"],
    },
)  # fmt: skip
