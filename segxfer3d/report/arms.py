"""What was compared: arms, their scenario in the paper, and label budgets; also where no study file names them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from segxfer3d.config import initializations
from segxfer3d.config.initializations import order_of
from segxfer3d.config.learning import recipe_in
from segxfer3d.config.options import load_table
from segxfer3d.errors import InputError
from segxfer3d.report.pretexts import Pretext, pretext_of
from segxfer3d.report.run_files import Run
from segxfer3d.report.starts import told_starts
from segxfer3d.study.recipes import MIXED, mixture

SCENARIOS = {
    "1": "encoder and decoder drawn at random",
    "2": "encoder from a pretext that tells images apart, decoder drawn at random",
    "3": "encoder and decoder from a pretext that makes images or masks",
    "4": "encoder from a pretext that makes images or masks, decoder drawn at random",
}


@dataclass(frozen=True)
class Arm:
    """One way to start and fine-tune.

    Attributes:
        name: as in the study file, or made from what tells the runs apart.
        init: name of the initialization.
        pretext: what it was pretrained by, in words; empty for none.
        scenario: the paper's number; empty where the paper has none.
        knobs: what else is done differently.
        recipe: of its fine-tunings, where not all arms have the same.
        source: what it starts from: the pretraining or the checkpoint, of which one pretext may have several; empty for
            none.
    """

    name: str
    init: str = ""
    pretext: str = ""
    scenario: str = ""
    knobs: Mapping[str, Any] = field(default_factory=dict)
    recipe: str = ""
    source: str = ""


def transfer(arms: Iterable[Arm]) -> bool:
    """Whether any of the arms starts from what was pretrained; else the paper's questions are none of theirs."""
    return any(arm.pretext for arm in arms)


def scenario_of(init: str, encoder: str) -> str:
    """The paper's scenario of an initialization; empty where it has none.

    Args:
        init: its name.
        encoder: the scenario of the pretext's encoder alone; empty where the pretext is not known: then it is both.
    """
    return (encoder if init == "encoder" else "") or initializations.SCENARIOS.get(init, "")


def study_arms(
    study: Mapping[str, Any], notes: Mapping[str, Pretext], checkpoints: Mapping[str, str] | None = None
) -> list[Arm]:
    """The arms of a ``study.json``, in its order.

    Args:
        study: its content.
        notes: of pretexts, by the name of their job.
        checkpoints: name of an arm to what its checkpoint from elsewhere is known by; in a record its path does not
            tell, for it is short of the folder.
    """
    stages = _mapping(study.get("pretrain"))
    arms = []
    for name, entry in _mapping(study.get("arms")).items():
        arm = _mapping(entry)
        stage = str(arm.get("pretrain") or "")
        config = str(_mapping(stages.get(stage)).get("config", stage))
        pretext = pretext_of(Path(config).stem, notes)
        init = str(arm.get("init") or "")
        said = str(arm.get("scenario") or "")
        unsaid = said == initializations.SCENARIOS.get(init)  # a study puts that in where its file says nothing
        scenario = said if said and not unsaid else scenario_of(init, pretext.scenario)
        title = pretext.title if stage else "a checkpoint from elsewhere" if arm.get("checkpoint") else ""
        source = stage
        if not stage and (checkpoint := arm.get("checkpoint")):
            source = f"{checkpoint} {(checkpoints or {}).get(str(name), '')}"
        arms.append(Arm(str(name), init, title, scenario, _mapping(arm.get("knobs")), source=source))
    return arms


def name_arms(runs: Sequence[Run], notes: Mapping[str, Pretext]) -> tuple[list[Run], list[Arm]]:
    """Name the arms of fine-tunings that no study file names: by initialization, and by what else differs.

    Args:
        runs: with ``pretext`` as the name of a job, and the checkpoint that each starts from.
        notes: of pretexts, by the name of their job.

    Returns:
        the runs with their arm, and the arms, ``random`` first.
    """
    finetunings = [run for run in runs if run.kind == "finetune"]
    differing = _differing(finetunings)
    several = len({run.pretext for run in finetunings if run.pretext}) > 1
    starts = told_starts(finetunings, differing)
    named: dict[int, Arm] = {}
    for run in finetunings:
        init = str(run.knobs.get("init", "")) or "unknown"
        words = [f"{knob} {run.knobs.get(knob)}" for knob in differing]
        start = starts.get(run.name, "")
        words = [start, *words] if start else words
        pretext = pretext_of(run.pretext, notes)
        if several and pretext.title:
            words.insert(0, pretext.title)
        name = f"{init} ({', '.join(words)})" if words else init
        knobs = {knob: run.knobs.get(knob) for knob in differing}
        scenario = scenario_of(init, pretext.scenario)
        named[id(run)] = Arm(name, init, pretext.title, scenario, knobs, source=f"{run.pretext} {start}".strip())
    arms = {arm.name: arm for arm in named.values()}
    order = sorted(arms.values(), key=lambda arm: order_of(arm.init))
    return [replace(run, arm=named[id(run)].name) if id(run) in named else run for run in runs], order


def with_recipes(arms: Sequence[Arm], runs: Sequence[Run], *, mixed: bool) -> list[Arm]:
    """The arms, each with its recipe where there are several.

    Args:
        arms: all of them.
        runs: fine-tunings that are compared: those with one data set and budget.
        mixed: whether arms of different recipes may be.

    Raises:
        InputError: they may not, and there are.
    """
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.data, run.budget_name), []).append(run)
    several = [words for group in groups.values() if (words := mixture((r.name, recipe_in(r.knobs)) for r in group))]
    if not several:
        return list(arms)
    if not mixed:
        raise InputError(
            f"fine-tunings of different recipes are not compared: {several[0]}; expected one recipe, or "
            f'"{MIXED}": true in the study file (study.json)'
        )
    of_arm = {arm.name: dict.fromkeys(recipe_in(run.knobs) for run in runs if run.arm == arm.name) for arm in arms}
    return [replace(arm, recipe="; ".join(of_arm[arm.name])) for arm in arms]


def _differing(runs: Sequence[Run]) -> list[str]:
    """Knobs that are choices and not the same in all runs of one initialization."""
    table = load_table()  # a knob that it does not know may be a choice
    no_choice = {name for name, option in table.items() if not option.tells_arms}
    by_init: dict[Any, list[Run]] = {}
    for run in runs:
        by_init.setdefault((str(run.knobs.get("init")), run.data, run.job), []).append(run)
    return sorted({
        knob
        for alike in by_init.values()
        for knob in {knob for run in alike for knob in run.knobs} - no_choice
        if len({repr(run.knobs.get(knob)) for run in alike}) > 1
    })  # fmt: skip


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
