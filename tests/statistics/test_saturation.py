"""The fit of a curve that rises and levels off."""

import numpy as np
import pytest
from scipy import optimize

from segxfer3d.statistics.saturation import saturation

STEPS = np.arange(20.0, 401, 20)


def rise(steps, height, start, scale, power):
    return height * (1 - np.exp(-((np.maximum(steps - start, 0) / scale) ** power)))


@pytest.mark.parametrize("parameters", [(60, 0, 80, 1), (0.8, 50, 90, 0.8), (70, 20, 200, 2.5), (1, 0, 30, 0.6)])
def test_a_curve_of_the_kind_is_found(parameters):
    height, start, scale, power = parameters
    fit = saturation(STEPS, rise(STEPS, *parameters)[None])
    assert fit.last == pytest.approx([rise(400, *parameters)], rel=0.01)
    level = 0.9 * rise(400, *parameters)
    expected = start + scale * (-np.log(1 - level / height)) ** (1 / power)
    assert fit.reached(np.array([level])) == pytest.approx([expected], rel=0.02)


def test_noisy_curves_are_fitted_as_well_as_by_scipy():
    rng = np.random.default_rng(0)
    values = np.stack([rise(STEPS, 60, 10, 90, 1.2) + 3 * rng.standard_normal(len(STEPS)) for _ in range(6)])
    fit = saturation(STEPS, values)
    ours = np.stack([rise(STEPS, *each) for each in zip(fit.height, fit.start, fit.scale, fit.power, strict=True)])
    bounds = ([0, 0, 1, 0.5], [200, 240, 1600, 4])
    for row, mine in zip(values, ours, strict=True):
        found, _ = optimize.curve_fit(rise, STEPS, row, p0=(60, 10, 90, 1.2), bounds=bounds)
        assert ((row - mine) ** 2).sum() <= 1.01 * ((row - rise(STEPS, *found)) ** 2).sum()


def test_rows_are_fitted_alone_and_scale():
    values = np.stack([rise(STEPS, 60, 0, 80, 1), rise(STEPS, 30, 50, 150, 2)])
    both, second = saturation(STEPS, values), saturation(10 * STEPS, 0.01 * values[1:])
    assert second.height[0] == pytest.approx(0.01 * both.height[1])
    assert second.scale[0] == pytest.approx(10 * both.scale[1])


def test_what_is_not_reached_or_learned():
    fit = saturation(STEPS, np.stack([rise(STEPS, 60, 0, 80, 1), 0 * STEPS, -1 - 0 * STEPS]))
    assert np.isnan(fit.reached(np.array([61.0, 0.1, 0.1]))).all()
    assert fit.last[1:].tolist() == [0, 0]
    assert np.isnan(fit.reached(np.array([0.0, 0.0, -1.0]))).all()
