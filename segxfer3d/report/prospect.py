"""What a study that is planned will be able to say: power against seeds, patients and label budgets, and its price.

Power is that of the report's own test (:mod:`segxfer3d.statistics.power`), at the strictest step of Holm's correction
over all comparisons that the study file plans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from segxfer3d.errors import InputError
from segxfer3d.report.arms import Arm
from segxfer3d.report.collect import collect
from segxfer3d.report.results import results
from segxfer3d.statistics.components import Components, MeanSquares
from segxfer3d.statistics.pairs import planned_pairs
from segxfer3d.statistics.power import equivalence, extremes, power
from segxfer3d.statistics.verdict import MIN_PATIENTS, MIN_SEEDS
from segxfer3d.study.definition import CROSSED, Study
from segxfer3d.study.estimate import Cost, kind_of
from segxfer3d.study.trials import Trial


@dataclass(frozen=True)
class Spread:
    """What a difference of two arms is taken to vary by, at one label budget.

    Attributes:
        title: of the budget, or what else it holds for.
        components: variances, in squared dice points.
        limits: as small and as large as a pilot allows; None where they are assumed.
        seeds, patients: of the pilot; 0 where they are assumed.
        levels: what the pilot's first factor is: ``seeds`` or ``pretrainings``.
        units: what its patients are called.
    """

    title: str
    components: Components
    limits: tuple[Components, Components] | None = None
    seeds: int = 0
    patients: int = 0
    levels: str = "seeds"
    units: str = "patients"


@dataclass(frozen=True)
class Prospect:
    """One number of seeds and of patients.

    Attributes:
        found: chance that a true difference of the margin is called better or worse.
        equivalent: chance that arms that do not differ are called equivalent.
        found_range: of ``found`` under the spreads that the pilot allows, low to high; None where it is assumed.
        verdict: whether a report gives one on so few; where not, it finds nothing.
    """

    found: float
    equivalent: float
    found_range: tuple[float, float] | None = None
    verdict: bool = True


def assumed(seed: float, patient: float, rest: float) -> Spread:
    """Standard deviations in dice points, of a difference between seeds, between patients, and of what is left.

    Raises:
        InputError: one is negative or not finite, or all are 0.
    """
    given = (seed, patient, rest)
    if not all(np.isfinite(each) and each >= 0 for each in given) or not any(given):
        raise InputError(f"--sd {seed:g} {patient:g} {rest:g}: expected three numbers of at least 0, not all of them 0")
    return Spread("as assumed", Components(seed**2, patient**2, rest**2))


def from_pilot(folder: Path | str) -> list[Spread]:
    """What differences varied by in a study: of the comparisons with its reference, the mean of their mean squares.

    Where arms repeat their pretraining it is theirs alone: what differs between seeds of one checkpoint is another
    thing, and has another number of repetitions.

    Args:
        folder: of the study, its record, or of runs.

    Raises:
        InputError: no comparison there has two seeds and two patients.
    """
    spreads = []
    for result in results(collect(folder)):
        pairs = [pair for pair, _ in result.comparisons if pair.reference == result.reference and not pair.same]
        pairs = [pair for pair in pairs if pair.scope == "pretext"] or pairs
        squares = [pair.squares for pair in pairs if pair.squares is not None]
        if not squares:
            continue
        of = {name: float(np.mean([getattr(each, name) for each in squares])) for name in ("seed", "patient", "rest")}
        mean: MeanSquares = replace(squares[0], **of)  # type: ignore[arg-type]  # the numbers of seeds stay
        levels = "pretrainings" if pairs[0].scope == "pretext" else "seeds"
        spreads.append(
            Spread(result.title, mean.components(), extremes(mean), mean.seeds, mean.patients, levels, pairs[0].units),
        )
    if not spreads:
        raise InputError(f"{folder}: no comparison with at least 2 seeds and 2 patients to learn the spread from")
    return spreads


def family_of(study: Study) -> int:
    """How many comparisons a study's report will make: of all label budgets and data sets."""
    arms = [
        Arm(name, arm.init, knobs=arm.knobs, source=arm.pretrain or arm.checkpoint or "")
        for name, arm in study.arms.items()
    ]
    reference = next((arm.name for arm in arms if arm.init == "random"), arms[0].name)
    return len(planned_pairs(arms, reference)) * len(study.budgets) * len(study.data)


def levels_of(study: Study) -> str:
    """What stands in the first factor of a study's model: ``seeds``, or ``pretrainings`` that are repeated.

    Raises:
        InputError: a crossed design, whose power is not computed.
    """
    if study.pretrain_seeds and study.pretrain_design == CROSSED:
        raise InputError(f"{study.file}: power is computed for nested pretrainings; expected pretrain_design nested")
    return "pretrainings" if study.pretrain_seeds else "seeds"


def check_pilot(spreads: Sequence[Spread], study: Study) -> None:
    """Refuse a pilot that cannot know what the study's first factor varies by.

    Raises:
        InputError: it has seeds of one pretraining where the study repeats it, or the other way round.
    """
    levels = levels_of(study)
    if other := next((each.levels for each in spreads if each.seeds and each.levels != levels), None):
        raise InputError(
            f"the pilot varies {other}, the study {levels}: expected a pilot that varies {levels}, or --sd with what "
            f"{levels} differ by first"
        )


def prospect(spread: Spread, *, levels: int, patients: int, effect: float, family: int) -> Prospect:
    """The chances of a study of this size.

    Args:
        spread: of a difference.
        levels: seeds, or pretrainings that are repeated.
        patients: of the test part.
        effect: the margin, in dice points: a true difference as large as it is to be found.
        family: comparisons that are corrected together.
    """
    if levels < MIN_SEEDS or patients < MIN_PATIENTS:
        return Prospect(0.0, 0.0, verdict=False)
    sizes = {"seeds": levels, "patients": patients}
    found = power(spread.components, **sizes, effect=effect, family=family)
    limits = None
    if spread.limits:
        small, large = (power(each, **sizes, effect=effect, family=family) for each in spread.limits)
        limits = (min(large, found), max(small, found))
    return Prospect(found, equivalence(spread.components, **sizes, margin=effect), limits)


def hours(trials: Sequence[Trial], costs: Mapping[str, Cost], study: Study, levels: int) -> float | None:
    """What a study with so many seeds (or pretrainings) costs, one training at a time; None where that is not known.

    Args:
        trials: of the study as it is.
        costs: of each kind of trial.
        study: they are of.
        levels: how many.
    """
    seconds = {trial.id: costs[kind_of(trial)].seconds for trial in trials}
    if any(each is None for each in seconds.values()):
        return None
    before = sum(seconds[trial.id] or 0.0 for trial in trials if trial.kind == "pretrain")
    finetunings = [trial for trial in trials if trial.kind == "finetune"]
    if study.pretrain_seeds:
        after = sum(seconds[trial.id] or 0.0 for trial in finetunings)
        return (before + after) / len(study.pretrain_seeds) * levels / 3600
    seeds = {budget.name: len(budget.seeds or study.seeds) for budget in study.budgets}  # one may have fewer
    of_one = sum((seconds[trial.id] or 0.0) / seeds[trial.budget_name or ""] for trial in finetunings)
    return (before + of_one * levels) / 3600
