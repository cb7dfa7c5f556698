"""What is wrong between the parts of a study file, each of which is allowed: added to the problems of its reader."""

from __future__ import annotations

from collections import Counter
from itertools import product

from segxfer3d.config.apart import apart_problems
from segxfer3d.config.learning import PAPER, recipe_in
from segxfer3d.schema.kinds import shown
from segxfer3d.study.definition import CROSSED, NESTED, Study
from segxfer3d.study.plan_files import PLAN, names_file, unlike
from segxfer3d.study.reading import Reader
from segxfer3d.study.recipes import MIXED, RECIPE, SIZES, mixture


def recipes(reader: Reader, study: Study) -> None:
    """Refuse arms of different recipes that nobody asked for."""
    bundle = study.finetune.bundle
    if study.mixed_recipes or RECIPE not in bundle.knobs:
        return
    for _, knobs in study.data.values():
        shared = {RECIPE: bundle.config[RECIPE], **study.common, **knobs, **study.finetune.knobs}
        several = mixture((name, recipe_in({**shared, **arm.knobs})) for name, arm in study.arms.items())
        if several:
            reader.problems.append(f'arms: of different recipes: {several}; expected one, or "{MIXED}": true')


def sizes(reader: Reader, study: Study) -> None:
    """Refuse arms of which some take the sizes of a checkpoint and others plan their own: they would not be alike.

    Under the plan of a file all share its sizes, and the intensities of the pretraining.
    """
    if "plan" not in study.finetune.bundle.knobs or not any(
        arm.pretrain or arm.checkpoint for arm in study.arms.values()
    ):
        return
    recipe = {RECIPE: study.finetune.bundle.config.get(RECIPE, "")}
    for before, knobs in study.data.values():
        for arm in study.arms.values():
            values = {**recipe, **study.common, **knobs, **study.finetune.knobs, **arm.knobs}
            if names_file(values.get(PLAN)):
                stage = study.pretrain.get(arm.pretrain or "")
                if why := unlike(values, {**study.common, **before, **stage.knobs} if stage else None):
                    reader.problems.append(f"arms: under the plan of a file they share their sizes: {why}")
                    return
                continue
            missing = [name for name in SIZES if values.get(name) is None]
            if recipe_in(values) == PAPER or (values.get("plan") == "none" and not missing):
                continue
            reader.problems.append(
                "arms: those that load a checkpoint take its sizes, the others plan their own; expected the same for "
                f'all: "plan": "none" and {", ".join(SIZES)} among the knobs of finetune or common, or a file as "plan"'
            )
            return


def apart(reader: Reader, study: Study) -> None:
    """Refuse knobs of a training, wherever they are set, of which only one may be."""
    first: dict[str, str] = {}  # what is wrong -> the training that it is first met in
    for (data, (before, knobs)), budget in product(study.data.items(), study.budgets):
        for name, stage in study.pretrain.items():
            values = {**stage.bundle.config, **study.common, **before, **stage.knobs}
            first = {**dict.fromkeys(apart_problems(values), f"pretrain.{name}, data {data}"), **first}
        for name, arm in study.arms.items():
            values = {**study.finetune.bundle.config, **study.common, **knobs, **study.finetune.knobs, **arm.knobs}
            first = {**dict.fromkeys(apart_problems({**values, **budget.knobs}), f"arms.{name}, data {data}"), **first}
    reader.problems += [f"{where}: {why}" for why, where in first.items()]


def repeated(reader: Reader, study: Study) -> None:
    """Pretrainings that are repeated: their seeds fit those of fine-tuning, and nothing else sets them."""
    problems = reader.problems
    if study.pretrain_design not in (NESTED, CROSSED):
        problems.append(f"pretrain_design: expected {NESTED} or {CROSSED}, got {shown(study.pretrain_design)}")
    if not study.pretrain_seeds:
        problems.append("pretrain_design: expected pretrain_seeds beside it")
        return
    if not study.pretrain:
        problems.append("pretrain_seeds: no pretraining to repeat; expected a section pretrain")
    if study.pretrain_design == NESTED and len(study.seeds) % len(study.pretrain_seeds):
        problems.append(
            f"pretrain_seeds: {len(study.pretrain_seeds)} for {len(study.seeds)} seeds; nested expects as many seeds "
            f'for each, or "pretrain_design": "{CROSSED}"'
        )
    elif study.pretrain_design == NESTED:
        problems += _uneven(study)
    for where, knobs in (
        ("common", study.common),
        *((f"data.{name}.pretrain", before) for name, (before, _) in study.data.items()),
        *((f"pretrain.{name}.knobs", stage.knobs) for name, stage in study.pretrain.items()),
    ):
        if "seed" in knobs:
            problems.append(f"{where}: has a seed beside pretrain_seeds; expected one of the two")
    for name, stage in study.pretrain.items():
        if "seed" not in stage.bundle.knobs:
            problems.append(f"pretrain.{name}: its bundle has no knob seed for pretrain_seeds to set")


def _uneven(study: Study) -> list[str]:
    """Budgets whose own seeds start from some pretrainings more often than from others; not all have to be used."""
    of_seeds = {str(seed): place % len(study.pretrain_seeds) for place, seed in enumerate(study.seeds)}
    problems = []
    for index, budget in enumerate(study.budgets):
        uses = Counter(of_seeds[seed] for seed in dict.fromkeys(map(str, budget.seeds or ())))
        if len(set(uses.values())) > 1:
            said = ", ".join(f"{number} from {study.pretrain_seeds[place]}" for place, number in sorted(uses.items()))
            problems.append(
                f"budgets[{index}].seeds: start unevenly from pretrain_seeds ({said}); nested expects as many for each "
                f'that is used, or "pretrain_design": "{CROSSED}"'
            )
    return problems
