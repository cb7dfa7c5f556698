"""The paper's four claims as questions, and what a study answers: the first thing that a report says.

Every answer is made of the study's own comparisons (:mod:`segxfer3d.statistics.answers`), which stand beside it with
their intervals, the margin, and what would decide those that are open.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from segxfer3d.errors import some
from segxfer3d.report.arms import Arm, transfer
from segxfer3d.report.findings import Finding, curves_of, of_dice, of_steps, other_settings
from segxfer3d.report.results import Result
from segxfer3d.statistics.answers import together
from segxfer3d.statistics.pairs import ENCODER, decoder_pairs, unpaired_decoders

NOT_ASKED = "not asked by this study"
APART, MAKING = "2", "4"  # scenarios of encoders: from pretexts that tell images apart, and that make images or masks
RECONSTRUCTIONS = ("Reconstruction", "Models Genesis")


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


NOT_DONE = "the runs that it takes are not done"
NEED_BOTH = "it takes the arms encoder and encoder+decoder of one pretraining"
Pairs = Sequence[tuple[Arm, Arm]]


def claims(results: Sequence[Result], arms: Sequence[Arm]) -> list[Claim]:
    """The four questions with their answers; none where nothing is transferred.

    Args:
        results: of the study.
        arms: all that it has, also those of which no run is done.
    """
    if not transfer(arms):
        return []
    unpaired = [other_settings(both, encoder) for encoder, both in unpaired_decoders(arms)]
    margin = results[0].margin if results else None
    found = []
    for question, pairs, needs in QUESTIONS:
        made = [of_dice(result, *pair) for result in results for pair in pairs(_arms(result))]
        made += unpaired if pairs is both_pairs else []
        found.append(_claim(question, made, bool(made or pairs(arms)), needs, margin))
    # steps: as many comparisons as there are, so that the family is known first
    raw = [(result, curves_of(result, *pair)) for result in results for pair in both_pairs(_arms(result))]
    family = sum(not isinstance(curves, str) for _, curves in raw)
    steps = [curves if isinstance(curves, str) else of_steps(result, *curves, family) for result, curves in raw]
    question = "Does a pretrained decoder reach the same dice in fewer steps?"
    found.append(_claim(question, [*steps, *unpaired], bool(unpaired or both_pairs(arms)), NEED_BOTH, None))
    return found


def both_pairs(arms: Sequence[Arm]) -> Pairs:
    """Encoder and decoder against the encoder alone, of one pretraining."""
    return [(both, encoder) for encoder, both in decoder_pairs(arms)]


def kind_pairs(arms: Sequence[Arm]) -> Pairs:
    """Encoders of pretexts that make images or masks against those of pretexts that tell images apart."""
    encoders = [arm for arm in arms if arm.init == ENCODER]
    return [(arm, other) for arm in encoders for other in encoders if (arm.scenario, other.scenario) == (MAKING, APART)]


def conrec_pairs(arms: Sequence[Arm]) -> Pairs:
    """ConRec's encoder against those of reconstruction alone."""
    encoders = [arm for arm in arms if arm.init == ENCODER]
    return [
        (arm, other)
        for arm in encoders
        for other in encoders
        if arm.pretext == "ConRec" and other.pretext in RECONSTRUCTIONS
    ]


QUESTIONS: tuple[tuple[str, Callable[[Sequence[Arm]], Pairs], str], ...] = (
    ("Does transferring the decoder add to the final dice?", both_pairs, NEED_BOTH),
    (
        "Do encoders of segmentation or reconstruction pretexts beat those of classification or contrast?",
        kind_pairs,
        "it takes the encoder of a pretext that makes images or masks, and of one that tells images apart",
    ),
    ("Does ConRec beat reconstruction?", conrec_pairs, "it takes the encoders of ConRec and of a reconstruction"),
)


def _claim(question: str, made: Sequence[Finding | str], asked: bool, needs: str, margin: float | None) -> Claim:
    """Of comparisons, or the reasons why there are none."""
    findings = tuple(one for one in made if isinstance(one, Finding))
    reasons = some(list(dict.fromkeys(one for one in made if isinstance(one, str))), 3)
    if not asked:
        return Claim(question, NOT_ASKED, needs, (), margin)
    if not findings:
        return Claim(question, "undecided", reasons or NOT_DONE, (), margin)
    whole = together([one.answer for one in findings])
    why = f"{whole.count}; not among them: {reasons}" if reasons else whole.count
    return Claim(question, whole.answer, why, findings, margin)


def _arms(result: Result) -> list[Arm]:
    return [one.arm for one in result.arms]
