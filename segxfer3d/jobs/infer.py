"""Masks of new volumes and images: the job ``infer``."""

from __future__ import annotations

from segxfer3d.config import groups
from segxfer3d.config.bundles import Recipe
from segxfer3d.config.options import Options
from segxfer3d.data.check import check
from segxfer3d.errors import InputError
from segxfer3d.inference.components import columns_of
from segxfer3d.inference.model import Model, write_prediction
from segxfer3d.run.folder import RunFolder


class Segmenter:
    """Writes a mask for every input, and ``components.csv``.

    Args:
        options: of the job.
        run: where they are written.
        model: to use.

    Raises:
        InputError: nothing to segment, files of the other kind than the model's, or files that cannot be used (all at
            once); or several processes.
    """

    def __init__(self, options: Options, run: RunFolder, model: Model) -> None:
        if run.place.world_size > 1:
            raise InputError("infer runs in one process; start it with python -m monai.bundle run, without torchrun")
        self.run_folder = run
        self.model = model
        self.probabilities = options[groups.Inference].probabilities
        run.record("transfer", model.transfer.as_dict())
        case_set = model.inputs(options[groups.Inference].input)
        report = check(
            case_set,
            skip_bad=options[groups.Inference].skip_bad_cases,
            progress=options[groups.Run].progress,
        )
        run.record("data_check", report.as_dict())
        for name, why in report.bad.items():
            run.say(f"left out: {name} ({why})")
        self.cases = report.good

    def run(self) -> None:
        """Segment every input in turn; a mask that is written stays, whatever happens to the next."""
        run, rows = self.run_folder, []
        unit = "voxels" if self.model.dims == 3 else "pixels"
        for number, prediction in enumerate(self.model.predict_each(self.cases), 1):
            write_prediction(run.path, prediction, probabilities=self.probabilities)
            components = prediction.components()
            rows += components
            run.write_rows("components.csv", rows, columns_of(self.model.dims))
            run.say(
                f"{number}/{len(self.cases)} {prediction.name}: {len(components)} components, "
                f"{int((prediction.mask > 0).sum())} {unit}"
            )
        run.say(f"masks and components.csv: {run.path}")


RECIPE = Recipe(
    name="infer",
    description="Masks and a list of components for new volumes or images, by a fine-tuned model.",
    base="apply",
    dims=0,
    options=(groups.Inference, groups.Windows),
    differs={
        "amp": "$devices.has_fast_bf16(@device)",
        "batch_size": 2,
        "dataset_dir": "@input",
        "model": {
            "_target_": "segxfer3d.inference.model.load_model",
            "path": "$@options[groups.Inference].checkpoint", "device": "$@place.device", "overlap": "@overlap",
            "batch_size": "@batch_size", "amp": "@amp", "channels_last": "@channels_last", "progress": "@progress",
        },
        "network_def": "$@model.network",
        "inferer": "$@model.inferer",
        "segmenter": {
            "_target_": "segxfer3d.jobs.infer.Segmenter",
            "options": "@options", "run": "@run_folder", "model": "@model",
        },
        "initialize": ["@options", "@run_folder", "@segmenter", "$@run_folder.begin()"],
        "run": ["$@segmenter.run()"],
    },
)  # fmt: skip
