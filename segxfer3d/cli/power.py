"""The command ``segxfer3d study power``: what a study will be able to say, before it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from segxfer3d.cli.arguments import FOLDER, NAMED, trust_option
from segxfer3d.cli.study import parsed, resources_of, settings_option
from segxfer3d.errors import InputError

if TYPE_CHECKING:
    from segxfer3d.report.prospect import Prospect, Spread
    from segxfer3d.study.definition import Study
    from segxfer3d.study.trials import Trial

_LEVELS, _PATIENTS = (3, 5, 10, 20), (20, 60)


@click.command("power", short_help="What a study could find, before it runs.")
@click.argument("file", type=NAMED)
@settings_option
@trust_option
@click.option("--sd", type=float, nargs=3, help="SDs of a difference: between seeds, between patients, of the rest.")
@click.option("--pilot", type=FOLDER, help="A study, its record, or runs, to learn those from.")
@click.option("--seeds", "levels", type=click.IntRange(2), multiple=True, help="How many; repeatable [3, 5, 10, 20].")
@click.option("--patients", type=click.IntRange(2), multiple=True, help="Of the test part [the pilot's, or 20, 60].")
@click.option("--margin", type=click.FloatRange(0, min_open=True), help="The difference to find [the study's, or 2].")
@click.option("--no-timing", is_flag=True, help="Do not time a few steps for the hours.")
def study_power(
    file: Path,
    settings: tuple[str, ...],
    sd: tuple[float, float, float] | None,
    pilot: Path | None,
    levels: tuple[int, ...],
    patients: tuple[int, ...],
    margin: float | None,
    no_timing: bool,
) -> None:
    """What the study of FILE could find: power against seeds, patients and labels, and the hours it takes.

    How much differences vary is assumed (--sd, in dice points) or learned from trainings that are there (--pilot).
    Where the study repeats its pretraining, --seeds counts pretrainings, with as many seeds each as FILE gives them.
    """
    from segxfer3d.report import prospect
    from segxfer3d.report.results import MARGIN
    from segxfer3d.study import grid
    from segxfer3d.study.study_file import read_study

    if (sd is None) == (pilot is None):
        raise InputError("expected --sd SEED PATIENT REST or --pilot FOLDER, one of the two")
    plan = read_study(file, parsed(settings))
    spreads = [prospect.assumed(*sd)] if sd else prospect.from_pilot(str(pilot))
    prospect.check_pilot(spreads, plan)
    effect = margin or plan.margin or MARGIN
    family = prospect.family_of(plan)
    numbers = sorted(set(levels or _LEVELS))
    trials = grid.expand(plan)
    price = {} if no_timing else _hours(plan, trials, numbers)
    click.echo(f"{plan.name}: {family} comparisons, corrected together")
    click.echo(f"found: a true difference of {effect:g} dice points is called better or worse")
    click.echo(f"equal: arms that do not differ are called equivalent within {effect:g}")
    for spread in spreads:
        for line in _lines(plan, spread, numbers, sorted(set(patients)), effect, family, price):
            click.echo(line)


def _hours(plan: Study, trials: Sequence[Trial], numbers: Sequence[int]) -> dict[int, float | None]:
    from segxfer3d.report import prospect
    from segxfer3d.study import estimate
    from segxfer3d.study.states import WAITING, State

    standing = {trial.id: State(WAITING) for trial in trials}
    costs = estimate.costs(trials, standing, resources_of(1, None, None).environment(), click.echo)
    for cost in costs.values():
        if cost.seconds is None:
            click.echo(f"hours unknown: {cost.source}")
    return {number: prospect.hours(trials, costs, plan, number) for number in numbers}


def _lines(
    plan: Study,
    spread: Spread,
    numbers: Sequence[int],
    patients: Sequence[int],
    effect: float,
    family: int,
    price: Mapping[int, float | None],
) -> list[str]:
    """The table of one label budget."""
    from segxfer3d.report import prospect

    levels = prospect.levels_of(plan)
    patients = patients or ([spread.patients] if spread.patients else _PATIENTS)
    seed, patient, rest = (value**0.5 for value in vars(spread.components).values())
    lines = ["", spread.title]
    lines.append(f"SD of a difference: {levels} {seed:.1f}, {spread.units} {patient:.1f}, rest {rest:.1f} dice points")
    if spread.limits:
        lines.append(
            f"(pilot of {spread.seeds} {levels} and {spread.patients} {spread.units}; in brackets what it allows)"
        )
    head = [f"{number} {spread.units}" for number in patients]
    rows = [["", *(cell for each in head for cell in (each, "")), *(["hours"] if price else [])]]
    rows.append([levels, *["found", "equal"] * len(patients), *([""] if price else [])])
    for number in numbers:
        cells = []
        for count in patients:
            found = prospect.prospect(spread, levels=number, patients=count, effect=effect, family=family)
            cells += [_found(found), f"{100 * found.equivalent:.0f} %" if found.verdict else "–"]
        hours = price.get(number)
        rows.append([str(number), *cells, *(["–" if hours is None else f"{hours:.1f}"] if price else [])])
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines += ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return lines


def _found(prospect: Prospect) -> str:
    if not prospect.verdict:
        return "no verdict"
    said = f"{100 * prospect.found:.0f} %"
    if prospect.found_range:
        low, high = prospect.found_range
        said += f" ({100 * low:.0f}-{100 * high:.0f})"
    return said
