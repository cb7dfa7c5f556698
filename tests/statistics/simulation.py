"""Studies with a known truth."""

import numpy as np

from segxfer3d.statistics.scores import ScoreTable

# standard deviations of trainings (all cases of a seed together), of patients between arms, and of the rest
NOISY_TRAININGS = (0.03, 0.05, 0.06)
STEADY_TRAININGS = (0.0, 0.05, 0.06)


def study(rng, seeds, patients, spread=NOISY_TRAININGS, effect=0.0, arms=("random", "encoder"), cases=1):
    """A table where the second arm is better than the others by ``effect``; every patient has ``cases`` equal cases."""
    of_seed, of_patient, rest = spread
    difficulty = 0.6 + 0.15 * rng.standard_normal((1, 1, patients))
    values = (
        difficulty
        + of_seed * rng.standard_normal((len(arms), seeds, 1))
        + of_patient * rng.standard_normal((len(arms), 1, patients))
        + rest * rng.standard_normal((len(arms), seeds, patients))
    )
    values[1] += effect
    return table(np.repeat(values, cases, axis=2), arms, cases)


def table(values, arms=("random", "encoder"), cases=1):
    """A table of values (arms, seeds, cases) whose patients have ``cases`` neighboring cases each."""
    names = tuple(f"p{i // cases:03d}-{i % cases}" for i in range(values.shape[2]))
    return ScoreTable(
        10, tuple(arms), tuple(range(values.shape[1])), names, tuple(n.split("-")[0] for n in names), values
    )
