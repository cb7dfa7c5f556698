"""A search file: which knobs of one training are searched, in which ranges, towards which figure; checked.

A search file is a JSON object in the style of a study file (:mod:`segxfer3d.study.definition`)::

    {
     "name": "genesis",
     "description": "How to pretrain.",
     "parameters": {"dataset_dir": {"help": "a folder of CT volumes", "default": ""}},
     "config": "genesis_pretrain",
     "knobs": {"dataset_dir": "{dataset_dir}", "width": 8},
     "search": {
      "lr": {"low": 1e-4, "high": 1e-2, "log": true},
      "max_epochs": {"low": 5, "high": 40},
      "optimizer_name": {"choices": ["adam", "sgd"]}
     },
     "metric": "validation_loss", "direction": "minimize",
     "trials": 20, "seed": 0
    }

A range of two whole numbers is of whole numbers. The figure of a trial is that of ``metric`` in its ``metrics.jsonl``:
the best where its ``model.pt`` is that of the best epoch (knob ``keep``), else the last. Optuna's tree-structured
Parzen estimator suggests the settings; what it suggests depends on the seed, the trial's number and the trials before
it alone, so that a search that was stopped goes on as if it never had been.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segxfer3d.config.apart import apart_problems
from segxfer3d.files import digest
from segxfer3d.schema.kinds import shown, whole_problem
from segxfer3d.study import identity
from segxfer3d.study.bundles import read_bundle
from segxfer3d.study.definition import Bundle
from segxfer3d.study.documents import nearest
from segxfer3d.study.reading import Reader, begin

MOST_TRIALS = 100_000
MOST_SEED = 4_000_000  # each trial takes a seed of NumPy's of its own, of which a thousand times as many are there
_KEYS = ("name", "description", "parameters", "config", "knobs", "search", "metric", "direction", "trials", "seed")
_DIRECTIONS = ("minimize", "maximize")
_OF_SEARCH = {"output_dir": "the search's folder decides", "resume": "the search decides"}
# trials that are measured on other cases do not compare
_OF_DATA = ("split_seed", "pretrain_fraction", "validation_fraction", "test_fraction", "label_count", "label_fraction")


@dataclass(frozen=True)
class Range:
    """Values that a knob may take: ``choices``, or numbers from ``low`` to ``high``, both included."""

    low: float | int | None = None
    high: float | int | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()

    def suggest(self, trial: Any, name: str) -> Any:
        """Optuna's suggestion."""
        if self.choices:
            return trial.suggest_categorical(name, list(self.choices))
        whole = isinstance(self.low, int) and isinstance(self.high, int)
        return (trial.suggest_int if whole else trial.suggest_float)(name, self.low, self.high, log=self.log)


@dataclass(frozen=True)
class Search:
    """A search file, checked.

    Attributes:
        knobs: that all trials share; converted, paths absolute.
        space: knob -> range.
        metric: an entry of ``metrics.jsonl``.
        trials: how many, unless the command line says otherwise.
        seed: of the suggestions.
    """

    name: str
    bundle: Bundle
    knobs: Mapping[str, Any]
    space: Mapping[str, Range]
    metric: str
    direction: str
    trials: int
    seed: int

    def identity(self) -> str:
        """What the trials of one search have in common; not the metric, which is read from what they leave."""
        parts = identity.parts(self.bundle, self.knobs, ())
        space = {name: vars(values) for name, values in self.space.items()}
        return digest([parts, space, self.seed])


def read_search(file: Path, settings: Mapping[str, str] | None = None) -> Search:
    """Read and check a search file.

    Args:
        file: of the search, or the name of a shipped one.
        settings: name -> value of its parameters, as typed.

    Raises:
        InputError: everything that is wrong with it, at once.
    """
    reader, content = begin(
        file,
        "search",
        folder="tuning",
        keys=_KEYS,
        settings=settings,
        set_elsewhere=lambda name, _: _OF_SEARCH.get(name, ""),
    )
    bundle = read_bundle(reader, {key: content[key] for key in ("config",) if key in content}, "the search")
    if bundle is None:
        reader.refuse("search")
    assert bundle is not None
    knobs = reader.knobs(content.get("knobs", {}), "knobs", [bundle])
    space = {
        name: _range(reader, name, entry, bundle)
        for name, entry in reader.section(content.get("search", {}), "search").items()
    }
    if not space:
        reader.problems.append("search: nothing to search, expected a range for at least one knob")
    drawn = {name: next(filter(None, values.choices), values.low) for name, values in space.items()}
    reader.problems += [f"knobs and search: {why}" for why in apart_problems({**bundle.config, **knobs, **drawn})]
    if both := sorted(set(space) & set(knobs)):
        reader.problems.append(f"search.{both[0]}: expected in knobs or in search, found in both")
    direction = content.get("direction", "minimize")
    if direction not in _DIRECTIONS:
        reader.problems.append(f"direction: expected {' or '.join(_DIRECTIONS)}, got {shown(direction)}")
    metric = content.get("metric")
    if not isinstance(metric, str) or not metric:
        reader.problems.append(
            f"metric: expected an entry of metrics.jsonl, such as validation_loss; got {shown(metric)}"
        )
    numbers = {}
    for key, default, least, most in (("trials", 20, 1, MOST_TRIALS), ("seed", 0, 0, MOST_SEED)):
        numbers[key] = content.get(key, default)
        if why := whole_problem(numbers[key], least, most):
            reader.problems.append(f"{key}: {why}")
    reader.refuse("search")
    name = str(content.get("name", reader.file.stem))
    return Search(name, bundle, knobs, space, str(metric), direction, numbers["trials"], numbers["seed"])


def _range(reader: Reader, name: str, content: Any, bundle: Bundle) -> Range:
    """The range of one knob, its ends checked as values of that knob."""
    where = f"search.{name}"
    entry = reader.section(content, where)
    reader.keys(entry, where, ("low", "high", "log", "choices"))
    why = "trials would be measured on other cases" if name in _OF_DATA else reader.set_elsewhere(name, "search")
    if why:
        reader.problems.append(f"{where}: not searched; {why}")
        return Range()
    if name not in bundle.knobs:
        hint = nearest(name, sorted(bundle.knobs))
        reader.problems.append(f"{where}: no such knob in {bundle.name}{hint}")
        return Range()
    if "choices" in entry:
        choices = reader.section(entry["choices"], f"{where}.choices", list)
        if not choices or len(entry) > 1:
            reader.problems.append(f"{where}: expected low and high, or choices that are not empty")
        return Range(choices=tuple(reader.value(name, reader.insert(choice), "search", [bundle]) for choice in choices))
    low, high, log = (entry.get("low"), entry.get("high"), entry.get("log", False))
    numbers = [end for end in (low, high) if isinstance(end, (int, float)) and not isinstance(end, bool)]
    if len(numbers) < 2 or not isinstance(log, bool):
        reader.problems.append(f"{where}: expected numbers low and high (and log, true or false), or choices")
        return Range()
    for end in numbers:
        reader.value(name, end, "search", [bundle])
    if numbers[0] > numbers[1] or (log and numbers[0] <= 0):
        expected = "0 < low <= high, with log" if log else "low <= high"
        reader.problems.append(f"{where}: expected {expected}; got {numbers[0]:g} and {numbers[1]:g}")
    return Range(numbers[0], numbers[1], log)
