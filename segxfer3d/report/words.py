"""What a report says in sentences: the answer, and what keeps the numbers from saying more."""

from __future__ import annotations

from collections.abc import Sequence

from segxfer3d.errors import some
from segxfer3d.report.arms import transfer
from segxfer3d.report.cells import between, differs, p_value, plus_minus, signed, spread
from segxfer3d.report.results import Result
from segxfer3d.report.starts import starts_of
from segxfer3d.statistics.compare import Comparison
from segxfer3d.statistics.verdict import MIN_PATIENTS, MIN_SEEDS, Verdict

_WARNING = "warning: "  # how notes of a run begin that a reader of its figures should know


def answer(results: Sequence[Result]) -> str:
    """The answer in one sentence with its interval: with the fewest labels of the first data set."""
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
            f"{head}the highest mean dice is that of {best.arm.name}, {_mean_dice(result)}, but "
            "arms cannot be paired, so nothing is tested."
        )
    if best.arm.name == result.reference:
        closest = max(pairs, key=lambda pair: pair[0].difference)
        what = "nothing transferred" if transfer(one.arm for one in result.arms) else "no other arm"
        first = _compared(*closest, result.margin)
        if closest[0].difference <= 0:  # the mean of an arm need not be that of its trainings with a pair
            first = f"{what} has a higher mean dice than {result.reference}: {first}"
    else:
        pair = result.against(best.arm.name, result.reference)
        first = _compared(*pair, result.margin) if pair else f"the highest mean dice is that of {best.arm.name}"
    parts = [pair for pair in result.comparisons if pair[0].reference != result.reference]
    chosen = next(
        (pair for pair in parts if best.arm.name in (pair[0].arm, pair[0].reference)), parts[0] if parts else None
    )
    return f"{head}{first}{f'; {_compared(*chosen, result.margin)}' if chosen else ''}."


def _compared(pair: Comparison, verdict: Verdict, margin: float) -> str:
    """A comparison as a clause with its interval."""
    points = f"{abs(pair.difference):.1f} dice points"
    numbers = [] if pair.interval is None else [f"95 % interval of the difference {between(pair.interval, sign=True)}"]
    if verdict.kind != "no verdict" and pair.p_holm is not None:
        numbers.append(f"p {p_value(pair.p_holm)} after Holm for {pair.family}")
    in_brackets = f" ({', '.join(numbers)})" if numbers else ""
    if verdict.kind in ("better", "worse"):
        return f"{pair.arm} is {verdict.kind} than {pair.reference} by {points}{in_brackets}"
    seen = f"{signed(pair.difference)} dice points{f', {numbers[0]}' if numbers else ''}"
    if verdict.kind == "equivalent":
        return f"{pair.arm} is equivalent to {pair.reference} within {margin:g} points ({seen})"
    if verdict.kind == "identical":
        return f"{pair.arm} and {pair.reference} are identical, score by score"
    if verdict.kind == "undecided":
        return f"{pair.arm} cannot be told from {pair.reference} ({', '.join([seen, *numbers[1:]])})"
    if pair.zero:
        return f"{pair.arm} and {pair.reference} are without a verdict ({verdict.why})"
    less = "more" if pair.difference >= 0 else "fewer"
    return f"{pair.arm} has {points} {less} than {pair.reference}{in_brackets}, without a verdict ({verdict.why})"


def other_answers(results: Sequence[Result]) -> list[str]:
    """A line for every other result: its best arm against the reference."""
    lines = []
    for result in results[1:]:
        best = result.best()
        pair = result.against(best.arm.name, result.reference)
        dice = f"highest mean dice {best.arm.name}, {_mean_dice(result)}"
        lines.append(f"{result.title}: {dice}{f'; {_compared(*pair, result.margin)}' if pair else ''}.")
    return lines


def owners_of(results: Sequence[Result]) -> tuple[str, ...]:
    """What those are called that the statistics average over, plurals: images may belong to groups or patients, though
    they are split and labeled one by one."""
    return tuple(dict.fromkeys(result.units for result in results)) or ("patients",)


def _mean_dice(result: Result) -> str:
    """The mean that makes the best arm so, with its deviation: over patients where that is another than over cases."""
    arm, of = result.best(), result.units
    mean = arm.over_patients.get("dice")
    if mean is not None and differs(arm.measures["dice"], mean):
        return f"{plus_minus((mean, spread(arm.trainings)[1]))} percent over {of}"
    return f"{plus_minus(arm.measures['dice'])} percent"


def caveats(results: Sequence[Result]) -> list[str]:
    """What keeps the numbers from saying more."""
    lines = []
    scopes = {pair.scope for result in results for pair, _ in result.comparisons}
    if scopes & {"checkpoint", "checkpoints"}:
        lines += _starts(results, repeated="pretext" in scopes)
    lines += _too_few(results)
    lines += [
        f"Cases that a run lacks are in no comparison ({result.title}): {some(result.missing, 3)}."
        for result in results
        if result.missing
    ]
    lines += _warned(results)
    far = dict.fromkeys(
        f"{found.name} ended at {found.value:.1f} ({result.title}; median of its seeds {found.median:.1f})"
        for result in results
        for pair, _ in result.comparisons
        for found in pair.far_off
    )
    if far:
        lines.append(
            f"Trainings far from the others of their arm: {'; '.join(far)}. How often a training fails so few seeds "
            "cannot tell: intervals with them are too narrow, and there is no verdict."
        )
    return lines


def _starts(results: Sequence[Result], *, repeated: bool) -> list[str]:
    """On how many pretrainings a verdict is; ``repeated``: other arms have several, as their study says."""
    own: set[str] = set()  # arms
    torn: set[str] = set()
    others: set[str] = set()
    for result in results:
        for arm in result.arms:
            of_seeds = starts_of(arm.arm.name, result.runs)
            starts = {start for _, start in of_seeds}
            if len(starts) > 1:
                (own if len(starts) == len(of_seeds) else torn).add(arm.arm.name)
            elif arm.arm.pretext:
                others.add(arm.arm.name)
    lines = []
    for names, before, behind in (
        (own, "Each seed of", "starts from a pretraining of its own"),
        (torn, "Seeds of", "start from different pretrainings"),
    ):
        if names:
            said = f"{before} {', '.join(sorted(names))} {behind}"
            lines.append(f"{said}: a verdict is on these together, not on one checkpoint.")
    if repeated:
        lines.append(
            "Arms that load a checkpoint from elsewhere have one pretraining: a verdict on them is on this checkpoint, "
            "not on its pretext."
        )
    elif others or not lines:
        which = "any other arm" if lines else "an arm"
        lines.append(
            f"All seeds of {which} start from one pretraining: a verdict is on this checkpoint, not on its pretext."
        )
    return lines


def _too_few(results: Sequence[Result]) -> list[str]:
    """Of what there is too little for a verdict, and where; of pretrainings that are not repeated there is one."""
    lines = []
    for least, name in ((MIN_SEEDS, "seeds"), (MIN_SEEDS, "pretrainings"), (MIN_PATIENTS, "patients")):
        titles: dict[str, list[str]] = {}
        for result in results:
            pairs = [pair for pair, _ in result.comparisons if name != "pretrainings" or pair.scope == "pretext"]
            few = [pair.units if name == "patients" else name for pair in pairs if getattr(pair, name) < least]
            for units in dict.fromkeys(few):
                titles.setdefault(units, []).append(result.title)
        judged = "no pretext is judged" if name == "pretrainings" else "no comparison is judged"
        lines += [f"Fewer than {least} {units} ({'; '.join(of)}): {judged}." for units, of in titles.items()]
    return lines


def _warned(results: Sequence[Result]) -> list[str]:
    """What trainings were warned of when they took their start over, such as test images that it has seen."""
    arms: dict[tuple[str, str], list[str]] = {}
    for result in results:
        for run in result.runs:
            notes = run.transfer.get("notes")
            for note in notes if isinstance(notes, list) else []:
                if str(note).startswith(_WARNING):
                    arms.setdefault((str(note).removeprefix(_WARNING), result.title), []).append(run.arm)
    return [f"{', '.join(dict.fromkeys(names))} ({title}): {note}." for (note, title), names in arms.items()]
