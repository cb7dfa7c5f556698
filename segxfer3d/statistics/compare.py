"""Is one arm better than another: the mean paired difference, its interval and its p-value, all from one model.

**Estimand.** The mean difference over patients and trainings: a patient's cases are averaged first, then every patient
weighs the same, and so does every seed. Interval and p-value speak of other patients *and* other trainings of the same
kind (:mod:`segxfer3d.statistics.crossed`).

**Family.** All comparisons of a study are corrected together (:func:`corrected`): all label budgets and data sets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segxfer3d.errors import InputError
from segxfer3d.statistics.collapse import FarOff, far_off
from segxfer3d.statistics.components import MeanSquares
from segxfer3d.statistics.crossed import CrossedMean, crossed_mean
from segxfer3d.statistics.interval import Interval
from segxfer3d.statistics.pairs import NamedStart, planned_pairs
from segxfer3d.statistics.repeated import mean_over_pretrainings
from segxfer3d.statistics.scores import ScoreTable

Scope = Literal["", "checkpoint", "checkpoints", "pretext"]


@dataclass(frozen=True)
class Comparison:
    """An arm less its reference, at one label budget.

    Attributes:
        arm, reference, budget: which.
        difference: mean over seeds and patients of arm - reference.
        interval: 95 %, of this comparison alone; None where there is one seed or one patient only.
        p_value: two-sided, of no difference, from the same distribution as ``interval``; None likewise.
        p_holm: the same after Holm's correction for ``family`` comparisons; None likewise.
        family: number of comparisons that are corrected together.
        seed_differences: mean difference over patients of each seed; of each pretraining where ``scope`` is "pretext".
        squares: mean squares of the difference; None as ``interval``.
        seeds, patients, cases: how many.
        units: what the patients are called, as in the table.
        far_off: trainings of the two arms that ended far from their arm's others.
        same: whether every score of every case and seed is that of the reference: the two arms are the same trainings.
        zero: whether all of them are 0 in both arms.
        pretrainings: how many each of the two arms that loads something starts from; 0 where none does.
        scope: what the interval holds for: other seeds that start from this "checkpoint", or from one of these
            "checkpoints", or other pretrainings with this "pretext" as well; empty where neither arm loads anything.
    """

    arm: str
    reference: str
    budget: float
    difference: float
    interval: Interval | None
    p_value: float | None
    p_holm: float | None
    family: int
    seed_differences: tuple[float, ...]
    squares: MeanSquares | None
    seeds: int
    patients: int
    cases: int
    far_off: tuple[FarOff, ...] = ()
    same: bool = False
    zero: bool = False
    pretrainings: int = 0
    scope: Scope = ""
    units: str = "patients"


def compare(
    table: ScoreTable,
    pairs: Sequence[tuple[str, str]] | None = None,
    *,
    far: float = 0.0,
    loading: Mapping[str, int] | None = None,
) -> list[Comparison]:
    """Paired differences of arms, not corrected yet: ``p_holm`` is ``p_value`` until :func:`corrected`.

    Args:
        table: scores of one budget.
        pairs: (arm, reference); by default those of :func:`segxfer3d.statistics.pairs.planned_pairs`.
        far: see :func:`segxfer3d.statistics.collapse.far_off`.
        loading: of the arms that start from a checkpoint, how many theirs are.

    Raises:
        InputError: an unknown arm, an arm against itself, no pairs, or a pair twice, be it the other way round.
    """
    loading = loading or {}
    pairs = planned_pairs([NamedStart(arm) for arm in table.arms]) if pairs is None else list(pairs)
    indices = [(table.index(arm), table.index(reference)) for arm, reference in pairs]
    if not pairs or len(set(map(frozenset, pairs))) < len(pairs) or any(arm == reference for arm, reference in pairs):
        raise InputError(f"pairs: expected different pairs of different arms, got {pairs}")
    of_patients = table.patient_means()
    strange = far_off(table, least=far)
    comparisons = []
    for i, j in indices:
        differences = of_patients[i] - of_patients[j]
        names = (table.arms[i], table.arms[j])
        starts = {arm: loading[arm] for arm in names if arm in loading}
        scope = _scope(table, starts)
        mean = over_trainings(table, differences, repeated=scope == "pretext")
        comparisons.append(
            Comparison(
                arm=table.arms[i],
                reference=table.arms[j],
                budget=table.budget,
                difference=mean.difference,
                interval=mean.interval,
                p_value=mean.p_value,
                p_holm=mean.p_value,
                family=1,
                seed_differences=mean.by_seed,
                squares=mean.squares,
                seeds=len(set(table.seeds)),
                patients=differences.shape[1],
                cases=len(table.cases),
                far_off=tuple(found for found in strange if found.arm in names),
                same=np.array_equal(table.values[i], table.values[j]),
                zero=not table.values[[i, j]].any(),
                pretrainings=len(set(table.pretrainings)) if scope == "pretext" else max(starts.values(), default=0),
                scope=scope,
                units=table.units,
            )
        )
    return comparisons


def _scope(table: ScoreTable, starts: Mapping[str, int]) -> Scope:
    """What a comparison of arms, of which these start from so many checkpoints, holds for."""
    if not starts:
        return ""
    if len(set(table.pretrainings)) > 1 and table.repeated.issuperset(starts):
        return "pretext"
    return "checkpoints" if max(starts.values()) > 1 else "checkpoint"


def over_trainings(table: ScoreTable, values: NDArray[np.float64], *, repeated: bool) -> CrossedMean:
    """The mean of values (places on the axis of seeds, patients), with its interval.

    Args:
        table: that they are made from.
        values: of an arm, or differences of two.
        repeated: whether it is to hold for other pretrainings; False: for those that there are.
    """
    if repeated:
        return mean_over_pretrainings(values, seeds=table.seeds, pretrainings=table.pretrainings)
    seeds = sorted(set(table.seeds))  # of several pretrainings, the mean
    rows = [[k for k, seed in enumerate(table.seeds) if seed == one] for one in seeds]
    return crossed_mean(np.stack([values[row].mean(0) for row in rows]))


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The same comparisons as one family: Holm's correction of those that have a p-value, whatever their budget."""
    tested = [index for index, one in enumerate(comparisons) if one.p_value is not None]
    p_holm = dict(zip(tested, holm([comparisons[index].p_value or 0.0 for index in tested]), strict=True))
    return [replace(one, p_holm=p_holm.get(i), family=max(1, len(tested))) for i, one in enumerate(comparisons)]


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (Scandinavian Journal of Statistics 6 (1979) 65-70), in the order given.

    The k-th smallest of m p-values (k from 0) is multiplied by m - k; none becomes smaller than one before it, or
    larger than 1. Any arm with a corrected value of at most 0.05 may be called different; the chance that even one of
    those calls is wrong is then at most 0.05.
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for k, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - k) * p_values[i]))
        adjusted[i] = highest
    return adjusted
