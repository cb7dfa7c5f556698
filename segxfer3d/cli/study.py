"""The commands ``segxfer3d study`` and ``segxfer3d tune``."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from segxfer3d.cli.arguments import FOLDER, NAMED, trust_option
from segxfer3d.config.stopping import status_of
from segxfer3d.errors import InputError, some

if TYPE_CHECKING:
    from segxfer3d.study.definition import Study
    from segxfer3d.study.matching import Match
    from segxfer3d.study.precision import Precision
    from segxfer3d.study.runner import Resources
    from segxfer3d.study.states import State
    from segxfer3d.study.trials import Trial


@click.group()
def study() -> None:
    """Run many trainings, and see how they stand."""


def _resources(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--per-gpu", type=click.IntRange(1), help="Trainings at a time on a GPU [jobs / GPUs]."),
        click.option(
            "--threads", type=click.IntRange(1), help="CPU threads of a training [OMP_NUM_THREADS, else cores / jobs]."
        ),
        click.option("--jobs", "-j", type=click.IntRange(1), default=1, show_default=True, help="Trainings at a time."),
    ):
        command = option(command)
    return command


settings_option = click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="A parameter of the study; may be repeated."
)
_done = click.option(
    "--done", "record", type=FOLDER, help="A record of the study (of `study keep`); what is in it counts as done."
)
_output = click.option("--output", "-o", type=FOLDER, required=True, help="The study's folder.")


@study.command("run", short_help="Run the trials that are not done yet.")
@click.argument("file", type=NAMED)
@_output
@settings_option
@_done
@_resources
@click.option("--dry-run", is_flag=True, help="List the trials and estimate the time; run none of them.")
@click.option("--no-timing", is_flag=True, help="With --dry-run: time no steps, only list.")
@click.option("--fresh", is_flag=True, help="Start every training as a process of its own that imports all anew.")
@trust_option
def study_run(
    file: Path,
    output: Path,
    settings: tuple[str, ...],
    record: Path | None,
    jobs: int,
    threads: int | None,
    per_gpu: int | None,
    dry_run: bool,
    no_timing: bool,
    fresh: bool,
) -> None:
    """Run the trials of a study that are not done yet; FILE is a path, or the name of a shipped study.

    The same command goes on after a stop. Trials that failed are tried again. With --done, also on another machine.
    """
    from segxfer3d.study import grid, precision, restoring, runner, same_data
    from segxfer3d.study.launching import started_from

    resources = resources_of(jobs, threads, per_gpu)
    plan, trials, chosen = _planned(file, settings, output, record, resources)
    left = grid.check_folder(plan, trials, output)
    match = _matched(plan.name, trials, record)
    for place in left:
        click.echo(f"note: {output / place} is no trial of this study any more, it is left as it is")
    if dry_run:
        _list(trials, output, resources, match, timing=not no_timing)
        return
    with runner.study_lock(output):
        precision.keep(output, chosen)
        grid.write(plan, trials, output)
        restoring.restore(output, trials, match)
        try:
            with started_from((trial.config for trial in trials), fresh=fresh) as processes:
                standing = runner.run(trials, output, resources, click.echo, processes=processes)
        except KeyboardInterrupt as error:
            click.echo("stopped; the same command goes on", err=True)
            raise SystemExit(status_of(error)) from None
    same_data.refuse_other_data(trials, output)
    close(trials, standing)


@study.command("status", short_help="How the trials stand, and why some failed.")
@click.argument("folder", type=FOLDER)
@click.option("--all", "show_all", is_flag=True, help="A line for each trial, also for those that are done.")
def study_status(folder: Path, show_all: bool) -> None:
    """How the trials of a study's FOLDER stand, and why some failed."""
    from segxfer3d.study import states
    from segxfer3d.study.trials import read_trials

    trials = read_trials(folder)
    standing = states.states(folder, trials)
    for trial in trials:
        if show_all or standing[trial.id].name not in (states.DONE, states.WAITING, *states.BAD):
            click.echo(f"{standing[trial.id].shown:8} {trial.id}")
    close(trials, standing)


@study.command("prepare", short_help="Write the list of trials, run nothing.")
@click.argument("file", type=NAMED)
@_output
@settings_option
@_done
@trust_option
def study_prepare(file: Path, output: Path, settings: tuple[str, ...], record: Path | None) -> None:
    """Write the list of trials and run nothing: for workflow managers that run `study trial` themselves."""
    from segxfer3d.study import grid, precision, restoring, runner

    plan, trials, chosen = _planned(file, settings, output, record, resources_of(1, None, None))
    grid.check_folder(plan, trials, output)
    match = _matched(plan.name, trials, record)
    with runner.study_lock(output):
        precision.keep(output, chosen)
        grid.write(plan, trials, output)
        restoring.restore(output, trials, match)
    click.echo(f"{len(trials)} trials in {output / 'trials.json'}")


@study.command("trial", short_help="Run one trial, unless it is done.")
@click.argument("folder", type=FOLDER)
@click.argument("trial")
@_resources
@trust_option
def study_trial(folder: Path, trial: str, jobs: int, threads: int | None, per_gpu: int | None) -> None:
    """Run one TRIAL of a study's FOLDER, unless it is done."""
    from segxfer3d.study import runner, states
    from segxfer3d.study.trials import read_trials

    trials = read_trials(folder, to_run=True)
    # the GPUs of a Slurm job are its own already; another job may call its own by the same numbers
    resources = resources_of(jobs, threads, per_gpu, share_gpus="SLURM_JOB_ID" not in os.environ)
    with runner.study_lock(folder, shared=True):
        state = runner.run_one(trial, trials, folder, resources, say=click.echo)
    if state.name != states.DONE:
        raise InputError(f"{trial} {state.name}: {state.error}")
    click.echo(f"{trial}: done")


@study.command("keep", short_help="Write a record of what is done, small enough to commit.")
@click.argument("folder", type=FOLDER)
@click.argument("record", type=FOLDER)
def study_keep(folder: Path, record: Path) -> None:
    """Write into RECORD what the trials in a study's FOLDER left: cases, metrics, options and hashes, no weights.

    What is there already stays. `study run --done RECORD` goes on from it, `report` and `results` read it.
    """
    from segxfer3d.study.keeping import keep

    kept = keep(folder, record)
    click.echo(f"{kept.sentence()}: {record} ({kept.size / 1e6:.2f} MB)")


@click.command(short_help="Search for good settings of a training.")
@click.argument("file", type=NAMED)
@click.option("--output", "-o", type=FOLDER, required=True, help="The search's folder.")
@settings_option
@click.option("--trials", type=click.IntRange(1, 100_000), help="How many in all [as FILE says].")
@click.option("--threads", type=click.IntRange(1), help="CPU threads of a training [OMP_NUM_THREADS, else all cores].")
@trust_option
def tune(file: Path, output: Path, settings: tuple[str, ...], trials: int | None, threads: int | None) -> None:
    """Search for good settings of the training that FILE names, such as the learning rate of a pretraining.

    The same command goes on after a stop; with more --trials it goes further.
    """
    from segxfer3d.study import precision, search_results, tuning
    from segxfer3d.study.launching import started_from
    from segxfer3d.study.search_file import read_search

    plan, resources = read_search(file, parsed(settings)), resources_of(1, threads, None)
    try:
        with started_from([str(plan.bundle.path)]) as processes:
            tried = tuning.search(plan, output, resources, click.echo, trials, processes=processes)
    except KeyboardInterrupt as error:
        click.echo("stopped; the same command goes on", err=True)
        raise SystemExit(status_of(error)) from None
    click.echo(search_results.table(plan, tried))
    if tried[0].value is None:
        raise InputError(f"all {len(tried)} trials failed; {output / 'trials.csv'} says why")
    plan = precision.of_search(plan, output, resources.environment())
    click.echo(f"the best again: {search_results.command(plan, tried[0])}")


def _planned(
    file: Path, settings: tuple[str, ...], output: Path, record: Path | None, resources: Resources
) -> tuple[Study, list[Trial], Precision | None]:
    """A study, its trials, and what those compute in of which it says nothing."""
    from segxfer3d.study import precision
    from segxfer3d.study.study_file import read_study

    planned = precision.settle(read_study(file, parsed(settings)), output, resources.environment(), record)
    if planned[2] is not None:
        click.echo(planned[2].sentence())
    return planned


def parsed(settings: tuple[str, ...]) -> dict[str, str]:
    """Parameters of a study file, from ``--set``."""
    values = {}
    for text in settings:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputError(f"--set {text}: expected NAME=VALUE")
        values[name] = value
    return values


def resources_of(jobs: int, threads: int | None, per_gpu: int | None, share_gpus: bool = True) -> Resources:
    """What trainings may take of this machine."""
    from segxfer3d.study.runner import Resources
    from segxfer3d.study.slots import Slots, visible_gpus

    gpus = visible_gpus() if share_gpus else ()
    share = per_gpu or -(-jobs // max(1, len(gpus)))
    return Resources(jobs, threads or _own_threads() or max(1, (os.cpu_count() or 1) // jobs), Slots(gpus, share))


def _own_threads() -> int:
    """What ``OMP_NUM_THREADS`` says, 0 for nothing; a list is for nested loops, which torch has none of."""
    said = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(said) if said.isdecimal() else 0


def _matched(name: str, trials: list[Trial], record: Path | None) -> Match:
    """What is recorded of a study; what should be known of it is said."""
    from segxfer3d.study import matching

    if record is None:
        return matching.Match(Path(), {})
    match = matching.match(name, trials, record)
    for line in matching.remarks(match, trials):
        click.echo(line)
    return match


def _list(trials: list[Trial], folder: Path, resources: Resources, match: Match, *, timing: bool) -> None:
    """What a run would do."""
    from segxfer3d.study import estimate, restoring
    from segxfer3d.study.states import WAITING

    standing = restoring.standing_with(folder, trials, match)
    again_ids = {name for name in match.records if standing[name].name == WAITING}
    uses = Counter(name for trial in trials for name in trial.depends)
    for trial in trials:
        users = uses[trial.id]
        shared = f", shared by {users} fine-tunings" if users else ""
        again = ", recorded without its weights: made again" if trial.id in again_ids else ""
        click.echo(f"{standing[trial.id].shown:8} {trial.id}{shared}{again}")
    click.echo(f"{len(trials)} trials: {_counted(standing)}")
    if timing:
        costs = estimate.costs(trials, standing, resources.environment(), click.echo)
        for kind, cost in costs.items():
            alike = [trial for trial in trials if estimate.kind_of(trial) == kind]
            length = "unknown" if cost.seconds is None else estimate.duration(cost.seconds)
            beside = f" and {len(alike) - 1} like it" if len(alike) > 1 else ""
            click.echo(f"{alike[0].id}{beside}: {length} each ({cost.source})")
        if beyond := estimate.beyond_data(trials, costs):
            raise InputError(f"budgets that the data cannot give: {some(beyond)}")
        whole = estimate.total(trials, standing, costs, resources.jobs)
        if whole is not None:
            at_a_time = f"with {resources.jobs} at a time, if they do not slow each other down"
            click.echo(f"estimated time: {estimate.duration(whole)}{f' ({at_a_time})' if resources.jobs > 1 else ''}")


def _counted(standing: dict[str, State]) -> str:
    from segxfer3d.study.runner import counts

    return ", ".join(f"{number} {name}" for name, number in counts(standing).items())


def close(trials: list[Trial], standing: dict[str, State]) -> None:
    """The last lines, and exit status 1 where something is bad."""
    from segxfer3d.study.states import BAD

    click.echo(f"{len(trials)} trials: {_counted(standing)}")
    bad = [trial for trial in trials if standing[trial.id].name in BAD]
    for trial in bad:
        click.echo(f"{standing[trial.id].name} {trial.id}: {standing[trial.id].error}", err=True)
    if bad:
        raise SystemExit(1)
