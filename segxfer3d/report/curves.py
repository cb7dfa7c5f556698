"""Dice over the steps of training: the curve of each arm and seed, and how soon it is nearly as good as it gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from segxfer3d.errors import InputError
from segxfer3d.report.run_files import Run
from segxfer3d.statistics.convergence import Convergence, converge
from segxfer3d.statistics.trainings import Pretrainings

Curves = dict[str, dict[int, list[tuple[float, float]]]]  # arm to seed to (step, dice in percent)


def curves(runs: Sequence[Run], notes: list[str]) -> Curves:
    """Dice over steps of each arm, at the steps that all of its seeds have.

    Of the trainings of one seed from several pretrainings, the mean.
    """
    drawn: Curves = {}
    if not any(len(run.curve) > 1 for run in runs):
        notes.append("No curves: no run was validated twice while it trained.")
        return drawn
    for arm in dict.fromkeys(run.arm for run in runs):
        of_seed = _of_seeds([run for run in runs if run.arm == arm and run.seed is not None])
        with_curve = {seed: curve for seed, curve in of_seed.items() if len(curve) > 1}
        if len(with_curve) < len(of_seed):
            lacking = ", ".join(str(seed) for seed in of_seed if seed not in with_curve)
            notes.append(f"No curve of {arm} with seed {lacking}: fewer than two validations can be read.")
        if not with_curve:
            continue
        steps = sorted(set.intersection(*(set(curve) for curve in with_curve.values())))
        if len(steps) < 2:
            notes.append(f"No curve of {arm}: its seeds were validated at different steps.")
            continue
        if any(len(curve) > len(steps) for curve in with_curve.values()):
            notes.append(f"The curve of {arm} is drawn at the steps that all of its seeds have.")
        drawn[arm] = {seed: [(step, curve[step]) for step in steps] for seed, curve in with_curve.items()}
    return drawn


def _of_seeds(runs: Sequence[Run]) -> dict[int, dict[float, float]]:
    """Step -> dice of each seed, at the steps that all of its trainings have."""
    of_seed: dict[int, list[dict[float, float]]] = {}
    for run in runs:
        of_seed.setdefault(run.seed or 0, []).append(dict(run.curve))
    return {
        seed: {step: fmean(curve[step] for curve in found) for step in found[0] if all(step in c for c in found)}
        for seed, found in of_seed.items()
    }


def convergence(
    curves: Mapping[str, Mapping[int, Sequence[tuple[float, float]]]],
    reference: str,
    pretrainings: Pretrainings,
    notes: list[str],
) -> tuple[tuple[Convergence, ...], tuple[Convergence, ...]]:
    """Steps to 95 % of each arm's own final dice, and of the reference's; seeds that all arms have."""
    if not curves:
        return (), ()
    seeds = set.intersection(*(set(of_seed) for of_seed in curves.values()))
    paired = {arm: {seed: of_seed[seed] for seed in sorted(seeds)} for arm, of_seed in curves.items()}
    try:
        to_itself, to_reference = (
            tuple(converge(paired, level_of=level, reference=reference, pretrainings=pretrainings))
            for level in (None, reference)
        )
    except InputError as error:
        notes.append(f"No time to converge: {error}.")
        return (), ()
    return to_itself, to_reference
