"""Measuring a model on labeled cases: the final table of a fine-tuning, and the job ``evaluate``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from monai.engines import SupervisedEvaluator

from segxfer3d.config import groups
from segxfer3d.config.bundles import Recipe
from segxfer3d.config.engines import Engines
from segxfer3d.config.image_files import ImageFiles
from segxfer3d.config.models import Models
from segxfer3d.config.options import Options
from segxfer3d.config.own_split import NOT_SAID, OwnSplit
from segxfer3d.config.store import Store
from segxfer3d.config.volume_files import VolumeFiles
from segxfer3d.config.windows import Mirroring, WindowSize
from segxfer3d.data.case import Case, unit_of
from segxfer3d.data.content_hash import SAME
from segxfer3d.data.layouts import OtherKindError
from segxfer3d.data.split import by_patient, few_of_all
from segxfer3d.errors import InputError
from segxfer3d.evaluation.evaluate import case_evaluator, check_fit, empty_table
from segxfer3d.evaluation.preview_cases import take_previews
from segxfer3d.evaluation.previews import write_previews
from segxfer3d.evaluation.summary import format_table
from segxfer3d.evaluation.tables import CaseTable
from segxfer3d.inference.inputs import MODELS
from segxfer3d.inference.model import Model
from segxfer3d.jobs.engine import settle_engine
from segxfer3d.jobs.holding import stored_before
from segxfer3d.jobs.model_fit import refuse_unused, say_fit, say_members, say_precision
from segxfer3d.jobs.source import Source, find_source
from segxfer3d.jobs.vanished import say_vanished
from segxfer3d.run import processes
from segxfer3d.run.folder import RunFolder
from segxfer3d.training.loaders import EVALUATION_BATCH
from segxfer3d.weights.lineage import Sighting, sightings

_VOLUMES = "checkpoint.dims_of(ensemble.first_of(@checkpoint, @model_dir)) == 3"
KEPT_VOXELS = 100_000_000  # of measured cases that the previews may be made of: 200 MB, one byte each of mask and label


def evaluation_table(options: Options, run: RunFolder, model: Model) -> CaseTable:
    """The cases of the option ``part``, preprocessed as the model's checkpoint says, in a table to be filled.

    Volumes are measured on their files' grid, images at the size that the network sees: as fine-tuning measured them.

    Raises:
        InputError: data of another kind or with other classes than the model's, or the part is empty.
    """
    refuse_unused(options, model)
    run.record("transfer", model.transfer.as_dict())
    say_members(run, model)
    say_precision(options, run, model)
    images = model.dims == 2
    try:
        source = find_source(
            options,
            run,
            dims=model.dims,
            task="segmentation",
            split_rule=few_of_all if images else by_patient,
            labels=images,
            preprocessing=model.preprocessing,
        )
    except OtherKindError as error:
        raise InputError(f"checkpoint {model.path}: {MODELS[model.dims]}; {error.content}") from error
    if note := check_fit(model, source.case_set):
        run.say(f"note: {note}")
    part = options[groups.Evaluation].part
    cases = source.report.good if part == "all" else getattr(source.split, part)
    if not cases:
        raise InputError(f"part {part}: no cases in it at these fractions")
    _warn_of_seen(run, model, source, cases)
    say_fit(run, model, cases, source.report)
    settle_engine(run, model, cases, source.report, options[groups.Windows].overlap)
    lesions, stored = options[groups.Lesions], stored_before(options, source)
    table = empty_table(
        model,
        cases,
        source.case_set,
        measured="network" if images else "file",
        lesions=lesions.lesions,
        lesion_tolerance=lesions.lesion_tolerance,
        lesion_min_iou=lesions.lesion_min_iou,
        progress=options[groups.Run].progress and run.main,
        kept=source.kept,
        stored=None if stored is None else stored.whole,
    )
    say_vanished(run, (table.dataset,), refuse=False)
    return table


def _warn_of_seen(run: RunFolder, model: Model, source: Source, cases: Sequence[Case]) -> None:
    """Cases are told by their patients within a data set, and by what they show, under any folder and name."""
    patients = {case.patient for case in cases}
    found = sightings(model.provenance, name=source.name, patients=patients, contents=source.contents(cases))
    for text in (text for sighting in found for text in _sighting_in_words(sighting, source, cases)):
        run.say(f"warning: {text}: not an honest figure")


def _sighting_in_words(sighting: Sighting, source: Source, cases: Sequence[Case]) -> Iterator[str]:
    what, same = SAME[source.case_set.dims]
    trained = f"through its start, the model was trained, {sighting.how}, on"
    if number := len(sighting.patients):
        if sighting.through_start:
            yield f"{trained} {number} of these {unit_of(cases, source.case_set.dims)}"
        else:
            yield f"{number} of these patients' labels were used to train the model"
    if number := len(sighting.contents):
        where = f"the same {same}, in the data set {' and '.join(sighting.places)}"
        if sighting.through_start:
            yield f"{trained} {number} of these {what}: {where}"
        else:
            yield f"{number} of these {what} trained the model: {where}"


def evaluator_of(model: Model, table: CaseTable) -> SupervisedEvaluator:
    """An evaluator that fills ``table`` with what the model predicts."""
    return case_evaluator(model.network, table, inferer=model.inferer, device=model.device, batch_size=EVALUATION_BATCH)


def final_table(run: RunFolder, evaluator: SupervisedEvaluator, table: CaseTable, part: str = "test") -> None:
    """Evaluate, write what was measured, and show the short table that a run ends with; ``part`` is what it is of."""
    if len(table.dataset) == 0:
        run.say("nobody is in the test part: no table")
        return
    processes.share_buffers(evaluator.network)
    table.most_kept = KEPT_VOXELS
    evaluator.run()
    for name, content in table.files().items():
        if name.endswith(".csv"):
            run.write_rows(name, content)
        else:
            run.write_json(name, content)
    run.say(format_table(f"{run.job}, {'all cases' if part == 'all' else f'{part} part'}", table.summary))
    run.say(f"every case: {run.path / 'cases.csv'}")
    if run.main:
        write_previews(run.path, take_previews(evaluator, table))
    table.kept.clear()


RECIPE = Recipe(
    name="evaluate",
    description="Measure a fine-tuned model on labeled cases: a row of dice and IoU for each.",
    base="apply",
    dims=0,
    options=(
        groups.Data, OwnSplit, groups.TestPart, groups.Labels, groups.Evaluation, Models, groups.Phantoms,
        groups.Images, groups.Windows, WindowSize, Mirroring, groups.Lesions, VolumeFiles, ImageFiles, Store,
        Engines,
    ),
    imports=(
        "import segxfer3d.jobs.evaluate as evaluate",
        "import segxfer3d.inference.ensemble as ensemble",
        "import segxfer3d.inference.precision as precision",
        "import segxfer3d.weights.checkpoint as checkpoint",
    ),
    differs={
        "amp": "$precision.amp_of(@checkpoint, @model_dir) and devices.has_fast_bf16(@device)",
        "spread": "auto",
        "label_fraction": "$None if @dataset_dir or @label_count else 0.2",
        "validation_fraction": f"$0.15 if {_VOLUMES} else 0.0",
        "test_fraction": f"${NOT_SAID}0.25 if {_VOLUMES} else 0.0",
        "model": {
            "_target_": "segxfer3d.inference.ensemble.load_models",
            "folder": "@model_dir", "spacing_of": "@spacing_of",
            "path": "$@options[groups.Evaluation].checkpoint", "device": "$@place.device", "overlap": "@overlap",
            "window": "@window", "spread": "@spread", "mirroring": "@mirroring",
            "amp": "@amp", "channels_last": "@channels_last", "engine": "@engine",
        },
        "network_def": "$@model.network",
        "table": {
            "_target_": "segxfer3d.jobs.evaluate.evaluation_table",
            "options": "@options", "run": "@run_folder", "model": "@model",
        },
        "evaluator": {"_target_": "segxfer3d.jobs.evaluate.evaluator_of", "model": "@model", "table": "@table"},
        "initialize": ["@options", "@run_folder", "@evaluator", "$@run_folder.begin()"],
        "run": ["$evaluate.final_table(@run_folder, @evaluator, @table, @part)"],
    },
)  # fmt: skip
