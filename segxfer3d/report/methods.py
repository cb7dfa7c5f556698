"""The methods paragraph of a report, to paste, with its references."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from segxfer3d.report.arms import Arm
from segxfer3d.report.collect import Collection
from segxfer3d.report.folds import fold_of
from segxfer3d.report.pretexts import noted, pretext_of
from segxfer3d.report.results import Result
from segxfer3d.report.run_files import Run
from segxfer3d.report.same_data import kept
from segxfer3d.report.words import owners_of
from segxfer3d.statistics.verdict import MIN_PATIENTS, MIN_SEEDS
from segxfer3d.study.recipes import RECIPE
from segxfer3d.study.same_data import MADE_FROM
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
    sentences += [_data(result, _behind(result, finetunings)) for result in results]
    arms = [collection.arm(name) for name in dict.fromkeys(arm.arm.name for r in results for arm in r.arms)]
    if arms:
        sentences.append("Initializations: " + "; ".join(_arm(arm) for arm in arms) + ".")
    if finetunings:
        sentences.append(_training(finetunings))
    sentences.append(_dice(finetunings))
    if compared := [(result, pair.family) for result in results for pair, _ in result.comparisons]:
        owners = owners_of([result for result in results if result.comparisons])
        sentences.append(_statistics(compared[0][0].margin, max(family for _, family in compared), owners, cite))
        sentences += _repeated(collection, results)
    return " ".join(sentences), references


def _behind(result: Result, runs: Sequence[Run]) -> list[Run]:
    """The fine-tunings behind a result: of folds each, where the result has one run for all of them."""
    shown = {(run.data, run.budget_name, run.arm, run.seed, run.pretrain_seed) for run in result.runs}
    return [run for run in runs if (run.data, run.budget_name, run.arm, run.seed, run.pretrain_seed) in shown]


def _dice(runs: Sequence[Run]) -> str:
    several = any(_classes(run) for run in runs)
    masks = " or ".join(dict.fromkeys(_masks(run) for run in runs)) or "at threshold 0.5"
    return (
        f"Dice was computed for every test case{' and class' if several else ''} {masks} (an empty label counts 1 if "
        f"the prediction is empty too, else 0), averaged over {'classes and ' if several else ''}cases for each seed, "
        "and is given as mean ± sample standard deviation over seeds."
    )


def _classes(run: Run) -> bool:
    """Whether a run has several classes: then its tables have a column for each."""
    return any(name.startswith("dice_") and not name.endswith("_std") for name in (*run.scores, *run.summary))


def _masks(run: Run) -> str:
    """How the outputs of a network became masks, see :func:`segxfer3d.inference.labels.class_index`."""
    if not _classes(run):
        return "at threshold 0.5"
    data = kept(run, MADE_FROM, {}).get("data")
    if isinstance(data, dict) and data.get("regions"):
        return "at threshold 0.5 of each class, classes overlapping"
    softmax = run.knobs.get("activation") in ("auto", "softmax")  # older runs do not say: there was sigmoid alone
    return f"with each voxel in its most probable class{'' if softmax else ' of probability at least 0.5'}"


def _statistics(margin: float, family: int, owners: Sequence[str], cite: Callable[[str], str]) -> str:
    units, one = " or ".join(owners), " or ".join(each[:-1] for each in owners)
    several = [each[:-1] for each in owners if each != "images"]
    averaged = f" (a {' or '.join(several)}'s cases averaged first)" if several else ""
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


def _data(result: Result, behind: Sequence[Run]) -> str:
    """Who was labeled, tested and held out, and how often; ``behind``: the fine-tunings, of folds each."""
    of = result.runs[0].units
    labeled = sorted({len(run.labeled()) for run in behind})
    counted = result.budget_name[:1] == "n" or not labeled[-1]
    drawn = "" if counted else f" ({_range(labeled)} {of if labeled != [1] else of[:-1]})"
    held = sorted({len(run.part("validation")) for run in behind})
    tested, compared = _tested(result)
    with_them = ", each time with " if len(behind) > len(result.runs) else ", "  # of folds
    validation = f"{with_them}{_range(held)} {of if held != [1] else of[:-1]} held out for validation"
    seeds = len({run.seed for run in result.runs})
    each = "seeds, each of which" if seeds != 1 else "seed, which"
    return (
        f"With {result.title}{drawn}: {tested}{validation if held[-1] else ''}{compared}; {seeds} {each} draws labels, "
        "weights and batches."
    )


def _tested(result: Result) -> tuple[str, str]:
    """The cases of the test part, or of all folds; and those that are compared, where they are fewer, else nothing."""
    of_seed: dict[int | None, frozenset[str]] = {}
    for run in result.runs:
        cases = frozenset(score.case for score in run.scores["dice"])
        of_seed[run.seed] = of_seed.get(run.seed, frozenset()) | cases
    sizes = sorted({len(cases) for cases in of_seed.values()})
    own = len(set(of_seed.values())) > 1
    folds = _shared(fold[1] if (fold := fold_of(run)) else None for run in result.runs)
    place = f"in {folds} folds, each of which is tested by a training on the others" if folds else "in the test part"
    everyone = f"{_range(sizes)} {'images' if result.comparisons and result.units == 'images' else 'cases'} {place}"
    everyone += " of each seed" * own
    if not result.comparisons:
        return everyone, ""
    if not own and sizes == [result.compared[0]]:
        return f"{result.who} {place}", ""
    return everyone, f"; comparisons are of the {result.who} that all {'seeds test' if own else 'runs measured'}"


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
