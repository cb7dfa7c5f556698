"""How numbers, intervals and verdicts are written in the cells of tables and in sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segxfer3d.statistics.convergence import Convergence
from segxfer3d.statistics.interval import Interval
from segxfer3d.statistics.verdict import Verdict, p_in_words

NONE = "–"
VERDICTS = {
    "better": "better",
    "worse": "worse",
    "equivalent": "equivalent",
    "identical": "identical",
    "undecided": "undecided",
    "no verdict": "no verdict",
}
Spread = tuple[float, float | None]  # mean and standard deviation over seeds


def plus_minus(value: Spread) -> str:
    """Mean ± standard deviation, one decimal."""
    mean, std = value
    return _plain(mean) if std is None else f"{_plain(mean)} ± {std:.1f}"


def with_interval(value: Spread | None, interval: Interval | None, over_patients: float | None = None) -> str:
    """Mean ± standard deviation, and the interval in brackets where there is one, behind its own mean if it differs."""
    if value is None:
        return NONE
    other = f"{over_patients:.1f}: " if differs(value, over_patients) else ""
    return plus_minus(value) + (f" ({other}{between(interval)})" if interval else "")


def differs(value: Spread, over_patients: float | None) -> bool:
    """Whether a mean over patients is another than that over cases, by more than both are rounded."""
    return over_patients is not None and abs(over_patients - value[0]) > 0.05


def between(interval: Interval | None, sign: bool = False) -> str:
    """An interval, one decimal."""
    if interval is None:
        return NONE
    low, high = (signed(value) if sign else _plain(value) for value in interval)
    return f"{low} to {high}"


def _plain(value: float) -> str:
    """One decimal; what rounds to 0 has no sign."""
    return f"{round(value, 1) + 0.0:.1f}"


def signed(value: float) -> str:
    """With its sign and one decimal; what rounds to 0 has none."""
    rounded = round(value, 1) + 0.0
    return f"{rounded:+.1f}" if rounded else "0.0"


def p_value(value: float | None) -> str:
    """As :func:`segxfer3d.statistics.verdict.p_in_words` has it."""
    return NONE if value is None else p_in_words(value)


def verdict_words(verdict: Verdict) -> str:
    """What was found, and what would find a difference as large as the margin where it is open."""
    ways = [f"{low} to {high} {name}" for name, (low, high) in verdict.needed.items()]
    words = VERDICTS[verdict.kind]
    return f"{words} ({' or '.join(ways)} would find a difference of the margin)" if ways else words


def steps(convergence: Convergence) -> str:
    """Steps to the level, with their interval; a lower bound where a seed never came there."""
    bound = "> " if convergence.never else ""
    interval = f" ({convergence.interval[0]:.0f} to {convergence.interval[1]:.0f})" if convergence.interval else ""
    never = f", {len(convergence.never)} of {len(convergence.seeds)} seeds never" if convergence.never else ""
    return f"{bound}{convergence.steps:.0f}{interval}{never}"


def steps_less(convergence: Convergence) -> str:
    """The difference of steps to the reference's, with its interval; a bound where a seed of one never came there."""
    interval = convergence.difference_interval
    words = f" ({whole(interval[0])} to {whole(interval[1])})" if interval else ""
    return f"{bounded(convergence.difference, convergence.bound)}{words}"


def bounded(difference: float, bound: str) -> str:
    """A difference of steps with what it bounds (:class:`~segxfer3d.statistics.convergence.Convergence`): of one that
    may be more or less, nothing is known."""
    return NONE if bound == "?" else f"{bound} {whole(difference)}".lstrip()


def whole(steps: float) -> str:
    """A difference of steps; without the sign of a zero that came from below."""
    return f"{round(steps):+d}"


def spread(values: Sequence[float]) -> Spread:
    """Mean, and the sample's standard deviation (n - 1); None for a single value."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None
