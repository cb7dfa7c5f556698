from dataclasses import replace

import numpy as np

from segxfer3d.statistics.collapse import FarOff, far_off
from tests.statistics.simulation import table


def of_seeds(*arms):
    """A table whose trainings have these means over patients."""
    means = np.array(arms)[:, :, None]
    return table(means + np.array([-3.0, 0, 3]))


def test_a_training_below_half_or_above_twice_its_arm_is_far():
    made = of_seeds((70, 71, 12, 69, 72), (70, 60, 65, 50, 75))
    assert far_off(made) == [FarOff("random", 2, 12.0, 70.0)]
    made = of_seeds((70, 71, 60, 69, 72), (10, 8, 65, 12, 9))  # here four of five have collapsed
    assert far_off(made) == [FarOff("encoder", 2, 65.0, 10.0)]


def test_a_training_of_a_repeated_pretraining_is_named_by_it():
    made = of_seeds((70, 71, 70, 71), (70, 60, 12, 75))
    made = replace(made, seeds=(0, 1, 0, 1), pretrainings=(0, 0, 1, 1), repeated=frozenset({"encoder"}))
    assert [found.name for found in far_off(made)] == ["encoder with seed 0 from pretraining 1"]


def test_what_is_near_in_points_is_not_far():
    made = of_seeds((10, 12, 4, 9, 11), (10, 11, 9, 8, 12))
    assert [found.seed for found in far_off(made)] == [2]
    assert far_off(made, least=10) == []
    assert far_off(of_seeds((70, 71), (60, 61))) == []
