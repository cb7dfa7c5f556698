"""What a report says in sentences: the answer, and a methods paragraph to paste, with its references."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from segxfer3d.report.arms import Arm, pretext_name
from segxfer3d.report.collect import Collection
from segxfer3d.report.results import Result
from segxfer3d.report.run_files import DONE, Run
from segxfer3d.report.tables import between, p_value, plus_minus, signed
from segxfer3d.statistics.compare import Comparison
from segxfer3d.statistics.verdict import MIN_SEEDS, Verdict

REFERENCES = {
    "dippel": (
        "Dippel J, Lenga M, Goerttler T, Obermayer K, Höhne J. Transfer Learning for Segmentation Problems: Choose the "
        "Right Encoder and Skip the Decoder. arXiv:2207.14508, 2022."
    ),
    "monai": (
        "Cardoso MJ, et al. MONAI: An open-source framework for deep learning in healthcare. arXiv:2211.02701, 2022."
    ),
    "genesis": "Zhou Z, Sodha V, Pang J, Gotway MB, Liang J. Models Genesis. Medical Image Analysis 67:101840, 2021.",
    "simclr": (
        "Chen T, Kornblith S, Norouzi M, Hinton G. A Simple Framework for Contrastive Learning of Visual "
        "Representations. ICML 2020."
    ),
    "moco": (
        "He K, Fan H, Wu Y, Xie S, Girshick R. Momentum Contrast for Unsupervised Visual Representation Learning. "
        "CVPR 2020."
    ),
    "byol": ("Grill J-B, et al. Bootstrap Your Own Latent: A New Approach to Self-Supervised Learning. NeurIPS 2020."),
    "owen": "Owen AB. The pigeonhole bootstrap. Annals of Applied Statistics 1(2):386-411, 2007.",
    "wilcoxon": "Wilcoxon F. Individual Comparisons by Ranking Methods. Biometrics Bulletin 1(6):80-83, 1945.",
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
    pairs = [pair for pair in result.comparisons if pair[0].reference == result.reference]
    if not pairs:
        return (
            f"{head}the highest mean dice is that of {best.arm.name}, {plus_minus(best.measures['dice'])} percent, but "
            "arms cannot be paired, so nothing is tested."
        )
    if best.arm.name == result.reference:
        made, verdict = max(pairs, key=lambda pair: pair[0].difference)
        first = f"nothing transferred has a higher mean dice than {result.reference}: {_compared(made, verdict)}"
    else:
        found = result.against(best.arm.name, result.reference)
        first = _compared(*found) if found else f"the highest mean dice is that of {best.arm.name}"
    parts = [pair for pair in result.comparisons if pair[0].reference != result.reference]
    chosen = next(
        (pair for pair in parts if best.arm.name in (pair[0].arm, pair[0].reference)), parts[0] if parts else None
    )
    return f"{head}{first}{f'; {_compared(*chosen)}' if chosen else ''}."


def _compared(made: Comparison, verdict: Verdict) -> str:
    """A comparison as a clause with its interval."""
    points = f"{abs(made.difference):.1f} dice points"
    numbers = [] if made.interval is None else [f"95 % interval of the difference {between(made.interval, sign=True)}"]
    if verdict.kind != "no verdict":
        numbers.append(f"p {p_value(made.p_holm)}")
    shown = f" ({', '.join(numbers)})" if numbers else ""
    if verdict.kind in ("better", "worse"):
        return f"{made.arm} is {verdict.kind} than {made.reference} by {points}{shown}"
    seen = f"{signed(made.difference)} dice points{f', {numbers[0]}' if numbers else ''}"
    if verdict.kind == "equivalent":
        return f"{made.arm} is equivalent to {made.reference} ({seen})"
    if verdict.kind == "undecided":
        return f"{made.arm} cannot be told from {made.reference} ({', '.join([seen, *numbers[1:]])})"
    more = "more" if made.difference >= 0 else "fewer"
    return f"{made.arm} has {points} {more} than {made.reference}{shown}, with too few seeds or patients for a verdict"


def other_answers(results: Sequence[Result]) -> list[str]:
    """A line for every other result: its best arm against the reference."""
    lines = []
    for result in results[1:]:
        best = result.best()
        found = result.against(best.arm.name, result.reference)
        dice = f"highest mean dice {best.arm.name}, {plus_minus(best.measures['dice'])} percent"
        lines.append(f"{result.title}: {dice}{f'; {_compared(*found)}' if found else ''}.")
    return lines


def caveats(results: Sequence[Result]) -> list[str]:
    """What keeps the numbers from saying more."""
    few = [r.title for r in results if any(made.seeds < MIN_SEEDS for made, _ in r.comparisons)]
    if not few:
        return []
    return [f"Fewer than {MIN_SEEDS} seeds ({'; '.join(few)}): no comparison is judged, and intervals are too narrow."]


def methods(collection: Collection, results: Sequence[Result]) -> tuple[str, list[str]]:
    """A paragraph that says what was done, from the run folders alone, and the references it cites as [1], [2], ..."""
    cited: list[str] = []

    def cite(name: str) -> str:
        if name not in cited:
            cited.append(name)
        return f"[{cited.index(name) + 1}]"

    done = [run for run in collection.runs if run.state == DONE]
    finetunings = [run for run in done if run.kind == "finetune"]
    pretrainings = [run for run in done if run.kind == "pretrain"]
    version = _one(run.description.get("versions", {}).get("segxfer3d") for run in done)
    said = [
        f"Following Dippel et al. {cite('dippel')}, networks for segmentation were initialized in different ways and "
        f"fine-tuned on few labels, with segxfer3d{f' {version}' if version else ''}, an extension of MONAI "
        f"{cite('monai')}."
    ]
    for run in pretrainings:
        said.append(_pretraining(run, cite(key) if (key := run.job.removesuffix("_pretrain")) in REFERENCES else ""))
    said = list(dict.fromkeys(said))
    said += [_data(result) for result in results]
    arms = [collection.arm(name) for name in dict.fromkeys(arm.arm.name for r in results for arm in r.arms)]
    if arms:
        said.append("Initializations: " + "; ".join(_arm(arm) for arm in arms) + ".")
    if finetunings:
        said.append(_training(finetunings))
    said.append(
        "Dice was computed for every test case at threshold 0.5 (an empty label counts 1 if the prediction is empty "
        "too, else 0), averaged over cases for each seed, and is given as mean ± sample standard deviation over seeds."
    )
    compared = [result for result in results if result.comparisons]
    if compared:
        family = max(made.family for result in compared for made, _ in result.comparisons)
        said.append(
            "Arms were compared on the same seeds and cases: mean differences of dice have 95 % percentile intervals "
            f"from resampling patients and seeds together (the pigeonhole bootstrap {cite('owen')}); p-values are "
            f"those of Wilcoxon's signed-rank test {cite('wilcoxon')} on one seed-averaged difference per patient, "
            f"with Holm's correction {cite('holm')} over the {family} comparisons at one label budget. An arm is "
            "called better or worse where the interval excludes 0 and the corrected p-value is at most 0.05, given at "
            "least five seeds and six "
            "patients."
        )
    return " ".join(said), [REFERENCES[name] for name in cited]


def _pretraining(run: Run, citation: str) -> str:
    knobs = run.knobs
    cases = len(run.split.get("pretrain") or ())
    images = f" on {cases} patients without labels" if cases else ""
    steps = _product(knobs.get("max_epochs"), knobs.get("steps_per_epoch"))
    length = f", at most {steps} steps of batch size {knobs.get('batch_size')}" if steps else ""
    name = pretext_name(run.job)
    return f"Pretraining: {name}{f' {citation}' if citation else ''}{images}{length}."


def _data(result: Result) -> str:
    run = result.runs[0]
    labeled = sorted({len(run.labels.get("patients") or run.labels.get("cases") or ()) for run in result.runs})
    of = "patients" if "patients" in run.labels else "images"
    counted = result.budget_name[:1] == "n" or not labeled[-1]
    drawn = "" if counted else f" ({_range(labeled)} {of})"
    held = len(run.split.get("validation") or ())
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
    said += [f"{knob} {value}" for knob, value in arm.knobs.items()]
    return f"{arm.name} ({', '.join(said)})" if said else arm.name


def _training(runs: Sequence[Run]) -> str:
    words = []
    steps = _one(_product(run.knobs.get("max_epochs"), run.knobs.get("steps_per_epoch")) for run in runs)
    for label, value in (
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
    return _one(run.knobs.get(name) for run in runs)


def _one(values: Iterable[Any]) -> Any:
    """The value that all share; None where they differ."""
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found[0] if len(found) == 1 else None


def _product(*values: Any) -> int | None:
    if not all(isinstance(value, int) for value in values):
        return None
    product = 1
    for value in values:
        product *= value
    return product


def _range(numbers: Sequence[int]) -> str:
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
