"""Is one arm better than another: paired differences, their intervals, and a test with a correction for many arms.

Two numbers stand side by side, because they answer two questions.

The **interval** of the mean difference comes from resampling patients and seeds together: it speaks about other
patients *and* other trainings.

The **p-value** is that of Wilcoxon's signed-rank test on one difference per patient: seeds are averaged first, then the
cases of each patient. Seeds of one case, and cases of one patient, are no independent observations: pooled as rows they
make the test reject far too often. The test speaks about other patients under *these* trainings: where a training moves
all cases together, it rejects far more often than it says, and only the interval sees it. In simulated studies of two
equal arms (40 patients, 10 seeds) it rejects in 5 to 6 of 100 where trainings do not differ as a whole, and in about 16
where they differ much; rows pooled, in 30 to 50. So the verdict (:mod:`segxfer3d.statistics.verdict`) needs both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from segxfer3d.errors import InputError
from segxfer3d.statistics.components import Components, variance_components
from segxfer3d.statistics.crossed import CrossedMean, crossed_mean
from segxfer3d.statistics.interval import RESAMPLES, Interval, bootstrap_means, can_resample, percentile_interval
from segxfer3d.statistics.pairs import NamedStart, planned_pairs
from segxfer3d.statistics.scores import ScoreTable


@dataclass(frozen=True)
class Comparison:
    """An arm less its reference, at one label budget.

    Attributes:
        arm, reference, budget: which.
        difference: mean over seeds and cases of arm - reference; every case weighs the same.
        interval: 95 %, from resampling patients and seeds; None where there is one seed or one patient only.
        p_value: Wilcoxon's signed-rank test, two-sided, one difference per patient; every patient weighs the same.
        p_holm: the same after Holm's correction for ``family`` tests.
        family: number of tests made together.
        seed_differences: mean difference over cases of each seed.
        components: variances of the difference between seeds and patients; None as ``interval``.
        seeds, patients, cases: how many.
        over_patients: the mean difference with every patient weighing the same, and its t interval.
    """

    arm: str
    reference: str
    budget: float
    difference: float
    interval: Interval | None
    p_value: float
    p_holm: float
    family: int
    seed_differences: tuple[float, ...]
    components: Components | None
    seeds: int
    patients: int
    cases: int
    over_patients: CrossedMean


def compare(
    table: ScoreTable,
    pairs: Sequence[tuple[str, str]] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Comparison]:
    """Paired differences of arms.

    All pairs of one call are one family of Holm's correction, the encoder against the encoder with decoder included.
    Label budgets and measures are questions of their own: nothing is corrected across them.

    Args:
        table: scores of one budget.
        pairs: (arm, reference); by default those of :func:`segxfer3d.statistics.pairs.planned_pairs`.
        resamples, seed: of the bootstrap, see :func:`segxfer3d.statistics.interval.bootstrap_means`.

    Raises:
        InputError: an unknown arm, an arm against itself, no pairs, or a pair twice.
    """
    pairs = planned_pairs([NamedStart(arm) for arm in table.arms]) if pairs is None else list(pairs)
    indices = [(table.index(arm), table.index(reference)) for arm, reference in pairs]
    if not pairs or len(set(pairs)) < len(pairs) or any(arm == reference for arm, reference in pairs):
        raise InputError(f"pairs: expected different pairs of different arms, got {pairs}")
    drawn = bootstrap_means(table, resamples, seed) if can_resample(table) else None
    of_patients = table.patient_means()
    comparisons = []
    for i, j in indices:
        by_seed = (table.values[i] - table.values[j]).mean(1)
        differences = of_patients[i] - of_patients[j]
        p_value = signed_rank(differences.mean(0))
        comparisons.append(
            Comparison(
                arm=table.arms[i],
                reference=table.arms[j],
                budget=table.budget,
                difference=float(by_seed.mean()),
                interval=percentile_interval(drawn[:, i] - drawn[:, j]) if drawn is not None else None,
                p_value=p_value,
                p_holm=p_value,
                family=len(pairs),
                seed_differences=tuple(by_seed.tolist()),
                components=variance_components(differences),
                seeds=len(table.seeds),
                patients=differences.shape[1],
                cases=len(table.cases),
                over_patients=crossed_mean(differences),
            )
        )
    corrected = holm([comparison.p_value for comparison in comparisons])
    return [replace(comparison, p_holm=p) for comparison, p in zip(comparisons, corrected, strict=True)]


def signed_rank(differences: NDArray[np.float64]) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test (SciPy's; differences of 0 are left out, as Wilcoxon did).

    Differences are rounded to 12 digits first, so that what is equal but for rounding errors ties. All of them 0: 1.0.

    Args:
        differences: (n,) independent ones.
    """
    from scipy import stats  # a second to import, and what runs a study needs none of it

    rounded = np.round(differences, 12)
    return float(stats.wilcoxon(rounded).pvalue) if rounded.any() else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (Scandinavian Journal of Statistics 6 (1979) 65-70), in the order given.

    The k-th smallest of m p-values (k from 0) is multiplied by m - k; none becomes smaller than one before it, or
    larger than 1. Any arm with a corrected value of at most 0.05 may be called different; the chance that even one of
    those calls is wrong is then at most 0.05.
    """
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for k, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - k) * p_values[i]))
        corrected[i] = highest
    return corrected
