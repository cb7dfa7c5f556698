"""How numbers, intervals and verdicts are written in the cells of tables and in sentences."""

from __future__ import annotations

from segxfer3d.statistics.convergence import Convergence
from segxfer3d.statistics.interval import Interval
from segxfer3d.statistics.verdict import Verdict

NONE = "–"
VERDICTS = {
    "better": "better",
    "worse": "worse",
    "equivalent": "equivalent",
    "undecided": "undecided",
    "no verdict": "too few seeds or patients",
    "not judged": "not judged",
}
Spread = tuple[float, float | None]  # mean and standard deviation over seeds


def plus_minus(value: Spread) -> str:
    """Mean ± standard deviation, one decimal."""
    mean, std = value
    return f"{mean:.1f}" if std is None else f"{mean:.1f} ± {std:.1f}"


def between(interval: Interval | None, sign: bool = False) -> str:
    """An interval, one decimal."""
    if interval is None:
        return NONE
    low, high = (signed(value) if sign else f"{value:.1f}" for value in interval)
    return f"{low} to {high}"


def signed(value: float) -> str:
    """With its sign and one decimal; what rounds to 0 has none."""
    rounded = round(value, 1) + 0.0
    return f"{rounded:+.1f}" if rounded else "0.0"


def p_value(value: float) -> str:
    """Two digits, or that it is very small; what is below 0.05 never looks like 0.05."""
    text = "< 0.001" if value < 0.001 else f"{value:.2g}" if value < 0.1 else f"{value:.2f}"
    return "< 0.05" if text == "0.05" and value < 0.05 else text


def verdict_words(verdict: Verdict) -> str:
    """What was found, and about what would decide it where it is open."""
    needed = [
        f"{number} {name}"
        for number, name in ((verdict.patients_needed, "patients"), (verdict.seeds_needed, "seeds"))
        if number is not None
    ]
    words = VERDICTS[verdict.kind]
    return f"{words} (about {' or '.join(needed)} would decide)" if needed else words


def steps(convergence: Convergence) -> str:
    """Steps to the level, with their interval; a lower bound where a seed never came there."""
    bound = "> " if convergence.never else ""
    interval = f" ({convergence.interval[0]:.0f} to {convergence.interval[1]:.0f})" if convergence.interval else ""
    never = f", {len(convergence.never)} of {len(convergence.seeds)} seeds never" if convergence.never else ""
    return f"{bound}{convergence.steps:.0f}{interval}{never}"


def steps_less(convergence: Convergence) -> str:
    """The difference of steps to the reference's, with its interval."""
    interval = convergence.difference_interval
    words = f" ({interval[0]:+.0f} to {interval[1]:+.0f})" if interval else ""
    return f"{convergence.difference:+.0f}{words}"
