"""The rule by which reports of commit 24e1449 gave verdicts, kept for comparing; reports have a better one now.

An arm was called better or worse where the 95 % interval of a bootstrap over patients and seeds (the pigeonhole
bootstrap: Owen, Annals of Applied Statistics 1 (2007) 386-411) excluded 0 *and* the p-value of Wilcoxon's signed-rank
test on one difference per patient was at most 0.05, corrected by Holm over the comparisons of one label budget. In
simulated studies without any difference (docs/results/verdicts.md has those of today's rule), it called 10 to 14 of 100
comparisons better or worse where trainings differ as ours do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from segxfer3d.report.arms import Arm
from segxfer3d.statistics.compare import holm
from segxfer3d.statistics.interval import Interval
from segxfer3d.statistics.scores import ScoreTable, patient_sums

RESAMPLES = 10_000
BLOCK = 1000  # resamples held in memory at once
ALPHA = 0.05
MIN_SEEDS, MIN_PATIENTS = 5, 6


@dataclass(frozen=True)
class OldVerdict:
    """What the rule found of one comparison.

    Attributes:
        difference: mean over seeds and cases, each of which weighs the same.
        interval: 95 %, of the bootstrap.
        p_holm: of the signed-rank test, corrected.
        kind: ``better``, ``worse``, ``undecided`` or ``no verdict``.
    """

    difference: float
    interval: Interval
    p_holm: float
    kind: str


def old_pairs(arms: Sequence[Arm], reference: str) -> list[tuple[str, str]]:
    """(arm, reference): each arm against the reference, and the encoder against encoder and decoder of one pretext."""
    pairs = [(arm.name, reference) for arm in arms if arm.name != reference]
    for encoder in (arm for arm in arms if arm.init == "encoder"):
        both = [arm for arm in arms if arm.init == "encoder+decoder" and arm.pretext == encoder.pretext]
        alike = [arm for arm in both if dict(arm.knobs) == dict(encoder.knobs)]
        alone = sum((arm.init, arm.pretext) == ("encoder", encoder.pretext) for arm in arms) == len(both) == 1
        pairs += [(encoder.name, arm.name) for arm in (both if alone else alike)]
    return list(dict.fromkeys(pairs))


def old_verdicts(table: ScoreTable, pairs: Sequence[tuple[str, str]]) -> list[OldVerdict]:
    """Judge the pairs of one label budget, which were one family.

    Args:
        table: scores of the budget, of several seeds and patients, no pretraining repeated.
        pairs: (arm, reference).
    """
    means = _resampled_means(table)
    of_patients = table.patient_means()
    indices = [(table.index(arm), table.index(reference)) for arm, reference in pairs]
    corrected = holm([_signed_rank((of_patients[i] - of_patients[j]).mean(0)) for i, j in indices])
    enough = len(table.seeds) >= MIN_SEEDS and len(set(table.patients)) >= MIN_PATIENTS
    found = []
    for (i, j), p_holm in zip(indices, corrected, strict=True):
        low, high = (float(limit) for limit in np.quantile(means[:, i] - means[:, j], [ALPHA / 2, 1 - ALPHA / 2]))
        kind = "undecided" if enough else "no verdict"
        if enough and p_holm <= ALPHA and (low > 0 or high < 0):
            kind = "better" if low > 0 else "worse"
        difference = float((table.values[i] - table.values[j]).mean())
        found.append(OldVerdict(difference, (low, high), p_holm, kind))
    return found


def _signed_rank(differences: NDArray[np.float64]) -> float:
    """Two-sided p-value of (n,) differences; rounded, so that what is equal but for rounding errors ties."""
    rounded = np.round(differences, 12)
    return float(stats.wilcoxon(rounded).pvalue) if rounded.any() else 1.0


def _resampled_means(table: ScoreTable) -> NDArray[np.float64]:
    """(resamples, arms): each arm's mean over the cases of drawn patients and over drawn seeds."""
    rng = np.random.default_rng(0)
    sums, cases = patient_sums(table.values, table.patient_of_case())
    arms, seeds, patients = sums.shape
    flat = sums.reshape(arms * seeds, patients).T
    means = np.empty((RESAMPLES, arms))
    for start in range(0, RESAMPLES, BLOCK):
        drawn_patients = _counts(rng, patients)
        drawn_seeds = _counts(rng, seeds)
        of_runs = (drawn_patients @ flat).reshape(BLOCK, arms, seeds) / (drawn_patients @ cases)[:, None, None]
        means[start : start + BLOCK] = np.einsum("bas,bs->ba", of_runs, drawn_seeds) / seeds
    return means


def _counts(rng: np.random.Generator, items: int) -> NDArray[np.float64]:
    """How often each item is drawn: (BLOCK, items), each row with the sum ``items``."""
    drawn = rng.integers(items, size=(BLOCK, items)) + items * np.arange(BLOCK)[:, None]
    return np.bincount(drawn.ravel(), minlength=BLOCK * items).reshape(BLOCK, items).astype(np.float64)
