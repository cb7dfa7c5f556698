"""A study's folder and its trials, one training each.

A study's folder::

    study.json            the study, resolved
    trials.json           the list of its trials
    plan.json             of segxfer3d cross where a plan was asked for: that of all folds
    precision.json        what its trainings compute in where it does not say (segxfer3d.study.precision)
    study.lock            held by the process that runs the study
    started/              an empty file for each trial that was ever started, so that one whose folder is gone is known
    pretrain/<name>-<identity>/          a run, as its bundle leaves it, with the trial's own files beside
    finetune/<data>-<arm>-<budget>-s<seed>/      with -p<seed> where each starts from several pretrainings, and with
                                                 -fold<k> where there are folds

``study.json``::

    format        1
    name          of the study
    description   in words
    study_file    where it was read from
    bundles       the folder of the shipped bundles, which are known by it whichever checkout they lie in
    parameters    name -> value, as given with --set or by default
    arms          name -> {"init", "scenario", "pretrain" (name in "pretrain", or null), "checkpoint" (a file given
                  from outside, or null), "knobs" (of this arm alone)}; in the order of the file, the first one is the
                  reference that others are compared to
    pretrain      name -> {"config", "knobs"}
    finetune      {"config", "knobs"}
    data          name -> {"pretrain": knobs, "finetune": knobs}
    budgets       list of {"name", "value", "knobs"}, with "seeds" where they are fewer than the study's
    seeds         list of int
    code_version  of all its bundles (segxfer3d.study.code)
    published     what was published for comparison, as the study file has it (or null)
    mixed_recipes whether its arms may have different recipes
    margin        dice points that do not matter, for the report; null: what the report takes
    pretrain_seeds, pretrain_design   as in the study file; absent where pretrainings are not repeated
    folds         as in the study file; absent where there are none

``trials.json`` is a list, pretrainings first, then seed by seed (a study that is stopped has whole comparisons)::

    id            unique, letters, digits and ``-+._``; names the trial on the command line
    kind          "pretrain" or "finetune"
    folder        below the study's folder
    depends       ids of the trials that must be done before
    config        absolute path of the bundle
    knobs         name -> value, all that the study sets (without output_dir and resume)
    identity      16 hex digits: of config, knobs, data, code version and what it depends on
    pretrain      name of the pretraining (kind "pretrain": its own), or null
    arm           name of the arm; null for a pretraining
    data          name of the data set (a pretraining that several share: of the first)
    budget        float: number of labels, or share of them at most 1 (1.0: all); null for a pretraining
    budget_name   "n5", "f0.05" or "all"; null for a pretraining
    seed          int; null for a pretraining
    pretrain_seed of the pretraining that it is, or starts from; absent where the study does not repeat it
    fold          that it tests, or, of a pretraining, leaves out; absent where there are none
    parts         what the identity was made of: {"config", "knobs", "data", "code_version", "before"}

A trial's folder has, beside what the run leaves (``run.json``, ``metrics.jsonl``, ``cases.csv``, ``model.pt``,
``done.json``): ``trial.json`` (its entry of ``trials.json``), ``output.txt`` (what the training printed),
``trial.lock``, and after a failure ``failed.json`` (``{"error", "returncode", "seconds", "time"}``). How a trial stands
is read from these files alone: :func:`segxfer3d.study.states.states`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from segxfer3d import documents
from segxfer3d.errors import InputError, some
from segxfer3d.schema.kinds import shown
from segxfer3d.study import options, trust

FORMAT = 1
MODEL = "model.pt"
STUDY_FILE = "study.json"
TRIALS_FILE = "trials.json"
TRIAL_FILE = "trial.json"
CROSS_PLAN = "plan.json"  # that segxfer3d cross makes for all folds
STARTED = "started"
_MAY_LACK = ("pretrain_seed", "fold")  # of the entries of trials.json


@dataclass(frozen=True)
class Trial:
    """One training of a study; the fields are those of ``trials.json``."""

    id: str
    kind: str
    folder: str
    config: str
    knobs: Mapping[str, Any]
    identity: str
    depends: tuple[str, ...] = ()
    pretrain: str | None = None
    arm: str | None = None
    data: str = ""
    budget: float | None = None
    budget_name: str | None = None
    seed: int | None = None
    pretrain_seed: int | None = None
    fold: int | None = None
    parts: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as in ``trials.json``."""
        entry = {**vars(self), "depends": list(self.depends)}
        return {name: value for name, value in entry.items() if value is not None or name not in _MAY_LACK}

    def start_knobs(self, root: Path, trials: Mapping[str, Trial]) -> dict[str, Any]:
        """The knobs with paths into the study's folder put in: where to write, and what to start from.

        Args:
            root: the study's folder, absolute.
            trials: all of them by id.
        """
        paths: dict[str, Any] = {"output_dir": str(root / self.folder)}
        if self.depends:
            paths["checkpoint"] = str(root / trials[self.depends[0]].folder / MODEL)
        return {**self.knobs, **paths}


def read_trials(folder: Path, *, to_run: bool = False) -> list[Trial]:
    """The trials of a study's folder.

    Args:
        folder: of the study.
        to_run: refuse what would run code of somebody else's, see :mod:`segxfer3d.study.trust`.

    Raises:
        InputError: no study's folder, a damaged one, or one whose trials lie outside of it.
    """
    path = folder / TRIALS_FILE
    if not path.is_file():
        raise InputError(f"{folder}: no study's folder (there is no {TRIALS_FILE})")
    known = [each.name for each in fields(Trial)]
    trials = [
        Trial(**{name: entry[name] for name in known if name in entry} | {"depends": tuple(entry["depends"])})
        for entry in documents.own(path, after="; start the study again to have it written anew")
    ]
    ids: set[str] = set()
    problems = []
    for trial in trials:
        problems += [*_problems(trial, ids, to_run=to_run)]
        ids.add(trial.id)
    if problems:
        raise InputError(f"{path}: {some(problems, 1)}")
    refuse_links(trials, folder)
    return trials


def is_outside(folder: str) -> bool:
    """Whether the folder of a trial would not lie inside that of its study."""
    place = Path(folder)
    return place.is_absolute() or ".." in place.parts or not place.parts


def leads_to(root: Path, folder: str) -> Path | None:
    """Where a trial's folder is, if a link leads out of its study's; else None.

    Args:
        root: the study's folder.
        folder: the trial's, below it.
    """
    place = (root / folder).resolve()
    return None if place.is_relative_to(root.resolve()) else place


def refuse_links(trials: Iterable[Trial], folder: Path) -> None:
    """Refuse trials whose files would be read and written elsewhere.

    Raises:
        InputError: links lead out of the study's folder.
    """
    if wrong := [f"{t.folder} is at {place}" for t in trials if (place := leads_to(folder, t.folder)) is not None]:
        raise InputError(f"{folder}: links lead out of the study's folder: {some(wrong, 3)}; expected folders in it")


def lost(trials: Iterable[Trial], folder: Path) -> list[str]:
    """What is to be said of trials that were started and whose folders are gone: they start over."""
    return [
        f"{trial.id}: its folder {folder / trial.folder} was deleted since it was started; it starts from the beginning"
        for trial in trials
        if (folder / STARTED / trial.id).is_file() and not (folder / trial.folder).exists()
    ]


def _problems(trial: Trial, before: Collection[str], *, to_run: bool) -> Iterator[str]:
    """What is wrong with a trial of a folder from somewhere, before which these stand in the list."""
    if trial.id in before:
        yield f"{trial.id}: is there twice"
    if lost := [name for name in trial.depends if name not in before]:
        yield f"{trial.id}: depends on {lost[0]}, which does not stand before it"
    if is_outside(trial.folder):
        yield f"{trial.id}: folder {shown(trial.folder)} is not inside the study's"
    if not to_run:
        return
    if why := trust.bundle_problem(Path(trial.config)):
        yield f"{trial.id}: {why}"
    strange = [name for name in trial.knobs if name not in options.table()]
    if strange and not trust.is_given():
        named = some(map(shown, strange), 3, ", ")
        yield f"{trial.id}: no knob of this package's bundles is called {named}; {trust.HINT}"
    for name, value in trial.knobs.items():
        if name not in strange and (why := trust.knob_problem(name, value)):
            yield f"{trial.id}: {name} {why}"
