"""The grid of a study: from a study file to its trials, one training each.

A study file (JSON, see :mod:`segxfer3d.study.definition`) becomes *trials*. A pretraining trial is shared by all
fine-tunings that start from it: two of them are one where their identity is the same. A fine-tuning trial is one arm on
one data set, with one label budget and one seed.

A study's folder::

    study.json            the study, resolved
    trials.json           the list of its trials
    study.lock            held by the process that runs the study
    pretrain/<name>-<identity>/          a run, as its bundle leaves it, with the trial's own files beside
    finetune/<data>-<arm>-<budget>-s<seed>/

``study.json``::

    format        1
    name          of the study
    description   in words
    study_file    where it was read from
    parameters    name -> value, as given with --set or by default
    arms          name -> {"init", "scenario", "pretrain" (name in "pretrain", or null), "checkpoint" (a file given
                  from outside, or null), "knobs" (of this arm alone)}; in the order of the file, the first one is the
                  reference that others are compared to
    pretrain      name -> {"config", "knobs"}
    finetune      {"config", "knobs"}
    data          name -> {"pretrain": knobs, "finetune": knobs}
    budgets       list of {"name", "value", "knobs"}
    seeds         list of int
    code_version  of the package, as in every trial
    published     what was published for comparison, as the study file has it (or null)

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
    parts         what the identity was made of: {"config", "knobs", "data", "code_version", "before"}

A trial's folder has, beside what the run leaves (``run.json``, ``metrics.jsonl``, ``cases.csv``, ``model.pt``,
``done.json``): ``trial.json`` (its entry of ``trials.json``), ``output.txt`` (what the training printed),
``trial.lock``, and after a failure ``failed.json`` (``{"error", "returncode", "seconds", "time"}``). How a trial stands
is read from these files alone: :func:`segxfer3d.study.states.states`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from segxfer3d import files
from segxfer3d.errors import InputError, some
from segxfer3d.study import identity
from segxfer3d.study.definition import Arm, Budget, Stage, Study

FORMAT = 1
MODEL = "model.pt"


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
    parts: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as in ``trials.json``."""
        return {**asdict(self), "depends": list(self.depends)}

    def start_knobs(self, root: Path, trials: Mapping[str, Trial]) -> dict[str, Any]:
        """The knobs with paths into the study's folder put in: where to write, and what to start from.

        Args:
            root: the study's folder, absolute.
            trials: all of them by id.
        """
        given: dict[str, Any] = {"output_dir": str(root / self.folder)}
        if self.depends:
            given["checkpoint"] = str(root / trials[self.depends[0]].folder / MODEL)
        return {**self.knobs, **given}


def expand(study: Study) -> list[Trial]:
    """The trials of a study: pretrainings first, then seed by seed.

    Raises:
        InputError: data that cannot be read.
    """
    pretrainings: dict[str, Trial] = {}
    wanted: dict[tuple[str, str], Trial] = {}
    for data in study.data:
        for arm in study.arms.values():
            if arm.pretrain and (data, arm.pretrain) not in wanted:
                trial = _pretraining(study, data, arm.pretrain, study.pretrain[arm.pretrain])
                wanted[data, arm.pretrain] = pretrainings.setdefault(trial.identity, trial)
    trials = list(pretrainings.values())
    for seed in study.seeds:
        for data in study.data:
            for budget in study.budgets:
                for name, arm in study.arms.items():
                    source = wanted[data, arm.pretrain] if arm.pretrain else None
                    trials.append(_finetuning(study, data, budget, seed, name, arm, source))
    ids = [trial.id for trial in trials]
    if twice := sorted({found for found in ids if ids.count(found) > 1}):
        raise InputError(f"study {study.file}: two trials are called {twice[0]}; expected names with fewer -")
    return trials


def _pretraining(study: Study, data: str, name: str, stage: Stage) -> Trial:
    knobs = {**_quiet(stage), **study.common, **study.data[data][0], **stage.knobs}
    parts = identity.parts(stage.bundle.config, knobs, ())
    found = files.digest(parts)
    place = f"{name}-{found[:8]}"
    return Trial(
        id=f"pretrain-{place}", kind="pretrain", folder=f"pretrain/{place}", config=str(stage.bundle.path), knobs=knobs,
        identity=found, pretrain=name, data=data, parts=parts,
    )  # fmt: skip


def _finetuning(study: Study, data: str, budget: Budget, seed: int, name: str, arm: Arm, source: Trial | None) -> Trial:
    stage = study.finetune
    labels = {key: value for key, value in budget.knobs.items() if key in stage.bundle.knobs}
    knobs = {
        **study.common,
        **study.data[data][1],
        **stage.knobs,
        **arm.knobs,
        **labels,
        "init": arm.init,
        "seed": seed,
    }
    if arm.checkpoint:
        knobs["checkpoint"] = arm.checkpoint
    parts = identity.parts(stage.bundle.config, knobs, [source.identity] if source else [])
    place = f"{data}-{name}-{budget.name}-s{seed}"
    return Trial(
        id=f"finetune-{place}", kind="finetune", folder=f"finetune/{place}", config=str(stage.bundle.path), knobs=knobs,
        identity=files.digest(parts), depends=(source.id,) if source else (), pretrain=arm.pretrain, arm=name,
        data=data, budget=budget.value, budget_name=budget.name, seed=seed, parts=parts,
    )  # fmt: skip


def _quiet(stage: Stage) -> dict[str, Any]:
    """Nobody watches the bars of a trial."""
    return {"progress": False} if "progress" in stage.bundle.knobs else {}


def resolved(study: Study) -> dict[str, Any]:
    """The content of ``study.json``."""

    def stage(which: Stage) -> dict[str, Any]:
        return {"config": str(which.bundle.path), "knobs": dict(which.knobs)}

    return {
        "format": FORMAT,
        "name": study.name,
        "description": study.description,
        "study_file": str(study.file),
        "parameters": dict(study.parameters),
        "common": dict(study.common),
        "pretrain": {name: stage(which) for name, which in study.pretrain.items()},
        "finetune": stage(study.finetune),
        "arms": {name: asdict(arm) for name, arm in study.arms.items()},
        "data": {name: {"pretrain": dict(a), "finetune": dict(b)} for name, (a, b) in study.data.items()},
        "budgets": [asdict(budget) for budget in study.budgets],
        "seeds": list(study.seeds),
        "code_version": identity.code_version(),
        "published": study.published,
    }


def write(study: Study, trials: Sequence[Trial], folder: Path) -> None:
    """Write ``study.json`` and ``trials.json``.

    Raises:
        InputError: they cannot be written.
    """
    files.write_json(folder / "study.json", resolved(study))
    files.write_json(folder / "trials.json", [trial.as_dict() for trial in trials])


def read_trials(folder: Path) -> list[Trial]:
    """The trials of a study's folder.

    Raises:
        InputError: no study's folder, or a damaged one.
    """
    path = folder / "trials.json"
    if not path.is_file():
        raise InputError(f"{folder}: no study's folder (there is no trials.json)")
    try:
        return [
            Trial(**{**entry, "depends": tuple(entry["depends"])})
            for entry in json.loads(path.read_text(encoding="utf-8"))
        ]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: damaged ({error}); start the study again to have it written anew") from error


def read_resolved(folder: Path) -> dict[str, Any]:
    """The content of ``study.json``.

    Raises:
        InputError: missing, or damaged.
    """
    path = folder / "study.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); delete it and start the study again") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: damaged; delete it and start the study again")
    return content


def check_folder(study: Study, trials: Sequence[Trial], folder: Path) -> list[str]:
    """Make sure that nothing in a study's folder is of another study, another code version or other knobs.

    Returns:
        trials that are there and no longer in the study; they are left alone.

    Raises:
        InputError: what does not fit, all of it.
    """
    if (folder / "study.json").is_file():
        try:
            name = json.loads((folder / "study.json").read_text(encoding="utf-8"))["name"]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(
                f"{folder / 'study.json'}: damaged ({error}); delete it to have it written anew"
            ) from error
        if name != study.name:
            raise InputError(f"{folder}: holds the study {name}, not {study.name}; expected another folder")
    known = {trial.folder: trial for trial in trials}
    wrong, other = [], []
    for path in sorted(folder.glob("*/*/trial.json")):
        place = path.parent.relative_to(folder).as_posix()
        try:
            parts = json.loads(path.read_text(encoding="utf-8"))["parts"]
            version = parts["code_version"]
        except (OSError, ValueError, TypeError, KeyError) as error:
            wrong.append(f"{path}: damaged ({error}); delete this trial's folder to have it run again")
            continue
        if place in known:
            if found := identity.changes(parts, known[place].parts):
                wrong.append(f"{place}: was started with {'; '.join(found[:4])}")
        elif version != identity.code_version():
            wrong.append(f"{place}: was started with code version {version}, not {identity.code_version()}")
        else:
            other.append(place)
    if wrong:
        listed = some(wrong, separator="\n  ")
        raise InputError(
            f"{folder}: {len(wrong)} trials are other ones than this study means and would be mixed with its own; "
            f"give another folder, or delete theirs:\n  {listed}"
        )
    return other
