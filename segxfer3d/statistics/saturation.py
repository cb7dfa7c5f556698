"""A curve that rises and levels off, fitted to noisy evaluations of a training.

height (1 - exp(-((step - start) / scale)^power)) for steps behind ``start``, 0 before: nothing is learned for a while,
then a rise that is steep first (power below 1), exponential, or S-shaped (power above 1), and levels off. Least
squares; the height is linear in it, so that only three numbers are searched (variable projection; Golub and Pereyra,
SIAM Journal on Numerical Analysis 10, 1973): on a grid, then around the best of it, finer and finer. No start value, no
randomness.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

PARAMETERS = 4
# shares of the last step, and powers
_STARTS = (0.0, 0.06, 0.12, 0.18, 0.25, 0.35, 0.45)
_SCALES = tuple(np.geomspace(1 / 60, 4, 36).tolist())
_POWERS = (0.5, 0.65, 0.8, 1.0, 1.3, 1.7, 2.2, 3.0, 4.0)
_ROUNDS, _SHRINK = 6, 0.5
_WIDTHS = np.array([0.05, 0.15, 0.25])  # of the first round: in start, and in the logarithms of scale and power

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Saturation:
    """Fitted curves; every attribute (n,).

    Attributes:
        height: what a curve nears in the end.
        start: step at which it begins to rise.
        scale: steps behind ``start`` at which it is at 63 % of its height.
        power: shape of the rise.
        last: value at the last step that was seen.
    """

    height: Floats
    start: Floats
    scale: Floats
    power: Floats
    last: Floats

    def reached(self, level: Floats) -> Floats:
        """Step at which each curve comes to its level (n,); NaN where its last value is below."""
        share = np.divide(level, self.height, out=np.full_like(level, np.nan), where=(self.height > 0) & (level > 0))
        with np.errstate(invalid="ignore"):
            within = (level <= self.last * (1 + 1e-12)) & (share < 1)
            steps = self.start + self.scale * (-np.log1p(-np.where(within, share, 0.0))) ** (1 / self.power)
        return np.where(within, steps, np.nan)


def saturation(steps: Floats, values: Floats) -> Saturation:
    """Fit a curve to each row of values.

    Args:
        steps: (t,), ascending, the last above 0.
        values: (n, t).
    """
    last = float(steps[-1])
    shares = steps / last
    candidates, rises = _grid(tuple(shares.tolist()))
    norms = np.linalg.norm(rises, axis=1)
    # least squares with the best height for each candidate: the larger this projection is, the smaller the residual
    projection = np.maximum(values @ rises.T, 0) / np.where(norms > 0, norms, np.inf)
    best = candidates[projection.argmax(1)]
    widths = _WIDTHS
    moves = np.array(list(product((-1.0, -0.5, 0.0, 0.5, 1.0), repeat=3)))
    for _ in range(_ROUNDS):
        near = best[:, None] + moves * widths
        near[..., 0] = np.clip(near[..., 0], 0, 0.6)
        near[..., 2] = np.clip(near[..., 2], np.log(_POWERS[0]), np.log(_POWERS[-1]))
        rises = _rise(shares, near)
        norms = np.linalg.norm(rises, axis=2)
        projection = np.maximum((rises @ values[..., None])[..., 0], 0) / np.where(norms > 0, norms, np.inf)
        best = near[np.arange(len(best)), projection.argmax(1)]
        widths = widths * _SHRINK
    rise = _rise(shares, best)
    squares = (rise**2).sum(1)
    height = np.maximum((rise * values).sum(1), 0) / np.where(squares > 0, squares, np.inf)
    return Saturation(height, best[:, 0] * last, np.exp(best[:, 1]) * last, np.exp(best[:, 2]), height * rise[:, -1])


@lru_cache(maxsize=8)
def _grid(shares: tuple[float, ...]) -> tuple[Floats, Floats]:
    """Candidates (m, 3), and their rise at the steps (m, t)."""
    candidates = np.array(list(product(_STARTS, np.log(_SCALES), np.log(_POWERS))))
    return candidates, _rise(np.array(shares), candidates)


def _rise(shares: Floats, candidates: Floats) -> Floats:
    """The curve of height 1 at steps (t,), for candidates (..., 3) of start and the logarithms of scale and power."""
    start, scale, power = (candidates[..., k, None] for k in range(3))
    behind: Floats = np.maximum(shares - start, 0) / np.exp(scale)
    return 1 - np.exp(-(behind ** np.exp(power)))
