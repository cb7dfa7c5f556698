"""Checkpoints that fine-tunings of one pretext start from, where no study names them: one, one a seed, or several."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from segxfer3d.config.initializations import INITIALIZATIONS, needs_checkpoint
from segxfer3d.report.folds import fold_of
from segxfer3d.report.run_files import Run


def told_starts(runs: Sequence[Run], knobs: Sequence[str]) -> dict[str, str]:
    """Name of a run to what its checkpoint is told from others by, where one seed starts from several of one pretext.

    A pretraining for each seed is one start of an arm: of ``simclr-s0`` and ``simclr-s1`` that of seed 0 and of seed 1.

    Args:
        runs: fine-tunings.
        knobs: that tell arms apart, too.
    """
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        if run.start:
            groups.setdefault((run.pretext, run.data), []).append(run)
    told: dict[str, str] = {}
    for group in groups.values():
        short = _short(sorted({run.start for run in group}))
        by_path = {run.name: short[run.start] for run in group}
        if not _several(group, by_path, knobs):
            continue
        # folders above that all share may have a number too, of no seed
        by_pattern = {run.name: _of_any_seed(by_path[run.name], run.seed) for run in group}
        fewer = len(set(by_pattern.values())) < len(set(by_path.values()))
        whole = _trained(group, by_pattern, knobs) == _trained(group, by_path, knobs)
        told |= by_pattern if fewer and whole else by_path
    return told


def loading_arms(inits: Mapping[str, str], runs: Sequence[Run]) -> dict[str, int]:
    """The arms that start from a checkpoint, and of how many their runs tell; of one where they do not.

    Args:
        inits: name of an arm to its initialization.
        runs: of all arms.
    """
    return {
        arm: max(1, len({start for _, start in starts_of(arm, runs)}))
        for arm, init in inits.items()
        if init in INITIALIZATIONS and needs_checkpoint(init)
    }


def starts_of(arm: str, runs: Sequence[Run]) -> set[tuple[int | None, str]]:
    """Each seed of an arm with what it starts from, where its run tells."""
    return {(run.seed, run.start) for run in runs if run.arm == arm and run.start}


def _place(run: Run, knobs: Sequence[str]) -> tuple[object, ...]:
    """What is trained once from each checkpoint."""
    values = tuple(repr(run.knobs.get(knob)) for knob in knobs)
    return (str(run.knobs.get("init")), *values, run.budget_name, run.seed, fold_of(run))


def _trained(group: Sequence[Run], starts: Mapping[str, str], knobs: Sequence[str]) -> int:
    """How many trainings there are, each counted once."""
    return len({(starts[run.name], _place(run, knobs)) for run in group})


def _several(group: Sequence[Run], starts: Mapping[str, str], knobs: Sequence[str]) -> bool:
    """Whether one seed starts from more than one."""
    return _trained(group, starts, knobs) > len({_place(run, knobs) for run in group})


def _of_any_seed(path: str, seed: int | None) -> str:
    """A path with a star where it has the seed."""
    return re.sub(rf"(?<!\d){seed}(?!\d)", "*", path)


def _short(paths: Sequence[str]) -> dict[str, str]:
    """Different paths to what is left without the folders above, and the ends, that all share."""
    parts = {path: list(Path(path).parts) for path in paths}
    while len({path[0] for path in parts.values()}) == 1 and all(len(path) > 1 for path in parts.values()):
        parts = {name: path[1:] for name, path in parts.items()}
    while len({path[-1] for path in parts.values()}) == 1 and all(len(path) > 1 for path in parts.values()):
        parts = {name: path[:-1] for name, path in parts.items()}
    return {name: "/".join(path) for name, path in parts.items()}
