"""The comparisons behind the answers to the paper's claims, or why one cannot be made: of dice, and of steps."""

from __future__ import annotations

from dataclasses import dataclass

from segxfer3d.errors import InputError
from segxfer3d.report.arms import Arm
from segxfer3d.report.cells import between, bounded, p_value, signed, whole
from segxfer3d.report.results import Result
from segxfer3d.statistics.answers import Answer, beats, fewer, turned
from segxfer3d.statistics.convergence import Convergence, converge
from segxfer3d.statistics.interval import Interval
from segxfer3d.statistics.verdict import MIN_SEEDS

DICE, STEPS = "dice points", "steps"


@dataclass(frozen=True)
class Finding:
    """A comparison behind an answer, turned so that "yes" is a positive difference of dice, or a negative of steps.

    Attributes:
        data, labels: where.
        arm, reference: which.
        unit: of the difference: :data:`DICE` or :data:`STEPS`.
        difference, interval: as the tables have them; 95 %, of this comparison alone.
        bound: of the difference of steps where a seed never came to the level, see :class:`Convergence`.
        p_holm: of the comparison of dice.
        answer: what it says.
        verdict: in words, and what would decide where it is open.
    """

    data: str
    labels: str
    arm: str
    reference: str
    unit: str
    difference: float
    interval: Interval | None
    p_holm: float | None
    answer: Answer
    verdict: str
    bound: str = ""

    @property
    def number(self) -> str:
        """The difference, as tables show it."""
        return signed(self.difference) if self.unit == DICE else bounded(self.difference, self.bound)

    @property
    def between(self) -> str:
        """The interval, as tables show it."""
        if self.interval is None or self.unit == DICE:
            return between(self.interval, sign=True)
        low, high = self.interval
        return f"{whole(low)} to {whole(high)}"

    @property
    def sentence(self) -> str:
        """As a line of a list."""
        corrected = "" if self.p_holm is None else f", p {p_value(self.p_holm)} after Holm"
        interval = "" if self.interval is None else f" (95 % interval {self.between}{corrected})"
        number = self.number.replace("> ", "at least ").replace("< ", "at most ")
        difference = f"{number} {self.unit}{interval}"
        return f"{self.data}, {self.labels}: {self.arm} less {self.reference} {difference}: {self.verdict}"


def of_dice(result: Result, arm: Arm, reference: Arm) -> Finding | str:
    """The comparison of two arms of a result, whichever way round it was made; or why there is none."""
    made, sign = result.against(arm.name, reference.name), 1
    if made is None:
        made, sign = result.against(reference.name, arm.name), -1
    if made is None:
        return f"{_where(result)[1]}: runs of {arm.name} and {reference.name} cannot be paired"
    comparison, verdict = made
    low, high = comparison.interval or (0.0, 0.0)
    interval = None if comparison.interval is None else (low, high) if sign > 0 else (-high, -low)
    kind = verdict.kind if sign > 0 else turned(verdict.kind)
    words = f"{kind}; {verdict.why}" if verdict.why else kind
    return Finding(
        *_where(result), arm.name, reference.name, DICE, sign * comparison.difference, interval,
        None if kind == "no verdict" else comparison.p_holm, beats(kind, verdict.why), words,
    )  # fmt: skip


def curves_of(result: Result, both: Arm, encoder: Arm) -> tuple[Convergence, Convergence] | str:
    """Encoder and decoder, and the encoder alone: steps to 95 % of the latter's final dice with the same seed; or why
    there are none."""
    where = _where(result)[1]
    if not result.curves:
        return "no run was validated twice while it trained"
    curves = {name: result.curves.get(name, {}) for name in (both.name, encoder.name)}
    seeds = sorted(set(curves[both.name]) & set(curves[encoder.name]))
    if not seeds:
        return f"{where}: no seed has a curve of both {both.name} and {encoder.name}"
    shared = {arm: {seed: of_seed[seed] for seed in seeds} for arm, of_seed in curves.items()}
    try:
        first, second = converge(
            shared, level_of=encoder.name, reference=encoder.name, pretrainings=result.pretrainings
        )
    except InputError as error:
        return f"{where}: {error}"
    return first, second


def of_steps(result: Result, both: Convergence, encoder: Convergence, family: int) -> Finding:
    """Steps of two arms (:func:`curves_of`), one of ``family`` such comparisons in the study."""
    unknown = both.never or encoder.never
    answer: Answer = "undecided" if unknown else fewer(both.differences, family)
    return Finding(
        *_where(result), both.arm, encoder.arm, STEPS, both.difference, both.difference_interval, None, answer,
        _steps_in_words(both, encoder, answer, family), both.bound,
    )  # fmt: skip


def _steps_in_words(both: Convergence, encoder: Convergence, answer: Answer, family: int) -> str:
    for arm, which in ((both, "it"), (encoder, encoder.arm)):
        if arm.never:
            seeds = f"{len(arm.never)} of {len(arm.seeds)} seeds"
            return f"undecided; in {seeds} {which} never came there, longer trainings may"
    if both.levels == "crossed":
        return "undecided; of a crossed design steps have no interval"
    if (number := len(both.differences)) < MIN_SEEDS:
        return f"no verdict; {number} {both.levels[:-1] if number == 1 else both.levels}, at least {MIN_SEEDS} needed"
    if answer != "undecided":
        return "fewer" if answer == "yes" else "more"
    words = f"undecided; more {both.levels} would decide"
    if both.difference_interval and (both.difference_interval[1] < 0 or both.difference_interval[0] > 0):
        words += f" (alone the interval excludes 0, but not as one of {family})"
    return words


def other_settings(both: Arm, encoder: Arm) -> str:
    """Why two arms of one pretraining are not compared."""
    names = sorted(name for name in {*both.knobs, *encoder.knobs} if both.knobs.get(name) != encoder.knobs.get(name))
    return f"{both.name} and {encoder.name} are not compared, for they differ in {', '.join(names)}"


def _where(result: Result) -> tuple[str, str]:
    """Data set and labels in words."""
    return result.data or "the data", result.title.removeprefix(f"{result.data}, ")
