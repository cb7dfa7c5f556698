"""Which trainings of a study are compared: those of the same seed and, where it is repeated, of the same pretraining.

A study may repeat its pretraining with several seeds. *Nested*: each seed of fine-tuning starts from one of them.
*Crossed*: each starts from all of them, one training each. An arm without a repeated pretraining (``random``, a
checkpoint from elsewhere) has one training a seed, which is paired with each of the other arm's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Literal

from segxfer3d.errors import InputError, some

Run = tuple[str, int, int | None]  # arm, seed, seed of its pretraining where that is repeated
Training = tuple[int, int | None]  # seed, seed of the pretraining
LeftOut = tuple[Run, str]  # and why, a clause


Levels = Literal["seeds", "pretrainings", "crossed"]


@dataclass(frozen=True)
class Pretrainings:
    """What of a study is repeated, for values that have a number for each seed, such as steps.

    Attributes:
        repeated: arms whose pretraining is.
        of_seed: seed to the pretraining that it starts from; empty where it starts from each (crossed).
        fixed: arms that start from one checkpoint.
    """

    repeated: frozenset[str] = frozenset()
    of_seed: Mapping[int, int] = field(default_factory=dict)
    fixed: frozenset[str] = frozenset()

    def levels(self, arms: Collection[str]) -> Levels:
        """What values of these arms are independent between, as :func:`segxfer3d.statistics.compare.compare` has it:
        pretrainings where all that load something repeat it, seeds otherwise, and both at once where they are crossed.
        """
        if not self.repeated.intersection(arms) or self.fixed.intersection(arms):
            return "seeds"
        return "pretrainings" if self.of_seed else "crossed"


def pretrainings_of(runs: Collection[Run], loading: Collection[str]) -> Pretrainings:
    """What of these runs is repeated.

    Args:
        runs: all of them.
        loading: arms that start from a checkpoint.
    """
    told = {(seed, pretraining) for _, seed, pretraining in runs if pretraining is not None}
    repeated = frozenset(arm for arm, _, pretraining in runs if pretraining is not None)
    if len({pretraining for _, pretraining in told}) < 2:  # one is as good as a checkpoint
        return Pretrainings()
    of_seed = {} if is_crossed([seed for seed, _ in told]) else dict(told)
    return Pretrainings(repeated, of_seed, frozenset(loading) - repeated)


def run_name(run: tuple[str, int | None, int | None]) -> str:
    """In words."""
    arm, seed, pretraining = run
    return f"{arm} with seed {seed}" + ("" if pretraining is None else f" from pretraining {pretraining}")


def repeated_arms(at: str, runs: Collection[Run]) -> frozenset[str]:
    """The arms whose pretraining is repeated.

    Raises:
        InputError: an arm of which some runs say their pretraining and others do not.
    """
    told = {(arm, pretraining is not None) for arm, _, pretraining in runs}
    repeated = frozenset(arm for arm, is_told in told if is_told)
    if torn := sorted(arm for arm in repeated if (arm, False) in told):
        raise InputError(f"{at}: runs of {', '.join(torn)} with and without a seed of their pretraining")
    return repeated


def common_trainings(
    at: str, runs: Collection[Run], repeated: frozenset[str], *, common_seeds: bool
) -> tuple[tuple[Training, ...], tuple[LeftOut, ...]]:
    """The trainings that all arms have, sorted, and the runs that are none of them, each with the reason.

    Args:
        at: which budget, for messages.
        runs: all of them.
        repeated: arms that repeat their pretraining.
        common_seeds: False refuses runs that are missing.

    Raises:
        InputError: none is common, or runs are missing.
    """
    arms = list(dict.fromkeys(arm for arm, _, _ in runs))
    found = {(seed, pre) for arm, seed, pre in runs if arm in repeated or not repeated}
    seeds = {seed for seed, _ in found}
    if is_crossed([seed for seed, _ in found]):
        found = set(product(seeds, {pre for _, pre in found}))
    wanted = sorted(found, key=_order)
    there = set(runs)

    def lacks(training: Training) -> list[Run]:
        of = [(arm, training[0], training[1] if arm in repeated else None) for arm in arms]
        return [run for run in of if run not in there]

    plain = sorted({seed for arm, seed, _ in runs if arm not in repeated} - seeds) if repeated else []
    missing = list(dict.fromkeys(run for training in wanted for run in lacks(training)))
    missing += [(arm, seed, None) for seed in plain for arm in arms if arm in repeated]
    if missing and not common_seeds:
        names = some([run_name(run) for run in missing])
        raise InputError(f"{at}: runs missing, so that seeds cannot be paired: {names}")
    common = _balanced([training for training in wanted if not lacks(training)])
    if not common:
        raise InputError(f"{at}: no seed that all of {', '.join(arms)} have")
    used = {(arm, seed, pre if arm in repeated else None) for arm in arms for seed, pre in common}
    whole = {training for training in wanted if not lacks(training)}
    left = sorted((run for run in runs if run not in used), key=lambda run: (run[0], *_order(run[1:])))
    return tuple(common), tuple((run, _why_left(run, whole, {pre for _, pre in common})) for run in left)


def _why_left(run: Run, whole: Collection[Training], pretrainings: Collection[int | None]) -> str:
    """Why a run is in no table.

    Args:
        run: of an arm; its pretraining is None where its arm repeats none.
        whole: the trainings that all arms have.
        pretrainings: of those that are in the table.
    """
    _, seed, pretraining = run
    if not any(seed == other and pretraining in (None, pre) for other, pre in whole):
        return "another arm has no such run that is done"
    # crossed, and the table is of seeds and pretrainings of which each has every other
    if pretraining is None or pretraining in pretrainings:
        return f"seed {seed} is not done from every pretraining"
    return f"not every seed is done from pretraining {pretraining}"


def is_crossed(seeds: Sequence[int]) -> bool:
    """Whether seeds are there more than once: each with every pretraining."""
    return len(set(seeds)) < len(seeds)


def _order(training: Training) -> tuple[int, int]:
    seed, pretraining = training
    return (-1 if pretraining is None else pretraining, seed)


def _balanced(trainings: Sequence[Training]) -> list[Training]:
    """Of a crossed design, the seeds that every pretraining has, or the pretrainings that have every seed.

    The larger of both; nested ones stay as they are.
    """
    if not is_crossed([seed for seed, _ in trainings]):
        return list(trainings)
    seeds, pretrainings = ({training[k] for training in trainings} for k in (0, 1))
    there = set(trainings)
    whole_seeds = {seed for seed in seeds if all((seed, pre) in there for pre in pretrainings)}
    whole_pretrainings = {pre for pre in pretrainings if all((seed, pre) in there for seed in seeds)}
    if len(whole_seeds) * len(pretrainings) >= len(seeds) * len(whole_pretrainings):
        return [training for training in trainings if training[0] in whole_seeds]
    return [training for training in trainings if training[1] in whole_pretrainings]
