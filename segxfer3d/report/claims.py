"""The paper's four claims as questions, and what a study answers: the first thing that a report says.

Every answer is made of the study's own comparisons (:mod:`segxfer3d.statistics.answers`), which stand beside it with
their intervals, the margin, and what would decide those that are open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from segxfer3d.errors import InputError
from segxfer3d.report.arms import Arm
from segxfer3d.report.cells import between, p_value, signed
from segxfer3d.report.results import Result
from segxfer3d.statistics.answers import Answer, beats, fewer, together, turned
from segxfer3d.statistics.compare import Comparison
from segxfer3d.statistics.convergence import Convergence, converge
from segxfer3d.statistics.interval import Interval
from segxfer3d.statistics.pairs import BOTH, ENCODER
from segxfer3d.statistics.verdict import MIN_PATIENTS, MIN_SEEDS, Verdict

NOT_ASKED = "not asked by this study"
APART, MAKING = "2", "4"  # scenarios of encoders: from pretexts that tell images apart, and that make images or masks
RECONSTRUCTIONS = ("Reconstruction", "Models Genesis")
DICE, STEPS = "dice points", "steps"


@dataclass(frozen=True)
class Finding:
    """A comparison behind an answer, turned so that "yes" is a positive difference of dice, or a negative of steps.

    Attributes:
        data, labels: where.
        arm, reference: which.
        unit: of the difference: :data:`DICE` or :data:`STEPS`.
        difference, interval: as the tables have them; 95 %, of this comparison alone.
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

    @property
    def number(self) -> str:
        """The difference, as tables show it."""
        return signed(self.difference) if self.unit == DICE else f"{self.difference:+.0f}"

    @property
    def between(self) -> str:
        """The interval, as tables show it."""
        if self.interval is None or self.unit == DICE:
            return between(self.interval, sign=True)
        low, high = self.interval
        return f"{low:+.0f} to {high:+.0f}"

    @property
    def sentence(self) -> str:
        """As a line of a list."""
        corrected = "" if self.p_holm is None else f", p {p_value(self.p_holm)} after Holm"
        interval = "" if self.interval is None else f" (95 % interval {self.between}{corrected})"
        difference = f"{self.number} {self.unit}{interval}"
        return f"{self.data}, {self.labels}: {self.arm} less {self.reference} {difference}: {self.verdict}"


@dataclass(frozen=True)
class Claim:
    """A question of the paper.

    Attributes:
        question: in words; yes is what its text asks, whatever the paper says.
        answer: ``yes``, ``no``, ``undecided`` or :data:`NOT_ASKED`.
        why: how many comparisons say what, or what a study would need to ask it.
        findings: the comparisons.
        margin: dice points that do not matter; None where the question is not of dice.
    """

    question: str
    answer: str
    why: str
    findings: tuple[Finding, ...] = ()
    margin: float | None = None

    @property
    def detail(self) -> str:
        """The reason, with the margin where the question is of dice."""
        within = f"; margin {self.margin:g} dice points" if self.margin is not None and self.findings else ""
        return f"{self.why}{within}"

    @property
    def sentence(self) -> str:
        """The answer and its reason."""
        return f"{self.answer[0].upper()}{self.answer[1:]}: {self.detail}."


Pairs = Iterator[tuple[Arm, Arm]]


def claims(results: Sequence[Result], arms: Sequence[Arm]) -> list[Claim]:
    """The four questions with their answers.

    Args:
        results: of the study.
        arms: all that it has, also those of which no run is done.
    """
    found = []
    for question, pairs, needs in QUESTIONS:
        findings = tuple(one for result in results for one in _of_dice(result, pairs))
        asked = any(True for _ in pairs(arms))
        margin = results[0].margin if results else None
        found.append(_claim(question, findings, asked, needs, margin))
    # steps: as many comparisons as there are, so that the family is known first
    raw = [(result, *pair) for result in results for pair in _of_steps(result)]
    steps = tuple(_steps(result, pair, reference, len(raw)) for result, pair, reference in raw)
    asked = any(True for _ in decoder_pairs(arms))
    found.append(_claim("Does a pretrained decoder reach the same dice in fewer steps?", steps, asked, NEED_BOTH, None))
    return found


def decoder_pairs(arms: Sequence[Arm]) -> Pairs:
    """Encoder and decoder against the encoder alone, of one pretext."""
    for both in arms:
        for encoder in arms:
            if (both.init, encoder.init) == (BOTH, ENCODER) and both.pretext == encoder.pretext:
                yield both, encoder


def kind_pairs(arms: Sequence[Arm]) -> Pairs:
    """Encoders of pretexts that make images or masks against those of pretexts that tell images apart."""
    encoders = [arm for arm in arms if arm.init == ENCODER]
    for arm in encoders:
        yield from ((arm, other) for other in encoders if (arm.scenario, other.scenario) == (MAKING, APART))


def conrec_pairs(arms: Sequence[Arm]) -> Pairs:
    """ConRec's encoder against those of reconstruction alone."""
    encoders = [arm for arm in arms if arm.init == ENCODER]
    for arm in encoders:
        yield from ((arm, other) for other in encoders if arm.pretext == "ConRec" and other.pretext in RECONSTRUCTIONS)


NEED_BOTH = "it takes the arms encoder and encoder+decoder of one pretext"
QUESTIONS: tuple[tuple[str, Callable[[Sequence[Arm]], Pairs], str], ...] = (
    ("Does transferring the decoder add to the final dice?", decoder_pairs, NEED_BOTH),
    (
        "Do encoders of segmentation or reconstruction pretexts beat those of classification or contrast?",
        kind_pairs,
        "it takes the encoder of a pretext that makes images or masks, and of one that tells images apart",
    ),
    ("Does ConRec beat reconstruction?", conrec_pairs, "it takes the encoders of ConRec and of a reconstruction"),
)


def _claim(question: str, findings: tuple[Finding, ...], asked: bool, needs: str, margin: float | None) -> Claim:
    if not findings:
        if asked:
            return Claim(question, "undecided", "the runs that it takes are not done, or cannot be paired", (), margin)
        return Claim(question, NOT_ASKED, needs, (), margin)
    whole = together([one.answer for one in findings])
    return Claim(question, whole.answer, whole.count, findings, margin)


def _of_dice(result: Result, pairs: Callable[[Sequence[Arm]], Pairs]) -> Iterator[Finding]:
    """The comparisons of a result that were planned for a question, whichever way round they were made."""
    for arm, reference in pairs([one.arm for one in result.arms]):
        made, sign = result.against(arm.name, reference.name), 1
        if made is None:
            made, sign = result.against(reference.name, arm.name), -1
        if made is None:
            continue
        comparison, verdict = made
        low, high = comparison.interval or (0.0, 0.0)
        interval = None if comparison.interval is None else (low, high) if sign > 0 else (-high, -low)
        kind = verdict.kind if sign > 0 else turned(verdict.kind)
        yield Finding(
            *_where(result), arm.name, reference.name, DICE, sign * comparison.difference, interval,
            None if kind == "no verdict" else comparison.p_holm, beats(kind),
            _in_words(replace(verdict, kind=kind), comparison),
        )  # fmt: skip


def _in_words(verdict: Verdict, comparison: Comparison) -> str:
    """The verdict, and what would decide where it is open."""
    if verdict.kind == "undecided":
        ways = [f"{low} to {high} {name}" for name, (low, high) in verdict.needed.items()]
        return "undecided; " + (
            f"{' or '.join(ways)} would find a difference of the margin in 80 of 100 studies"
            if ways
            else "no number of seeds or patients surely decides, the spread between trainings is too large or unsure"
        )
    if verdict.kind != "no verdict":
        return verdict.kind
    if comparison.far_off:
        return (
            "no verdict, for a training is far from the others of its arm; more seeds would show how often that happens"
        )
    return f"no verdict; at least {MIN_SEEDS} seeds and {MIN_PATIENTS} patients would give one"


def _of_steps(result: Result) -> Iterator[tuple[Convergence, Convergence]]:
    """Encoder and decoder, and the encoder alone: steps to 95 % of the latter's final dice with the same seed."""
    for both, encoder in decoder_pairs([one.arm for one in result.arms]):
        curves = {name: result.curves.get(name, {}) for name in (both.name, encoder.name)}
        seeds = sorted(set(curves[both.name]) & set(curves[encoder.name]))
        if not seeds or result.against(encoder.name, both.name) is None:
            continue
        shared = {arm: {seed: of_seed[seed] for seed in seeds} for arm, of_seed in curves.items()}
        try:
            first, second = converge(shared, level_of=encoder.name, reference=encoder.name)
        except InputError:  # a curve that cannot be read, which the table of steps says
            continue
        yield first, second


def _steps(result: Result, both: Convergence, encoder: Convergence, family: int) -> Finding:
    differences = [mine - other for mine, other in zip(both.seed_steps, encoder.seed_steps, strict=True)]
    answer = "undecided" if both.never or encoder.never else fewer(differences, family)
    if both.never:
        words = f"undecided; in {len(both.never)} of {len(both.seeds)} seeds it never came there, longer trainings may"
    elif len(differences) < MIN_SEEDS:
        words = f"no verdict; at least {MIN_SEEDS} seeds would give one"
    elif answer == "undecided":
        words = "undecided; more seeds would decide"
        if both.difference_interval and (both.difference_interval[1] < 0 or both.difference_interval[0] > 0):
            words += f" (alone the interval excludes 0, but not as one of {family})"
    else:
        words = "fewer" if answer == "yes" else "more"
    return Finding(
        *_where(result), both.arm, encoder.arm, STEPS, both.difference, both.difference_interval, None, answer, words
    )


def _where(result: Result) -> tuple[str, str]:
    """Data set and labels in words."""
    return result.data or "the data", result.title.removeprefix(f"{result.data}, ")
