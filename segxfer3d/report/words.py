"""What a report says in sentences: the answer, and a methods paragraph to paste, with its references."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from segxfer3d.report.arms import Arm
from segxfer3d.report.cells import between, p_value, plus_minus, signed
from segxfer3d.report.collect import Collection
from segxfer3d.report.pretexts import noted, pretext_of
from segxfer3d.report.results import Result
from segxfer3d.report.run_files import Run
from segxfer3d.report.unjudged import CAVEAT, clause
from segxfer3d.statistics.compare import Comparison
from segxfer3d.statistics.verdict import MIN_SEEDS, Verdict
from segxfer3d.study.recipes import RECIPE
from segxfer3d.study.states import DONE

_THE_PAPER = "Transfer Learning for Segmentation Problems: Choose the Right Encoder and Skip the Decoder"
REFERENCES = {
    "dippel": f"Dippel J, Lenga M, Goerttler T, Obermayer K, Höhne J. {_THE_PAPER}. arXiv:2207.14508, 2022.",
    "monai": (
        "Cardoso MJ, et al. MONAI: An open-source framework for deep learning in healthcare. arXiv:2211.02701, 2022."
    ),
    "owen": "Owen AB. The pigeonhole bootstrap. Annals of Applied Statistics 1(2):386-411, 2007.",
    "wilcoxon": "Wilcoxon F. Individual Comparisons by Ranking Methods. Biometrics Bulletin 1(6):80-83, 1945.",
    "satterthwaite": (
        "Satterthwaite FE. An Approximate Distribution of Estimates of Variance Components. Biometrics Bulletin "
        "2(6):110-114, 1946."
    ),
    "holm": (
        "Holm S. A Simple Sequentially Rejective Multiple Test Procedure. Scandinavian Journal of Statistics "
        "6(2):65-70, 1979."
    ),
}


def answer(results: Sequence[Result]) -> str:
    """The answer in one sentence with its interval: at the smallest label budget of the first data set."""
    if not results:
        return "No answer yet: no fine-tuning is done."
    result = results[0]
    best = result.best()
    if len(result.arms) < 2:
        return (
            f"No answer yet: only {best.arm.name} is done, with a dice of {plus_minus(best.measures['dice'])} percent "
            f"({result.title})."
        )
    head = f"With {result.title}, "
    if not result.judged:
        return f"{head}{_differences(result)}."
    pairs = [pair for pair in result.comparisons if pair[0].reference == result.reference]
    if not pairs:
        return (
            f"{head}the highest mean dice is that of {best.arm.name}, {plus_minus(best.measures['dice'])} percent, but "
            "arms cannot be paired, so nothing is tested."
        )
    if best.arm.name == result.reference:
        closest = max(pairs, key=lambda pair: pair[0].difference)
        first = f"nothing transferred has a higher mean dice than {result.reference}: {_compared(*closest)}"
    else:
        pair = result.against(best.arm.name, result.reference)
        first = _compared(*pair) if pair else f"the highest mean dice is that of {best.arm.name}"
    parts = [pair for pair in result.comparisons if pair[0].reference != result.reference]
    chosen = next(
        (pair for pair in parts if best.arm.name in (pair[0].arm, pair[0].reference)), parts[0] if parts else None
    )
    return f"{head}{first}{f'; {_compared(*chosen)}' if chosen else ''}."


def _compared(pair: Comparison, verdict: Verdict) -> str:
    """A comparison as a clause with its interval."""
    points = f"{abs(pair.difference):.1f} dice points"
    numbers = [] if pair.interval is None else [f"95 % interval of the difference {between(pair.interval, sign=True)}"]
    if verdict.kind != "no verdict":
        numbers.append(f"p {p_value(pair.p_holm)}")
    in_brackets = f" ({', '.join(numbers)})" if numbers else ""
    if verdict.kind in ("better", "worse"):
        return f"{pair.arm} is {verdict.kind} than {pair.reference} by {points}{in_brackets}"
    seen = f"{signed(pair.difference)} dice points{f', {numbers[0]}' if numbers else ''}"
    if verdict.kind == "equivalent":
        return f"{pair.arm} is equivalent to {pair.reference} ({seen})"
    if verdict.kind == "undecided":
        return f"{pair.arm} cannot be told from {pair.reference} ({', '.join([seen, *numbers[1:]])})"
    less = "more" if pair.difference >= 0 else "fewer"
    few = "with too few seeds or patients for a verdict"
    return f"{pair.arm} has {points} {less} than {pair.reference}{in_brackets}, {few}"


def _differences(result: Result) -> str:
    """All differences of a result that are not judged, so that none is picked."""
    return "; ".join(clause(pair) for pair, _ in result.comparisons)


def other_answers(results: Sequence[Result]) -> list[str]:
    """A line for every other result: its best arm against the reference; where nothing is judged, all differences."""
    lines = []
    for result in results[1:]:
        if not result.judged:
            lines.append(f"{result.title}: {_differences(result)}.")
            continue
        best = result.best()
        pair = result.against(best.arm.name, result.reference)
        dice = f"highest mean dice {best.arm.name}, {plus_minus(best.measures['dice'])} percent"
        lines.append(f"{result.title}: {dice}{f'; {_compared(*pair)}' if pair else ''}.")
    return lines


def caveats(results: Sequence[Result]) -> list[str]:
    """What keeps the numbers from saying more."""
    judged = [result for result in results if result.judged]
    lines = [CAVEAT] if len(judged) < len(results) else []
    few = [r.title for r in judged if any(pair.seeds < MIN_SEEDS for pair, _ in r.comparisons)]
    if not few:
        return lines
    return [
        *lines,
        f"Fewer than {MIN_SEEDS} seeds ({'; '.join(few)}): no comparison is judged, and intervals are too narrow.",
    ]


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
    families = [pair.family for result in results if result.judged for pair, _ in result.comparisons]
    if families:
        sentences.append(_statistics(max(families), cite))
    if not all(result.judged for result in results):
        sentences.append(_intervals(cite))
    return " ".join(sentences), references


def _statistics(family: int, cite: Callable[[str], str]) -> str:
    return (
        "Arms were compared on the same seeds and cases: mean differences of dice have 95 % percentile intervals "
        f"from resampling patients and seeds together (the pigeonhole bootstrap {cite(REFERENCES['owen'])}); p-values "
        f"are those of Wilcoxon's signed-rank test {cite(REFERENCES['wilcoxon'])} on one seed-averaged difference per "
        f"patient, with Holm's correction {cite(REFERENCES['holm'])} over the {family} comparisons at one label "
        "budget. An arm is called better or worse where the interval excludes 0 and the corrected p-value is at most "
        "0.05, given at least five seeds and six patients."
    )


def _intervals(cite: Callable[[str], str]) -> str:
    return (
        "Differences of dice are means over seeds and patients, paired and with every patient weighing the same, with "
        "95 % t intervals from the mean squares of the two-way layout of seeds and patients, both random, and "
        f"Satterthwaite's degrees of freedom {cite(REFERENCES['satterthwaite'])}; they are not corrected for the "
        "number of comparisons, and none was called better or worse."
    )


def _pretraining(run: Run, cite: Callable[[str], str]) -> str:
    knobs = run.knobs
    count = len(run.part("pretrain"))
    units = "images" if run.split.get("unit") == "case" else "patients"
    images = f" on {count} {units} without labels" if count else ""
    steps = _product(knobs.get("max_epochs"), knobs.get("steps_per_epoch"))
    length = f", at most {steps} steps of batch size {knobs.get('batch_size')}" if steps else ""
    pretext = pretext_of(run.job, noted([run.description]))
    source = f" {cite(pretext.citation)}" if pretext.citation else ""
    return f"Pretraining: {pretext.title}{source}{images}{length}."


def _data(result: Result) -> str:
    run = result.runs[0]
    labeled = sorted({len(run.labeled()) for run in result.runs})
    of = "patients" if run.unit == "patient" else "images"
    counted = result.budget_name[:1] == "n" or not labeled[-1]
    drawn = "" if counted else f" ({_range(labeled)} {of})"
    held = len(run.part("validation"))
    validation = f", {held} {of} held out for validation" if held else ""
    cases, patients = result.compared if result.comparisons else (len(run.scores["dice"]), 0)
    owners = f" of {patients} patients" if patients and patients != cases else ""
    seeds = len({run.seed for run in result.runs})
    each = "seeds, each of which" if seeds != 1 else "seed, which"
    return (
        f"With {result.title}{drawn}: {cases} test cases{owners}{validation}; {seeds} {each} draws labels, weights and "
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
