"""A study file: what is pretrained, what is transferred, on how many labels, how often; checked before anything runs.

A JSON object (or YAML); all names are made of letters, digits and ``._+-``::

    {
     "name": "pets",
     "description": "What is learned from unlabeled pets?",
     "parameters": {"pets_dir": "the folder of Oxford-IIIT Pets", "epochs": {"help": "of pretraining", "default": 100}},
     "common": {"dataset": "oxford_pets", "dataset_dir": "{pets_dir}", "width": 64},
     "pretrain": {"simclr": {"config": "simclr_pretrain", "knobs": {"max_epochs": "{epochs}"}}},
     "finetune": {"config": "unet2d_finetune", "knobs": {"max_epochs": 100}},
     "arms": {"random": {"init": "random"}, "simclr": {"init": "encoder", "pretrain": "simclr", "scenario": "2"}},
     "data": {"pets": {"pretrain": {}, "finetune": {}}},
     "budgets": [{"label_fraction": 0.01}, {"label_count": 200}, {}],
     "seeds": [0, 1, 2]
    }

``config`` is the name of a bundle: beside the study file, in the folder above it, or shipped; or a path from the study
file. One that is not shipped has to lie beside the file, or be trusted (:mod:`segxfer3d.study.trust`). The same in YAML
is read alike.
Knobs are the bundle's top-level ones; later ones win: ``common`` (of every training, so every bundle has to know them),
``data`` (may be left out), the pretraining or fine-tuning, the arm (``"knobs"`` in it), the budget, the seed. A budget
is a number of labels, a share of them, or (neither) all; other knobs may stand beside it, and ``"seeds"``, some of the
study's, where one budget is to be repeated less often than the others. An arm that loads something
has a ``pretrain``, or a ``checkpoint`` from elsewhere. A value ``"{x}"`` is the parameter x; a parameter without a
default has to be given. ``published`` may hold a list of ``{"arm", "data", "budget_name", "mean", "std"}`` below
``"values"``, with whatever else explains it, for the report to show beside. Arms of different recipes (the option
``recipe``) are refused unless ``"mixed_recipes": true`` says that they are meant. The knob ``plan`` may name a file of
``segxfer3d plan --json`` by its path from the study file, see :mod:`segxfer3d.study.plan_files`. ``margin`` is the
largest difference of dice, in percentage points, that does not matter: the report calls arms equivalent within it.

``"pretrain_seeds": [0, 1, 2]`` repeats every pretraining with these seeds, so that verdicts are on the pretext and not
on one checkpoint. With ``"pretrain_design": "nested"`` (the default) the seeds of fine-tuning take them in turn, so
their number is a multiple of it; with ``"crossed"`` every seed starts from each of them.

``"folds": 5`` makes each fine-tuning five, each of which tests one fold and trains on the others; what pretrains on the
same data is made for each fold, too, unless ``pretrain_fraction`` sets its patients apart. Of a ``split_file`` with
folds it is their number. The report takes the folds of one seed together, so that each case is measured once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from segxfer3d import files
from segxfer3d.study.code import code_version

NESTED, CROSSED = "nested", "crossed"


@dataclass(frozen=True)
class Bundle:
    """A config of the bundles: its top level, and the knobs that may be set."""

    name: str
    path: Path
    config: Mapping[str, Any]
    knobs: frozenset[str]

    @cached_property  # once for all trainings with it
    def digest(self) -> str:
        """Of what it says."""
        return files.digest({key: value for key, value in self.config.items() if key != "description"})

    @cached_property
    def code_version(self) -> str:
        """Of the modules that it runs, see :mod:`segxfer3d.study.code`."""
        return code_version(self.config)


@dataclass(frozen=True)
class Stage:
    """One pretraining, or the fine-tuning: a bundle and the knobs that are set."""

    bundle: Bundle
    knobs: Mapping[str, Any]


@dataclass(frozen=True)
class Arm:
    """How the network starts, and what else is done differently."""

    init: str
    pretrain: str | None
    checkpoint: str | None
    scenario: str
    knobs: Mapping[str, Any]


@dataclass(frozen=True)
class Budget:
    """How many labels: the name is part of folders' names, the value is what statistics sort by (1.0: all labels).

    ``seeds`` are its own, where it has fewer than the study; else None.
    """

    name: str
    value: float
    knobs: Mapping[str, Any]
    seeds: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Study:
    """A study file, checked; knobs are converted and paths absolute.

    Attributes:
        data: name -> knobs of pretraining and of fine-tuning.
        mixed_recipes: whether arms may have different recipes.
        margin: dice points that do not matter, for the report; None: what the report takes.
        pretrain_seeds: of every pretraining; empty: each is made once, with the seed of its bundle or its knobs.
        pretrain_design: how they meet the seeds of fine-tuning, :data:`NESTED` or :data:`CROSSED`.
        folds: that each fine-tuning is made for; None: it tests one part.
        amp: whether trainings compute in bf16 of which it says nothing; None: each chooses by its device.
    """

    name: str
    description: str
    file: Path
    parameters: Mapping[str, Any]
    common: Mapping[str, Any]
    pretrain: Mapping[str, Stage]
    finetune: Stage
    arms: Mapping[str, Arm]
    data: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]
    budgets: Sequence[Budget]
    seeds: Sequence[int]
    published: Mapping[str, Any] | None = None
    mixed_recipes: bool = False
    margin: float | None = None
    pretrain_seeds: Sequence[int] = ()
    pretrain_design: str = NESTED
    folds: int | None = None
    amp: bool | None = None

    def pretrainings_of(self, seed: int) -> Sequence[int | None]:
        """The seeds of the pretrainings that fine-tunings with a seed start from; None: it is not repeated."""
        if not self.pretrain_seeds:
            return [None]
        if self.pretrain_design == CROSSED:
            return list(self.pretrain_seeds)
        return [self.pretrain_seeds[self._places[seed] % len(self.pretrain_seeds)]]

    @cached_property
    def _places(self) -> Mapping[int, int]:
        return {seed: place for place, seed in enumerate(self.seeds)}
