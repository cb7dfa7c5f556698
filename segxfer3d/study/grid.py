"""The grid of a study: from a study file to its trials, and the folder that they are written to.

A study file (see :mod:`segxfer3d.study.definition`) becomes *trials* (:mod:`segxfer3d.study.trials`). A pretraining
trial is shared by all fine-tunings that start from it: two of them are one where their identity is the same. A
fine-tuning trial is one arm on one data set, with one label budget and one seed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

from segxfer3d import documents, files
from segxfer3d.config.amp import BY_DEVICE
from segxfer3d.config.shipped import shipped_folder
from segxfer3d.errors import InputError, numbered, some
from segxfer3d.study import identity
from segxfer3d.study.code import code_version
from segxfer3d.study.definition import CROSSED, Arm, Budget, Stage, Study
from segxfer3d.study.machine_paths import BUNDLES
from segxfer3d.study.recipes import MIXED
from segxfer3d.study.same_data import refuse_other_data
from segxfer3d.study.trials import FORMAT, STUDY_FILE, TRIAL_FILE, TRIALS_FILE, Trial, refuse_links

MOST_TRIALS = 100_000


def expand(study: Study) -> list[Trial]:
    """The trials of a study: pretrainings first, then seed by seed.

    Raises:
        InputError: data that cannot be read, or more than :data:`MOST_TRIALS`.
    """
    _refuse_too_many(study)
    pretrainings: dict[str, Trial] = {}
    wanted: dict[tuple[str, str, int | None, int | None], Trial] = {}
    names = dict.fromkeys(arm.pretrain for arm in study.arms.values() if arm.pretrain)
    again_by: Sequence[int | None] = study.pretrain_seeds or [None]
    folds: Sequence[int | None] = range(study.folds) if study.folds else [None]
    for data, name, again, fold in product(study.data, names, again_by, folds):
        trial = _pretraining(study, data, name, again, fold)
        wanted[data, name, again, fold] = pretrainings.setdefault(trial.identity, trial)
    trials = list(pretrainings.values())
    fewer = {budget.name: frozenset(budget.seeds) for budget in study.budgets if budget.seeds is not None}
    for seed, data, budget, fold, (name, arm) in product(
        study.seeds, study.data, study.budgets, folds, study.arms.items()
    ):
        if seed not in fewer.get(budget.name, (seed,)):
            continue
        for again in study.pretrainings_of(seed) if arm.pretrain else [None]:
            source = wanted[data, arm.pretrain, again, fold] if arm.pretrain else None
            trials.append(_finetuning(study, data, budget, seed, name, arm, source, fold))
    counts = Counter(trial.id for trial in trials)
    if twice := sorted(name for name, count in counts.items() if count > 1):
        raise InputError(f"study {study.file}: two trials are called {twice[0]}; expected names with fewer -")
    return trials


def _refuse_too_many(study: Study) -> None:
    grid = {"seeds": study.seeds, "arms": study.arms, "data": study.data, "budgets": study.budgets}
    sizes = {name: len(axis) for name, axis in grid.items()} | {"folds": study.folds or 1}
    if study.pretrain_design == CROSSED:
        sizes["pretrain_seeds"] = len(study.pretrain_seeds) or 1
    if (number := math.prod(sizes.values())) > MOST_TRIALS:
        product = " x ".join(f"{size} {name}" for name, size in sizes.items() if size > 1)
        raise InputError(f"study {study.file}: {product} are {number} trials; expected at most {MOST_TRIALS}")


def _pretraining(study: Study, data: str, name: str, seed: int | None, fold: int | None) -> Trial:
    stage = study.pretrain[name]
    knobs = {**_quiet(stage), **_by_device(study, stage), **study.common, **study.data[data][0], **stage.knobs}
    if seed is not None:
        knobs["seed"] = seed
    fold = _left_out(study, data, stage, knobs, fold)
    knobs |= _of_fold(study, fold)
    parts = identity.parts(stage.bundle, knobs, ())
    its_identity = files.digest(parts)
    place = f"{name}-{its_identity[:8]}"
    return Trial(
        id=f"pretrain-{place}", kind="pretrain", folder=f"pretrain/{place}", config=str(stage.bundle.path), knobs=knobs,
        identity=its_identity, pretrain=name, data=data, pretrain_seed=seed, fold=fold, parts=parts,
    )  # fmt: skip


def _of_fold(study: Study, fold: int | None) -> dict[str, Any]:
    """What says which fold a training is of."""
    return {} if fold is None else {"fold": fold, "folds": study.folds}


def _left_out(study: Study, data: str, stage: Stage, knobs: Mapping[str, Any], fold: int | None) -> int | None:
    """The fold that a pretraining leaves out: none of other data than those that are tested; and where its patients are
    set apart it is the same for all folds, so that the first stands for them."""
    if fold is None or "fold" not in stage.bundle.knobs:
        return None
    tested = {**study.common, **study.data[data][1], **study.finetune.knobs}.get("dataset_dir")
    if knobs.get("dataset_dir") != tested:
        return None
    return 0 if {**stage.bundle.config, **knobs}.get("pretrain_fraction") else fold


def _finetuning(
    study: Study, data: str, budget: Budget, seed: int, name: str, arm: Arm, source: Trial | None, fold: int | None
) -> Trial:
    stage = study.finetune
    labels = {key: value for key, value in budget.knobs.items() if key in stage.bundle.knobs}
    knobs = {
        **_by_device(study, stage),
        **study.common,
        **study.data[data][1],
        **stage.knobs,
        **arm.knobs,
        **labels,
        "init": arm.init,
        "seed": seed,
        **_of_fold(study, fold),
    }
    if arm.checkpoint:
        knobs["checkpoint"] = arm.checkpoint
    parts = identity.parts(stage.bundle, knobs, [source.identity] if source else [])
    place = f"{data}-{name}-{budget.name}-s{seed}"
    again = source.pretrain_seed if source else None
    if again is not None and study.pretrain_design == CROSSED:
        place += f"-p{again}"
    if fold is not None:
        place += f"-fold{fold}"
    return Trial(
        id=f"finetune-{place}", kind="finetune", folder=f"finetune/{place}", config=str(stage.bundle.path), knobs=knobs,
        identity=files.digest(parts), depends=(source.id,) if source else (), pretrain=arm.pretrain, arm=name,
        data=data, budget=budget.value, budget_name=budget.name, seed=seed, pretrain_seed=again, fold=fold,
        parts=parts,
    )  # fmt: skip


def _quiet(stage: Stage) -> dict[str, Any]:
    """Nobody watches the bars of a trial."""
    return {"progress": False} if "progress" in stage.bundle.knobs else {}


def _by_device(study: Study, stage: Stage) -> dict[str, Any]:
    """The precision that was chosen for all trainings, where a bundle leaves it to the device."""
    return {"amp": study.amp} if study.amp is not None and stage.bundle.config.get("amp") == BY_DEVICE else {}


def resolved(study: Study) -> dict[str, Any]:
    """The content of ``study.json``."""

    configs = [stage.bundle.config for stage in (study.finetune, *study.pretrain.values())]

    def stage(which: Stage) -> dict[str, Any]:
        return {"config": str(which.bundle.path), "knobs": dict(which.knobs)}

    return {
        "format": FORMAT,
        "name": study.name,
        "description": study.description,
        "study_file": str(study.file),
        BUNDLES: str(shipped_folder()),
        "parameters": dict(study.parameters),
        "common": dict(study.common),
        "pretrain": {name: stage(which) for name, which in study.pretrain.items()},
        "finetune": stage(study.finetune),
        "arms": {name: asdict(arm) for name, arm in study.arms.items()},
        "data": {name: {"pretrain": dict(a), "finetune": dict(b)} for name, (a, b) in study.data.items()},
        "budgets": [{k: v for k, v in asdict(b).items() if (k, v) != ("seeds", None)} for b in study.budgets],
        "seeds": list(study.seeds),
        "code_version": code_version(*configs),
        "published": study.published,
        MIXED: study.mixed_recipes,
        "margin": study.margin,
        **({"pretrain_seeds": list(study.pretrain_seeds)} if study.pretrain_seeds else {}),
        **({"pretrain_design": study.pretrain_design} if study.pretrain_seeds else {}),
        **({"folds": study.folds} if study.folds else {}),
    }


def write(study: Study, trials: Sequence[Trial], folder: Path) -> None:
    """Write ``study.json`` and ``trials.json``.

    Raises:
        InputError: they cannot be written.
    """
    files.write_json(folder / STUDY_FILE, resolved(study))
    files.write_json(folder / TRIALS_FILE, [trial.as_dict() for trial in trials])


def check_folder(study: Study, trials: Sequence[Trial], folder: Path) -> list[str]:
    """Make sure that nothing in a study's folder is of another study, another code version or other knobs.

    Returns:
        trials that are there and no longer in the study; they are left alone.

    Raises:
        InputError: what does not fit, all of it.
    """
    _check_name(study, folder)
    refuse_links(trials, folder)
    known = {trial.folder: trial for trial in trials}
    wrong, left = [], []
    for path in sorted(folder.glob(f"*/*/{TRIAL_FILE}")):
        place = path.parent.relative_to(folder).as_posix()
        try:
            entry = documents.own(path, after="; delete this trial's folder to have it run again")
        except InputError as error:
            wrong.append(str(error))
            continue
        parts, config, version = entry["parts"], entry["config"], entry["parts"]["code_version"]
        if place in known:
            if differences := identity.changes(parts, known[place].parts):
                wrong.append(f"{place}: was started with {some(differences, 12)}")
        elif version != (now := identity.code_version_of(config)):
            wrong.append(f"{place}: was started with code version {version}, not {now}")
        else:
            left.append(place)
    if wrong:
        listed = some(wrong, separator="\n  ")
        raise InputError(
            f"{folder}: {numbered(len(wrong), 'trial is another one', 'trials are other ones')} than this study means "
            "and would be mixed with its own; "
            f"give another folder, or delete theirs:\n  {listed}"
        )
    refuse_other_data(trials, folder)
    return left


def _check_name(study: Study, folder: Path) -> None:
    """Refuse a folder that holds a study of another name.

    Raises:
        InputError: it does, or what says so is damaged.
    """
    path = folder / STUDY_FILE
    if not path.is_file():
        return
    name = documents.own(path, after="; delete it to have it written anew")["name"]
    if name != study.name:
        raise InputError(f"{folder}: holds the study {name}, not {study.name}; expected another folder")
