"""Simulate studies that repeat their pretraining, judge them by the report's own functions, and write what came out.

``python scripts/pretraining_simulation.py [--studies 2000]`` writes ``docs/results/pretrainings.json`` and the page
``docs/results/pretrainings.md`` beside it; ``--page`` writes the page alone. Scores are in percentage points; the
encoder is in truth as good as ``random``, so every "better" or "worse" is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from simulations import command

from segxfer3d.report.results import FAR, MARGIN
from segxfer3d.statistics.compare import compare
from segxfer3d.statistics.scores import ScoreTable
from segxfer3d.statistics.verdict import judge
from segxfer3d.study.definition import CROSSED, NESTED

OUTPUT = Path(__file__).parents[1] / "docs" / "results" / "pretrainings.json"
STUDIES = 2000
LEVEL = 60.0  # mean score
# between pretrainings, seeds, patients; of pretraining x seed, pretraining x patient, seed x patient; of the rest
SPREADS = (
    (0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 8.0),
    (0.0, 3.0, 5.0, 0.0, 0.0, 0.0, 8.0),
    (3.0, 3.0, 5.0, 2.0, 3.0, 3.0, 8.0),
    (6.0, 3.0, 5.0, 3.0, 3.0, 3.0, 8.0),
    (3.0, 6.0, 5.0, 5.0, 2.0, 2.0, 8.0),
)
SIZES = {CROSSED: ((3, 3, 20), (3, 5, 20), (5, 5, 20), (3, 5, 65)), NESTED: ((3, 6, 20), (5, 5, 20), (5, 10, 65))}


@dataclass(frozen=True)
class Setting:
    """How simulated studies are made: standard deviations of a difference, and how many there are of each."""

    design: str
    spread: tuple[float, ...]
    pretrainings: int
    seeds: int
    patients: int


def all_settings() -> list[Setting]:
    """Those of the page."""
    return [Setting(design, s, *size) for design, sizes in SIZES.items() for s, size in product(SPREADS, sizes)]


def made_study(rng: np.random.Generator, setting: Setting) -> ScoreTable:
    """The scores of a study of ``random`` and an encoder whose pretraining is repeated, in truth alike."""
    several, seeds, patients = setting.pretrainings, setting.seeds, setting.patients
    pairs = (
        [(r, s) for r in range(several) for s in range(seeds)]
        if setting.design == CROSSED
        else sorted((s % several, s) for s in range(seeds))
    )
    r, s = (np.array([pair[k] for pair in pairs]) for k in (0, 1))

    def drawn(*shape: int) -> NDArray[np.float64]:
        return rng.standard_normal(shape)

    of_r, of_s, of_p, rs, rp, sp, rest = setting.spread
    difference = (
        of_r * drawn(several, 1)[r] + of_s * drawn(seeds, 1)[s] + of_p * drawn(1, patients)
        + rs * drawn(len(pairs), 1) + rp * drawn(several, patients)[r] + sp * drawn(seeds, patients)[s]
        + rest * drawn(len(pairs), patients)
    )  # fmt: skip
    random = LEVEL + 15 * drawn(1, patients) + 3 * drawn(seeds, 1)
    names = tuple(f"p{k}" for k in range(patients))
    return ScoreTable(
        budget=5,
        arms=("random", "encoder"),
        seeds=tuple(s.tolist()),
        cases=names,
        patients=names,
        values=np.stack([random[s], random[s] + difference]),
        pretrainings=tuple(r.tolist()),
        repeated=frozenset({"encoder"}),
    )


def simulate(setting: Setting, studies: int) -> dict[str, float]:
    """What the report's functions say: shares of intervals that hold, and of wrong calls, in [0, 1].

    ``checkpoint`` is the share of intervals that would hold if the pretraining were taken for one checkpoint, over
    seeds and patients alone: what a study that does not repeat it says of the pretext.
    """
    rng = np.random.default_rng([len(setting.design), *map(round, setting.spread), setting.pretrainings, setting.seeds])
    held = wrong = narrow = 0
    for _ in range(studies):
        table = made_study(rng, setting)
        (pair,) = compare(table, [("encoder", "random")], far=FAR, loading={"encoder": 1})
        assert pair.interval is not None
        held += pair.interval[0] <= 0 <= pair.interval[1]
        wrong += judge(pair, MARGIN).kind in ("better", "worse")
        first = [k for k, each in enumerate(table.pretrainings) if each == 0 or setting.design == NESTED]
        alone = ScoreTable(
            5, table.arms, tuple(table.seeds[k] for k in first), table.cases, table.patients, table.values[:, first]
        )
        (pair,) = compare(alone, [("encoder", "random")], loading={"encoder": 1})
        assert pair.interval is not None
        narrow += pair.interval[0] <= 0 <= pair.interval[1]
    return {"coverage": held / studies, "wrong": wrong / studies, "checkpoint": narrow / studies}


def page(records: Sequence[dict[str, Any]]) -> str:
    """The page, in Markdown."""
    lines = [HEAD.format(studies=records[0]["studies"]), ""]
    lines += ["| design | SD | pretrainings | seeds | patients | intervals that hold | called | as one checkpoint |"]
    lines += ["| --- | --- | --- | --- | --- | --- | --- | --- |"]
    for record in records:
        setting, found = record["setting"], record["found"]
        spread = ", ".join(f"{each:g}" for each in setting["spread"])
        numbers = [setting[name] for name in ("pretrainings", "seeds", "patients")]
        shares = [f"{100 * found[name]:.1f}" for name in ("coverage", "wrong", "checkpoint")]
        lines.append(f"| {' | '.join(map(str, [setting['design'], spread, *numbers, *shares]))} |")
    return "\n".join([*lines, ""])


HEAD = """# Repeated pretrainings: how often verdicts are wrong

Written by `python scripts/pretraining_simulation.py` from [pretrainings.json](pretrainings.json). Each row is {studies}
simulated studies of two arms that are in truth alike, one of which repeats its pretraining; they are judged by the
functions that a report calls. All shares are percent.

- design: nested: each seed of fine-tuning starts from one of the pretrainings; crossed: from each of them.
- SD: standard deviations of a difference, in dice points: between pretrainings, seeds, patients; of pretraining x seed,
  pretraining x patient, seed x patient; of the rest.
- intervals that hold: of the 95 % intervals for the pretext. Called: better or worse, wrongly.
- as one checkpoint: intervals that hold if pretrainings are not a factor (crossed: the first one alone, over its seeds;
  nested: seeds taken as they come). What a study with one pretraining says of a pretext holds no more often than that.

Crossed intervals are wide where three pretrainings or seeds are all there is: three main effects are each known by two
degrees of freedom, and none of them is given away."""


def main() -> None:
    """Simulate, and write both files."""
    command(__doc__, OUTPUT, studies=STUDIES, settings=all_settings(), simulate=simulate, page=page)


if __name__ == "__main__":
    main()
