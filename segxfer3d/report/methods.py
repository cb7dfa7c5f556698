"""The methods paragraph of a report, to paste, with its references."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from segxfer3d.errors import numbered
from segxfer3d.report.arms import Arm
from segxfer3d.report.budgets import units_of
from segxfer3d.report.collect import Collection
from segxfer3d.report.pretexts import noted, pretext_of
from segxfer3d.report.results import Result
from segxfer3d.report.run_files import Run
from segxfer3d.statistics.verdict import MIN_PATIENTS, MIN_SEEDS
from segxfer3d.study.recipes import RECIPE
from segxfer3d.study.states import DONE

_THE_PAPER = "Transfer Learning for Segmentation Problems: Choose the Right Encoder and Skip the Decoder"
REFERENCES = {
    "dippel": f"Dippel J, Lenga M, Goerttler T, Obermayer K, Höhne J. {_THE_PAPER}. arXiv:2207.14508, 2022.",
    "monai": (
        "Cardoso MJ, et al. MONAI: An open-source framework for deep learning in healthcare. arXiv:2211.02701, 2022."
    ),
    "weerahandi": (
        "Weerahandi S. Generalized Confidence Intervals. Journal of the American Statistical Association "
        "88(423):899-905, 1993."
    ),
    "holm": (
        "Holm S. A Simple Sequentially Rejective Multiple Test Procedure. Scandinavian Journal of Statistics "
        "6(2):65-70, 1979."
    ),
}


def methods(collection: Collection, results: Sequence[Result]) -> tuple[str, list[str]]:
    """A paragraph that says what was done, from the run folders alone, and the references it cites as [1], [2], ..."""
    references: list[str] = []

    def cite(reference: str) -> str:
        if _THE_PAPER in reference:
            reference = REFERENCES["dippel"]  # a pretext may come from it
        if reference not in references:
            references.append(reference)
        return f"[{references.index(reference) + 1}]"

    done = [run for run in collection.runs if run.state == DONE]
    finetunings = [run for run in done if run.kind == "finetune"]
    version = _shared(run.description.get("versions", {}).get("segxfer3d") for run in done)
    sentences = [
        f"Following Dippel et al. {cite(REFERENCES['dippel'])}, networks for segmentation were initialized in "
        f"different ways and fine-tuned on few labels, with segxfer3d{f' {version}' if version else ''}, an extension "
        f"of MONAI {cite(REFERENCES['monai'])}."
    ]
    sentences += dict.fromkeys(_pretraining(run, cite) for run in done if run.kind == "pretrain")
    sentences += [_data(result) for result in results]
    arms = [collection.arm(name) for name in dict.fromkeys(arm.arm.name for r in results for arm in r.arms)]
    if arms:
        sentences.append("Initializations: " + "; ".join(_arm(arm) for arm in arms) + ".")
    if finetunings:
        sentences.append(_training(finetunings))
    sentences.append(
        "Dice was computed for every test case at threshold 0.5 (an empty label counts 1 if the prediction is empty "
        "too, else 0), averaged over cases for each seed, and is given as mean ± sample standard deviation over seeds."
    )
    if compared := [(result, pair.family) for result in results for pair, _ in result.comparisons]:
        sentences.append(
            _statistics(compared[0][0].margin, max(family for _, family in compared), units_of(finetunings), cite)
        )
        sentences += _repeated(collection, results)
    return " ".join(sentences), references


def _statistics(margin: float, family: int, units: str, cite: Callable[[str], str]) -> str:
    one = units[:-1]
    averaged = "" if units == "images" else f" (a {one}'s cases averaged first)"
    return (
        "Arms were compared on the same seeds and cases. The difference is the mean over seeds and "
        f"{units}, every {one} weighing the same{averaged}; its 95 % interval and its p-value come from one model, "
        f"seeds and {units} crossed and both random, with generalized inference for their variances "
        f"{cite(REFERENCES['weerahandi'])}. P-values have Holm's correction {cite(REFERENCES['holm'])} over all "
        f"{family} comparisons of the study. An arm is called better or worse where the corrected p-value is at most "
        f"0.05, and equivalent where the interval lies within {margin:g} dice points of 0, given at least {MIN_SEEDS} "
        f"seeds and {MIN_PATIENTS} {units} and no training far from the others of its arm."
    )


def _repeated(collection: Collection, results: Sequence[Result]) -> list[str]:
    """How a pretraining that is repeated enters the model."""
    if not any(pair.scope == "pretext" for result in results for pair, _ in result.comparisons):
        return []
    seeds = collection.study.get("pretrain_seeds") or ()
    if collection.study.get("pretrain_design") == "crossed":
        how = "every seed of fine-tuning starts from each of them, and the model has them as a third crossed factor"
    else:
        how = (
            "every seed of fine-tuning starts from one of them, and the model has pretrainings, each with the mean of "
            "its seeds, in the place of seeds"
        )
    return [f"The pretraining was repeated with {len(seeds)} seeds: {how}, so that intervals hold for the pretext."]


def _pretraining(run: Run, cite: Callable[[str], str]) -> str:
    knobs = run.knobs
    count = len(run.part("pretrain"))
    images = f" on {count} {run.units} without labels" if count else ""
    steps = _product(knobs.get("max_epochs"), knobs.get("steps_per_epoch"))
    length = f", at most {steps} steps of batch size {knobs.get('batch_size')}" if steps else ""
    pretext = pretext_of(run.job, noted([run.description]))
    source = f" {cite(pretext.citation)}" if pretext.citation else ""
    return f"Pretraining: {pretext.title}{source}{images}{length}."


def _data(result: Result) -> str:
    run = result.runs[0]
    labeled = sorted({len(run.labeled()) for run in result.runs})
    of = run.units
    counted = result.budget_name[:1] == "n" or not labeled[-1]
    drawn = "" if counted else f" ({_range(labeled)} {of if labeled != [1] else of[:-1]})"
    held = len(run.part("validation"))
    validation = f", {numbered(held, of[:-1], of)} held out for validation" if held else ""
    tested = result.who if result.comparisons else f"{len(run.scores['dice'])} cases"
    seeds = len({run.seed for run in result.runs})
    each = "seeds, each of which" if seeds != 1 else "seed, which"
    return (
        f"With {result.title}{drawn}: {tested} in the test part{validation}; {seeds} {each} draws labels, weights and "
        "batches."
    )


def _arm(arm: Arm) -> str:
    said = [f"init {arm.init}"] if arm.init not in ("", arm.name) else []
    said += [f"scenario {arm.scenario}"] if arm.scenario else []
    said += [f"pretext {arm.pretext}"] if arm.pretext else []
    said += [f"recipe {arm.recipe}"] if arm.recipe else []
    said += [f"{knob} {value}" for knob, value in arm.knobs.items()]
    return f"{arm.name} ({', '.join(said)})" if said else arm.name


def _training(runs: Sequence[Run]) -> str:
    words = []
    steps = _shared(_product(run.knobs.get("max_epochs"), run.knobs.get("steps_per_epoch")) for run in runs)
    for label, value in (
        ("recipe", _knob(runs, RECIPE)),
        ("width", _knob(runs, "width")),
        ("patch size", _knob(runs, "patch_size")),
        ("image size", _knob(runs, "image_size")),
        ("optimizer", _knob(runs, "optimizer_name")),
        ("learning rate", _knob(runs, "lr")),
        ("schedule", _knob(runs, "schedule")),
        ("batch size", _knob(runs, "batch_size")),
        ("steps", steps),
    ):
        if value not in (None, ""):
            shown = "x".join(map(str, value)) if isinstance(value, list) else value
            words.append(f"{label} {shown}")
    jobs = ", ".join(sorted({run.job for run in runs if run.job}))
    return f"Settings that all fine-tunings ({jobs}) share: {', '.join(words)}."


def _knob(runs: Sequence[Run], name: str) -> Any:
    return _shared(run.knobs.get(name) for run in runs)


def _shared(values: Iterable[Any]) -> Any:
    """The value that all share; None where they differ."""
    different: list[Any] = []  # not a set: a patch size is a list
    for value in values:
        if value not in different:
            different.append(value)
    return different[0] if len(different) == 1 else None


def _product(*values: Any) -> int | None:
    if not all(isinstance(value, int) for value in values):
        return None
    product = 1
    for value in values:
        product *= value
    return product


def _range(numbers: Sequence[int]) -> str:
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
