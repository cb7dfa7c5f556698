"""What comparisons answer together: yes, no or undecided, from their verdicts and from nothing else.

A claim such as "the decoder adds nothing" is about every pretext, data set and number of labels that a study tries. So
it is answered only where **all** comparisons behind it say the same: that is an intersection-union test (Berger,
Technometrics 24, 1982, 295-300), whose level is that of a single one, and Holm's correction over the study already
keeps each of them from being called wrongly. No p-value is made from theirs, so that no answer can contradict a
verdict. It costs power: one comparison that is undecided leaves the claim undecided, and what each of them says stands
beside it.

Steps of training have no place in Holm's family, which is of dice. They are judged by Student's interval over seeds, of
a confidence that is Bonferroni's for the study's comparisons of steps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from segxfer3d.statistics.interval import CONFIDENCE, t_interval
from segxfer3d.statistics.verdict import MIN_SEEDS, Kind

Answer = Literal["yes", "no", "undecided"]


def beats(kind: Kind, why: str = "") -> Answer:
    """Whether an arm is better than its reference: one that is worse, equivalent or identical is not.

    Args:
        kind: of the verdict.
        why: of the verdict; what would keep identical arms from one keeps them from an answer.
    """
    if kind == "better":
        return "yes"
    return "no" if kind in ("worse", "equivalent") or (kind == "identical" and not why) else "undecided"


def turned(kind: Kind) -> Kind:
    """The verdict on the reference against the arm."""
    return {"better": "worse", "worse": "better"}.get(kind, kind)  # type: ignore[return-value]


def fewer(differences: Sequence[float], family: int = 1) -> Answer:
    """Whether steps are fewer: one difference for each seed, of ``family`` comparisons in the study.

    Undecided below three seeds, and where the interval holds 0: how few steps do not matter nobody says, so that
    "no" is said of more steps only.
    """
    interval = t_interval(differences, 1 - (1 - CONFIDENCE) / family)
    if interval is None or len(differences) < MIN_SEEDS:
        return "undecided"
    low, high = interval
    return "yes" if high < 0 else "no" if low > 0 else "undecided"


@dataclass(frozen=True)
class Together:
    """What several comparisons say.

    Attributes:
        answer: of all of them.
        count: how many say what, in words.
    """

    answer: Answer
    count: str


def together(answers: Sequence[Answer]) -> Together:
    """The answer that all comparisons give, at least one; undecided where they do not give the same.

    Example:
        >>> together(["no", "no"]).answer, together(["yes", "undecided"]).count
        ('no', '1 of 2 comparisons says yes, 1 is undecided')
    """
    counts = Counter(answers)
    whole = answers[0] if len(counts) == 1 else "undecided"
    comparisons = "comparison" if len(answers) == 1 else "comparisons"
    if len(counts) == 1:
        every = "the only comparison" if len(answers) == 1 else f"all {len(answers)} comparisons"
        if whole == "undecided":
            return Together(whole, f"{every} {'is' if len(answers) == 1 else 'are'} undecided")
        return Together(whole, f"{every} {'says' if len(answers) == 1 else 'say'} {whole}")
    parts = [f"{counts[one]} {'say' if counts[one] > 1 else 'says'} {one}" for one in ("yes", "no") if counts[one]]
    parts[0] = parts[0].replace(" ", f" of {len(answers)} {comparisons} ", 1)
    if counts["undecided"]:
        parts.append(f"{counts['undecided']} {'are' if counts['undecided'] > 1 else 'is'} undecided")
    return Together(whole, ", ".join(parts))
