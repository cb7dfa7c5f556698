"""Reading a study file: everything that is wrong with it is said at once, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segxfer3d.config.initializations import INITIALIZATIONS, SCENARIOS, needs_checkpoint
from segxfer3d.config.values import is_expression
from segxfer3d.schema.kinds import shown, whole_problem
from segxfer3d.study import checks
from segxfer3d.study.bundles import read_bundle
from segxfer3d.study.definition import NESTED, Arm, Budget, Bundle, Stage, Study
from segxfer3d.study.documents import nearest
from segxfer3d.study.fold_axis import check_folds, read_folds
from segxfer3d.study.options import most_seed
from segxfer3d.study.reading import NAME, Reader, begin
from segxfer3d.study.recipes import MIXED

_KEYS = (
    "name", "description", "parameters", "common", "pretrain", "finetune", "arms", "data", "budgets", "seeds",
    "published", "margin", MIXED, "pretrain_seeds", "pretrain_design", "folds",
)  # fmt: skip
# set trial by trial, not by knobs
_OF_TRIALS = {
    "output_dir": "the study's folder decides",
    "resume": "the study decides",
    "init": 'an arm has its own "init"',
    "checkpoint": 'an arm has its own "pretrain" or "checkpoint"',
}
_LABELS = ("label_count", "label_fraction")
_SPLIT = ("split_file", "fold", "folds")


def read_study(file: Path, settings: Mapping[str, str] | None = None) -> Study:
    """Read and check a study file.

    Args:
        file: of the study, or the name of a shipped one.
        settings: name -> value of its parameters, as typed.

    Raises:
        InputError: everything that is wrong with it, at once.
    """
    reader, content = begin(
        file, "study", folder="studies", keys=_KEYS, settings=settings, set_elsewhere=_set_elsewhere
    )
    study = _read(reader, content)
    reader.refuse("study")
    assert study is not None
    return study


def _set_elsewhere(name: str, where: str) -> str:
    """Why a knob is not for this part of a study file; empty where it is."""
    if name in _LABELS and not where.startswith("budgets"):
        return "budgets say how many labels"
    if name == "seed" and "pretrain" not in where:
        return "seeds has the seeds of fine-tuning, a pretraining may have its own"
    if name in _SPLIT and not where.startswith(("common", "data", "finetune")):
        return "common or data says who is in which part, the same for all arms and labels"
    return _OF_TRIALS.get(name, "")


def _read(reader: Reader, content: Mapping[str, Any]) -> Study | None:
    """The parts in turn; None where a bundle is missing, so that nothing more can be checked."""
    name = content.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        reader.problems.append(f"name: expected letters, digits and ._+-, got {shown(name)}")
    stages = reader.section(content.get("pretrain", {}), "pretrain")
    reader.names(stages, "pretrain")
    bundles = {
        where: read_bundle(reader, entry, where)
        for where, entry in {
            "finetune": content.get("finetune"),
            **{f"pretrain.{n}": e for n, e in stages.items()},
        }.items()
    }
    if any(bundle is None for bundle in bundles.values()):
        return None
    known = {where: bundle for where, bundle in bundles.items() if bundle is not None}
    finetune, pretrainers = known["finetune"], [known[f"pretrain.{n}"] for n in stages]
    arms = _arms(reader, content.get("arms"), list(stages), finetune)
    data = _data(reader, content.get("data", {"data": {}}), pretrainers, finetune)
    seeds = _seeds(reader, content.get("seeds"), "seeds")
    budgets = _budgets(reader, content.get("budgets"), finetune, seeds)
    repeated = _seeds(reader, content["pretrain_seeds"], "pretrain_seeds") if "pretrain_seeds" in content else []
    study = Study(
        name=str(name),
        description=str(content.get("description", "")),
        file=reader.file.absolute(),
        parameters=reader.parameters,
        common=reader.knobs(content.get("common", {}), "common", [finetune, *pretrainers]),
        pretrain={n: _stage(reader, e, f"pretrain.{n}", known[f"pretrain.{n}"]) for n, e in stages.items()},
        finetune=_stage(reader, content["finetune"], "finetune", finetune),
        arms=arms,
        data=data,
        budgets=budgets,
        seeds=seeds,
        published=_published(reader, content.get("published"), list(arms), list(data), [b.name for b in budgets]),
        mixed_recipes=content.get(MIXED) is True,
        margin=_margin(reader, content.get("margin")),
        pretrain_seeds=repeated,
        pretrain_design=str(content.get("pretrain_design", NESTED)),
        folds=read_folds(reader.problems, content.get("folds")),
    )
    check_folds(reader.problems, study)
    if not isinstance(content.get(MIXED, False), bool):
        reader.problems.append(f"{MIXED}: expected true or false, got {shown(content[MIXED])}")
    checks.recipes(reader, study)
    checks.sizes(reader, study)
    checks.apart(reader, study)
    if "pretrain_seeds" in content or "pretrain_design" in content:
        checks.repeated(reader, study)
    return study


def _margin(reader: Reader, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 100:
        reader.problems.append(f"margin: expected dice points above 0 and below 100, got {shown(value)}")
        return None
    return float(value)


def _stage(reader: Reader, entry: Mapping[str, Any], where: str, bundle: Bundle) -> Stage:
    return Stage(bundle, reader.knobs(entry.get("knobs", {}), f"{where}.knobs", [bundle]))


def _arms(reader: Reader, content: Any, pretrain: Sequence[str], finetune: Bundle) -> dict[str, Arm]:
    content = reader.section(content, "arms")
    reader.names(content, "arms")
    if len(content) < 2:
        reader.problems.append(f"arms: expected at least two to compare, got {len(content)}")
    arms = {}
    for name, arm in content.items():
        where = f"arms.{name}"
        entry = reader.section(arm, where)
        reader.keys(entry, where, ("init", "pretrain", "checkpoint", "scenario", "knobs"))
        init, source, checkpoint = entry.get("init"), entry.get("pretrain"), reader.insert(entry.get("checkpoint"))
        if init not in INITIALIZATIONS:
            hint = nearest(str(init), INITIALIZATIONS)
            reader.problems.append(f"{where}.init: no initialization {shown(init)}{hint}")
            continue
        if source is not None and (source not in pretrain or not isinstance(source, str)):
            reader.problems.append(f"{where}.pretrain: no pretraining {shown(source)}{nearest(str(source), pretrain)}")
        if (source is not None) + (checkpoint is not None) != needs_checkpoint(init):
            expected = 'either "pretrain" or "checkpoint"' if needs_checkpoint(init) else "none"
            reader.problems.append(f"{where}: init {init} expects {expected} to load from")
        if checkpoint is not None:
            checkpoint = reader.value("checkpoint", checkpoint, where, [finetune])
        knobs = reader.knobs(entry.get("knobs", {}), f"{where}.knobs", [finetune])
        arms[name] = Arm(init, source, checkpoint, str(entry.get("scenario", SCENARIOS[init])), knobs)
    if unused := [name for name in pretrain if name not in [arm.pretrain for arm in arms.values()]]:
        reader.problems.append(f"pretrain: no arm starts from {', '.join(unused)}")
    return arms


def _data(
    reader: Reader, content: Any, pretrainers: Sequence[Bundle], finetune: Bundle
) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    content = reader.section(content, "data")
    reader.names(content, "data")
    if not content:
        reader.problems.append("data: expected at least one data set")
    data = {}
    for name, data_set in content.items():
        entry = reader.section(data_set, f"data.{name}")
        reader.keys(entry, f"data.{name}", ("pretrain", "finetune"))
        data[name] = (
            reader.knobs(entry.get("pretrain", {}), f"data.{name}.pretrain", pretrainers),
            reader.knobs(entry.get("finetune", {}), f"data.{name}.finetune", [finetune]),
        )
    return data


def _budgets(reader: Reader, content: Any, finetune: Bundle, seeds: Sequence[int]) -> list[Budget]:
    budgets: list[Budget] = []
    for index, entry in enumerate(reader.section(content, "budgets", list)):
        said = isinstance(entry, dict) and entry.get("seeds") is not None
        own = _own_seeds(reader, entry["seeds"], f"budgets[{index}].seeds", seeds) if said else None
        budget = {name: value for name, value in entry.items() if name != "seeds"} if said else entry
        knobs = reader.knobs(budget, f"budgets[{index}]", [finetune])
        count, fraction = (knobs.get(name) for name in _LABELS)
        for label, number in zip(_LABELS, (count, fraction), strict=True):
            if is_expression(number):  # a budget is named by it
                reader.problems.append(
                    f"budgets[{index}].{label}: expected a number, no expression, got {shown(number)}"
                )
        name, value = ("all", 1.0)
        if isinstance(count, int):
            name, value = f"n{count}", float(count)
        elif isinstance(fraction, float):
            name, value = f"f{fraction:g}", fraction
        # the one that is not given may have a default in the bundle
        budgets.append(Budget(name, value, {**dict.fromkeys(_LABELS, None), **knobs}, own))
    if len({budget.value for budget in budgets}) < len(budgets):
        reader.problems.append("budgets: two of one value (1 label and all labels count as one, too)")
    if not budgets:
        reader.problems.append("budgets: the grid is empty, expected at least one; [{}] takes all labels")
    return budgets


def _own_seeds(reader: Reader, content: Any, where: str, seeds: Sequence[int]) -> tuple[int, ...] | None:
    """Those of a budget; None where they are wrong."""
    known = {seed for seed in seeds if isinstance(seed, int)}  # others are a problem of their own
    listed = isinstance(content, list) and bool(content)
    why = _problem_of_seeds(content) if listed else ""
    if not listed or (not why and not known.issuperset(content)):
        why = f"expected some of the study's {shown(list(seeds))}, got {shown(content)}"
    if why:
        reader.problems.append(f"{where}: {why}")
    return None if why else tuple(content)


def _seeds(reader: Reader, content: Any, where: str) -> list[int]:
    seeds = reader.section(content, where, list)
    if not seeds:
        reader.problems.append(f"{where}: the grid is empty, expected at least one")
    if why := _problem_of_seeds(seeds):
        reader.problems.append(f"{where}: {why}")
    return list(seeds)


def _problem_of_seeds(seeds: Sequence[Any]) -> str:
    """What is wrong with one of them, or with their number; empty where nothing is."""
    if wrong := [why for seed in seeds if (why := whole_problem(seed, 0, most_seed()))]:
        return wrong[0]
    return f"one is there twice: {shown(seeds)}" if len(set(seeds)) < len(seeds) else ""


def _published(
    reader: Reader, content: Any, arms: Sequence[str], data: Sequence[str], budgets: Sequence[str]
) -> dict[str, Any] | None:
    """Figures to show beside; each belongs to an arm, a data set and a budget of the study."""
    if content is None:
        return None
    section: dict[str, Any] = reader.section(content, "published")
    for entry in reader.section(section.get("values", []), "published.values", list):
        for what, known in (("arm", arms), ("data", data), ("budget_name", budgets)):
            name = entry.get(what) if isinstance(entry, dict) else entry
            if name not in known:
                reader.problems.append(f"published: no {what} {shown(name)}{nearest(str(name), known)}")
    return section
