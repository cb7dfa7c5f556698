"""The figures of a report: drawn once, kept beside the page, and put into it."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from segxfer3d.errors import InputError
from segxfer3d.evaluation.previews import SHARED, Preview
from segxfer3d.files import write_bytes
from segxfer3d.report.budgets import units_of
from segxfer3d.report.collect import Collection
from segxfer3d.report.figures.cka import draw_cka
from segxfer3d.report.figures.galleries import Sample, mask_gallery
from segxfer3d.report.figures.means import Mean, Patients, dice_over_labels, patient_scatter
from segxfer3d.report.figures.plots import Bar, dice_over_steps, forest
from segxfer3d.report.figures.style import extent, lines, save, styled
from segxfer3d.report.results import Result
from segxfer3d.report.run_files import Problem, Run
from segxfer3d.report.scores import class_columns

_MARGIN = 24  # pixels around a label in a gallery of volumes
_JPEG = 88  # quality


@dataclass(frozen=True)
class Picture:
    """A figure in the page: ``data`` is a data URL, ``alt`` what it shows in words."""

    title: str
    alt: str
    data: str


def draw_curves(results: Sequence[Result]) -> Figure | None:
    """Dice on the validation part over steps, one panel for each result; None where there are no curves."""
    panels = {
        result.title: {
            arm: ([step for step, _ in next(iter(seeds.values()))], [[d for _, d in c] for c in seeds.values()])
            for arm, seeds in result.curves.items()
        }
        for result in results
        if result.curves
    }
    if not panels:
        return None
    highest = max(np.max(values) for arms in panels.values() for _, values in arms.values())
    return dice_over_steps(panels, "dice in percent, validation part", (0, min(100.0, 1.1 * float(highest) + 1)))


def draw_forest(results: Sequence[Result]) -> Figure | None:
    """Differences of all comparisons with their intervals; None where nothing was compared."""
    panels = {}
    for result in results:
        colors = lines([arm.arm.name for arm in result.arms])
        bars = [
            Bar(
                f"{pair.arm} − {pair.reference}",
                pair.difference,
                pair.interval,
                colors[pair.arm][0],
                pair.seed_differences,
            )
            for pair, _ in result.comparisons
        ]
        if bars:
            panels[result.title] = bars
    return forest(panels, "difference of dice, percentage points") if panels else None


def draw_labels(results: Sequence[Result]) -> Figure | None:
    """Dice of every arm against the number of labels, a panel for each data set; None where nothing is done."""
    panels: dict[str, dict[str, dict[str, Mean]]] = {}
    for result in results:
        share = result.budget_name[:1] == "f"
        labels = (
            "all" if result.budget_name == "all" else f"{100 * result.budget:g} %" if share else f"{result.budget:g}"
        )
        panels.setdefault(result.data or "test part", {})[labels] = {
            arm.arm.name: Mean(arm.over_patients.get("dice", arm.measures["dice"][0]), arm.interval, arm.trainings)
            for arm in result.arms
        }
    of = units_of([run for result in results for run in result.runs])
    return dice_over_labels(panels, "dice in percent, test part", f"labeled {of}") if panels else None


def draw_patients(results: Sequence[Result]) -> Figure | None:
    """Patient by patient: the arm of the highest mean against the reference; None where arms are not paired."""
    panels = {}
    for result in results:
        pair = result.shown_pair()
        if pair is None or result.scores is None or result.compared[1] < 2:
            continue
        means = result.scores.patient_means().mean(1)
        arm, reference = (result.scores.index(name) for name in (pair[0].arm, pair[0].reference))
        panels[result.title] = Patients(pair[0].arm, pair[0].reference, means[arm], means[reference])
    return patient_scatter(panels, "dice in percent") if panels else None


def draw_gallery(result: Result, problems: list[Problem]) -> Figure | None:
    """The cases that all runs keep, with the masks of every arm, of the first seed that all arms have.

    None where there are none.
    """
    seeds = [set(arm.seeds) for arm in result.arms]
    for seed in sorted(set.intersection(*seeds)):
        kept = {run.arm: _shared(run, problems) for run in result.runs if run.seed == seed}
        names = [name for name in next(iter(kept.values())) if all(name in of_arm for of_arm in kept.values())]
        if not names:
            continue
        first = next(iter(kept.values()))
        samples = [_sample(first[name]) for name in names]
        shapes = [sample.label.shape for sample in samples]
        predictions = {arm: [of_arm[name].prediction for name in names] for arm, of_arm in kept.items()}
        if any([mask.shape for mask in masks] != shapes for masks in predictions.values()):
            continue
        return mask_gallery(
            samples,
            predictions,
            class_names(result.runs[0]),
            window=(0.0, 255.0),
            margin=_MARGIN if samples[0].label.ndim == 3 else None,
            dice={arm: [of_arm[name].dice for name in names] for arm, of_arm in kept.items()},
        )
    return None


def class_names(run: Run) -> dict[int, str]:
    """Value in a preview to name of the class, as the columns of the table of cases tell."""
    measures = class_columns(run.summary).values()
    names = [name.removeprefix("dice_") for name in measures if name.startswith("dice_")]
    return dict(enumerate(names, 1)) or {1: "foreground"}


def _shared(run: Run, problems: list[Problem]) -> dict[str, Preview]:
    try:
        return {preview.case: preview for preview in run.previews() if SHARED in preview.roles}
    except InputError as error:
        problems.append(Problem(run.name, str(error).replace(f"{run.folder}/", "")))
        return {}


def _sample(preview: Preview) -> Sample:
    x, y, z = (*preview.spacing, 1.0)[:3]
    return Sample(preview.words, preview.image, preview.label, (x, y, z))


def draw_all(
    collection: Collection, results: Sequence[Result], folder: Path, *, all_figures: bool = False
) -> tuple[dict[str, list[Picture]], list[Problem]]:
    """Draw everything once, save it below ``folder``, and give the same pictures by section of the page.

    Sections are ``forest``, ``labels``, ``patients``, ``curves``, ``gallery`` and ``cka``. Plots are SVG, photographs
    JPEG.

    Args:
        collection, results: what is drawn.
        folder: beside the page.
        all_figures: save each as PDF, too, and draw the masks of every label budget, not of the smallest alone.
    """
    problems: list[Problem] = []
    pictures: dict[str, list[Picture]] = {
        section: [] for section in ("forest", "labels", "patients", "curves", "gallery", "cka")
    }

    def keep(section: str, title: str, alt: str, name: str, figure: Figure | None, photo: bool = False) -> None:
        if figure is None:
            return
        if all_figures:
            save(figure, folder / f"{name}.pdf")
        if photo:
            content = _jpeg(figure)
            write_bytes(folder / f"{name}.jpg", content)
            data = _url("image/jpeg", content)
        else:
            data = _url("image/svg+xml", save(figure, folder / f"{name}.svg").read_bytes())
        pictures[section].append(Picture(title, alt, data))

    for section, alt, name, figure in (
        ("forest", "Differences of dice with 95 % intervals", "differences", draw_forest(results)),
        ("labels", "Dice of every arm against the number of labels", "dice_over_labels", draw_labels(results)),
        ("patients", "One arm against another, patient by patient", "patients", draw_patients(results)),
        ("curves", "Dice on the validation part over training steps", "dice_over_steps", draw_curves(results)),
    ):
        keep(section, "", alt, name, figure)
    smallest = {result.data: result.title for result in reversed(results)}
    for result in (one for one in results if all_figures or smallest[one.data] == one.title):
        alt = f"True and predicted outlines of every arm, {result.title}"
        figure = draw_gallery(result, problems)
        keep("gallery", result.title, alt, f"masks-{file_name(result.title)}", figure, photo=True)
    for where, content in collection.cka.items():
        name = file_name(where.removesuffix(".json"))
        try:
            keep("cka", where, "Similarity of representations", name, draw_cka(content))
        except InputError as error:
            problems.append(Problem(where, str(error)))
    return pictures, problems


def file_name(text: str) -> str:
    """A text as the name of a file: letters, digits and ``._-`` only."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text.replace("%", "percent")).strip("-.") or "figure"


def _url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _jpeg(figure: Figure) -> bytes:
    """Photographs with outlines: a tenth of a PNG's size."""
    content = io.BytesIO()
    with styled():
        figure.savefig(content, format="jpg", dpi=140, bbox_inches=extent(figure), pil_kwargs={"quality": _JPEG})
    return content.getvalue()
