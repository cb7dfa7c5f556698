"""The page of the baseline, from its records alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, product
from statistics import mean, stdev

import numpy as np
from baseline_grid import DATA, EVERY, INFERENCE, INGREDIENTS, METHODS, STRONG, VARIANTS, Trial, all_trials, rates_of
from baseline_record import Record, refuse_mixed

from segxfer3d.errors import InputError
from segxfer3d.report.cells import between, p_value
from segxfer3d.report.results import FAR, MARGIN
from segxfer3d.statistics.compare import Comparison, compare, corrected
from segxfer3d.statistics.crossed import crossed_mean
from segxfer3d.statistics.scores import ScoreTable
from segxfer3d.statistics.verdict import judge

TITLES = {"paper": "paper recipe", "strong": "strong recipe", "nnunet": "nnU-Net"}
NAMES = {"hippocampus": "hippocampus", "nodules": "lung nodules", "lgg": "LGG_MRI, FLAIR"}
AGAINST = ("nnunet", "paper")  # what the strong recipe is compared with

HEAD = """# Baseline: two recipes and nnU-Net after minutes of one thread

Written by `python scripts/baseline.py --page` from the records in [baseline](baseline) alone: {count} of {all} trials
are there, the others are shown as –. Minutes are user CPU minutes of the training loop, augmentation included, on one
thread; imports, reading, preprocessing, validation and testing do not count. Both programs train on the same labeled
patients and are scored by the same code, masks against labels on the grid of the file. Dice in points, mean over
patients (of a patient with several cases, their mean); ± is the standard deviation over seeds, their number in
brackets.
"""
CEILING = """### What the minutes can give on hippocampus

The strong recipe in 6 minutes with all {every} training patients labeled: {dice}. No start from 5 labels can be
expected to come above that, so it bounds what is left above nnU-Net's figure of the same minutes.
"""
DIFFERENCES = """Strong recipe less the other, paired by seed and patient; 95 % interval over seeds and patients, p
after Holm over all differences here. Verdicts are those of a report ([how to read it](../reading_the_report.md)) with
a margin of {margin:g} dice points; there is none with fewer than three seeds, or where a training ended far from its
arm's others.{unfinished}

"""
CHOICES = """## Choices, on validation patients

Nothing was chosen on test patients. A fifth of the patients validates here (52 on hippocampus, 52 on nodules), a
twentieth in the trainings above. The four variants of nnU-Net are compared on hippocampus, 5 labels, 2 minutes; the
learning rates of every method are the same, tried on hippocampus and nodules, 5 labels, 2 minutes, two seeds.
"""
INGREDIENT = """### Ingredient by ingredient

The strong recipe with one thing changed at a time, 5 labels, 2 minutes, on validation patients. Differences are those
to the strong recipe, paired by seed and patient, with the 95 % interval where there are seeds enough. The two rows at
the end take the strong recipe's own models with another inference; whether the largest component is kept was decided on
these same patients.
"""
UNEQUAL = """## What was not equal

- Time: nnU-Net stops when its seconds are used and lowers its rate over them; ours measures some steps before it starts
  (not counted) and fixes their number. The seconds that both used are in the table above.
- Inference: nnU-Net's masks are averaged over mirrored copies, as it does unless told otherwise (those without are in
  the records as `plain`); the paper recipe does not mirror. Windows overlap by a quarter for all (nnU-Net's default is
  a half). nnU-Net's choice of a largest component needs its cross-validation and was not run.
- Patch, batch and network: the strong recipe plans them from the data and the minutes, a stem of stride 2 included,
  which nnU-Net does not have; nnU-Net plans for a GPU's memory, or is given our patch and batch, where the chosen
  variant says so, with the strides and kernels that it derives for them. Both plan from the labeled patients.
- nnU-Net's width is 8 to 64 features here; its planned width is compared once. It is built for 250,000 steps on a GPU,
  not for minutes on a CPU, and its own trainer (SGD) has hardly begun after two of them.
- The learning rates were searched at 2 minutes and are used at every number of minutes.
- Hippocampus is measured on the 40 test patients that come first by name, the other sets on all of their test patients.
- The shares of a core that other work left differ between trials; user CPU seconds depend on it a little.
"""
COMMANDS = """## Commands

```bash
pip install -c constraints.txt -e ".[nnunet]"
python scripts/baseline.py --data DIR --dry-run                        # what is left, in CPU hours
python scripts/baseline.py --data DIR --only stage=variants            # then stage=rates, then stage=grid
python scripts/baseline.py --data DIR --only stage=grid data=lgg minutes=1,2 --hours 4
python scripts/baseline.py --page
```

DIR holds Task04_Hippocampus, LIDC_VOIs and LGG_MRI; nodules with fewer than 8 slices are left out, and FLAIR is written
by `scripts/lgg_flair.py`.
"""


def page(records: Sequence[Record]) -> str:
    """The page, in Markdown.

    Raises:
        InputError: records of one method and data set in the grid were made with different settings, or the same seed
            was measured on other patients.
    """
    refuse_mixed(records)
    grid = [record for record in records if record.trial.stage == "grid"]
    parts = [HEAD.format(count=len(records), all=len(all_trials())), "## Dice on test patients\n"]
    for data, labels in product(DATA, (5, 20)):
        parts += [f"### {NAMES[data]}, {labels} labeled patients\n", _dice_table(grid, data, labels)]
    parts += _ceiling(records)
    parts += ["## Differences\n", _differences(grid), CHOICES, _choices(records), "## What was run\n", _effort(grid)]
    parts += [_hardware(records), UNEQUAL, COMMANDS]
    return "\n".join(parts)


def _ceiling(records: Sequence[Record]) -> list[str]:
    """What the minutes reach with every label, as soon as that was run."""
    found = [record.dice for record in records if record.trial.stage == "ceiling"]
    return [CEILING.format(every=EVERY, dice=_mean(found))] if found else []


def _dice_table(grid: Sequence[Record], data: str, labels: int) -> str:
    minutes = _minutes(data, labels)
    rows = []
    for method in METHODS:
        cells = [_mean([r.dice for r in _cell(grid, method, data, labels, each)]) for each in minutes]
        rows.append([TITLES[method], *cells])
    return _table(["", *(f"{each} min" for each in minutes)], rows)


def _differences(grid: Sequence[Record]) -> str:
    found = []
    for against, data, labels in product(AGAINST, DATA, (5, 20)):
        for minutes in _minutes(data, labels):
            cells = [_cell(grid, method, data, labels, minutes) for method in ("strong", against)]
            if one := compared(*cells, against=TITLES[against], labels=labels):
                found.append(((NAMES[data], labels, minutes), one))
    rows = []
    tested = [one for _, one in found if one.p_value is not None]
    for place, one in zip([place for place, _ in found], corrected([one for _, one in found]), strict=True):
        what, verdict = f"{one.arm} less {one.reference}", judge(one, MARGIN).kind
        p_holm = p_value(None if verdict == "no verdict" else one.p_holm)
        numbers = [f"{one.difference:+.1f}", between(one.interval, sign=True), p_holm]
        rows.append([what, *place, *numbers, verdict, one.seeds, one.patients])
    text = DIFFERENCES.format(margin=MARGIN, unfinished=_unfinished(grid, family=len(tested)))
    head = ["difference", "data", "labels", "minutes", "dice points", "95 % interval", "p (Holm)", "verdict"]
    return text + _table([*head, "seeds", "patients"], rows)


def _unfinished(grid: Sequence[Record], *, family: int) -> str:
    """How many differences have all of their seeds, as long as others have not; empty then."""
    planned = done = 0
    measured = {record.trial for record in grid}
    for against, data, labels in product(AGAINST, DATA, (5, 20)):
        for minutes in _minutes(data, labels):
            place = ("grid", data, labels, minutes)
            wanted = [t for t in all_trials() if (t.stage, t.data, t.labels, t.minutes) == place]
            both = [[t for t in wanted if t.method == method] for method in ("strong", against)]
            planned += all(both)
            done += all(both) and measured.issuperset(chain(*both))
    if done == planned:
        return ""
    return (
        f"\n\n{done} of {planned} planned differences are done, with all of their seeds; p is corrected for the "
        f"{family} that have one so far,\nso verdicts may change as others come."
    )


def compared(first: Sequence[Record], second: Sequence[Record], *, against: str, labels: int) -> Comparison | None:
    """The strong recipe against another, in points, of the seeds that both have; None where they share none.

    Raises:
        InputError: the same seed was measured on other patients.
    """
    if (shared := _shared(first, second)) is None:
        return None
    seeds, patients, values = shared
    arms = (TITLES["strong"], against)
    return compare(ScoreTable(float(labels), arms, seeds, patients, patients, values), [arms], far=FAR)[0]


def paired(first: Sequence[Record], second: Sequence[Record]) -> np.ndarray | None:
    """Differences in points (seeds, patients) of the seeds that both have; None where they share none.

    Raises:
        InputError: the same seed was measured on other patients.
    """
    shared = _shared(first, second)
    return None if shared is None else shared[2][0] - shared[2][1]


def _shared(
    first: Sequence[Record], second: Sequence[Record]
) -> tuple[tuple[int, ...], tuple[str, ...], np.ndarray] | None:
    """The seeds that both have, their patients, and dice in points (2, seeds, patients); None where they share none.

    Raises:
        InputError: the same seed was measured on other patients.
    """
    one, other = ({record.trial.seed: record for record in records} for records in (first, second))
    seeds = tuple(sorted(one.keys() & other.keys()))
    for seed in seeds:
        if one[seed].by_patient().keys() != other[seed].by_patient().keys():
            raise InputError(f"{one[seed].trial.path}: measured on other patients than {other[seed].trial.path}")
    if not seeds:
        return None
    patients = tuple(one[seeds[0]].by_patient())
    dice = [[record.by_patient() for record in map(of.__getitem__, seeds)] for of in (one, other)]
    values = [[[by_patient[patient] for patient in patients] for by_patient in of] for of in dice]
    return seeds, patients, 100 * np.array(values)


def _choices(records: Sequence[Record]) -> str:
    def cell(trials: Iterable[Trial]) -> str:
        wanted = set(trials)
        return _mean([record.dice for record in records if record.trial in wanted])

    every = all_trials()
    variants = [[name, cell(t for t in every if t.stage == "variants" and t.choice == name)] for name in VARIANTS]
    rates = [
        [
            TITLES[method], rate.removeprefix("lr_"),
            *(cell(t for t in every if (t.stage, t.method, t.choice, t.data) == ("rates", method, rate, data))
              for data in ("hippocampus", "nodules")),
        ]
        for method in METHODS
        for rate in rates_of(method)
    ]  # fmt: skip
    first = _table(["trainer, patch", "dice"], variants)
    return "\n".join(
        [first, _table(["method", "learning rate", "hippocampus", "nodules"], rates), INGREDIENT, _ingredients(records)]
    )


def _ingredients(records: Sequence[Record]) -> str:
    """The strong recipe with one thing changed, and what the change makes, paired by seed and patient."""
    rows = []
    for choice in (*INGREDIENTS, *INFERENCE):
        cells: list[str] = []
        for data in ("hippocampus", "nodules"):
            found = _of_ingredient(records, choice, data)
            pair = None if choice == STRONG else paired(found, _of_ingredient(records, STRONG, data))
            interval = None if pair is None else crossed_mean(pair).interval
            ends = "" if interval is None else f" ({interval[0]:+.1f} to {interval[1]:+.1f})"
            cells += [_mean([r.dice for r in found]), "–" if pair is None else f"{pair.mean():+.1f}{ends}"]
        rows.append([choice.replace("_", " "), *cells])
    return _table(["recipe", "hippocampus", "difference", "nodules", "difference"], rows)


def _of_ingredient(records: Sequence[Record], choice: str, data: str) -> list[Record]:
    wanted = ("ingredients", STRONG if choice in INFERENCE else choice, data)
    found = [r for r in records if (r.trial.stage, r.trial.choice, r.trial.data) == wanted]
    return [o for r in found if (o := r.with_inference(choice))] if choice in INFERENCE else found


def _effort(grid: Sequence[Record]) -> str:
    rows = []
    for data, method in product(DATA, METHODS):
        for minutes in (1, 2, 6, 20, 60):
            if found := [
                r.about for r in grid if (r.trial.data, r.trial.method, r.trial.minutes) == (data, method, minutes)
            ]:
                numbers = [f"{mean(about[key] for about in found):.0f}" for key in ("seconds", "steps", "parameters")]
                rows.append([NAMES[data], TITLES[method], minutes, *numbers])
    return _table(["data", "method", "minutes", "seconds used", "steps", "weights"], rows)


def _hardware(records: Sequence[Record]) -> str:
    versions = [record.about["versions"] for record in records]
    lines = []
    for name in ("processor", "torch", "nnunetv2", "threads"):
        known = sorted({version[name] for version in versions if name in version})
        lines.append(f"- {name}: {', '.join(known) or '–'}")
    return "\n".join(["### Hardware and versions\n", *lines, ""])


def _minutes(data: str, labels: int) -> list[int]:
    wanted = [t for t in all_trials() if (t.stage, t.data, t.labels) == ("grid", data, labels)]
    return sorted({trial.minutes for trial in wanted})


def _cell(grid: Sequence[Record], method: str, data: str, labels: int, minutes: int) -> list[Record]:
    key = (method, data, labels, minutes)
    return [r for r in grid if (r.trial.method, r.trial.data, r.trial.labels, r.trial.minutes) == key]


def _mean(values: Sequence[float]) -> str:
    if not values:
        return "–"
    spread = f" ± {stdev(values):.1f}" if len(values) > 1 else ""
    return f"{mean(values):.1f}{spread} ({len(values)})"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"
