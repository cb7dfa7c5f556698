"""Reading a study file: everything that is wrong with it is said at once, before anything runs."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segxfer3d.config.initializations import INITIALIZATIONS, SCENARIOS, needs_checkpoint
from segxfer3d.config.knobs import KNOBS
from segxfer3d.errors import InputError
from segxfer3d.study.definition import Arm, Budget, Bundle, Stage, Study

PATHS = ("dataset_dir", "extra_dataset_dir", "checkpoint")
_KEYS = (
    "name", "description", "parameters", "common", "pretrain", "finetune", "arms", "data", "budgets", "seeds",
    "published",
)  # fmt: skip
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_PARAMETER = re.compile(r"\{(\w+)\}")
# set trial by trial, not by knobs
_OF_TRIALS = {
    "output_dir": "the study's folder decides",
    "resume": "the study decides",
    "init": 'an arm has its own "init"',
    "checkpoint": 'an arm has its own "pretrain" or "checkpoint"',
}
_LABELS = ("label_count", "label_fraction")


@dataclass
class Reader:
    """Checks as it reads; all that is wrong comes together.

    Attributes:
        file: that is read; bundles are looked for beside it.
        parameters: name -> value.
        set_elsewhere: (knob, part of the file) -> why that knob is not set there; empty where it is.
        problems: what is wrong so far.
    """

    file: Path
    parameters: Mapping[str, Any]
    set_elsewhere: Callable[[str, str], str]
    problems: list[str] = field(default_factory=list)

    def refuse(self, what: str) -> None:
        """Raise what is wrong, all of it.

        Raises:
            InputError: something is.
        """
        if self.problems:
            listed = "\n".join(f"  {problem}" for problem in dict.fromkeys(self.problems))
            raise InputError(f"{what} {self.file}: {len(set(self.problems))} things are wrong:\n{listed}")

    def section(self, content: Any, where: str, kind: type | tuple[type, ...] = dict) -> Any:
        """``content`` if it is of ``kind``, else an empty one, and a problem."""
        if isinstance(content, kind):
            return content
        expected = "an object" if kind is dict else "a list"
        self.problems.append(f"{where}: expected {expected}, got {content!r}")
        return {} if kind is dict else []

    def keys(self, content: Mapping[str, Any], where: str, known: Sequence[str]) -> None:
        """Refuse keys that nothing reads."""
        for key in content:
            if key not in known:
                self.problems.append(f"{where}: no key {key!r} is known{nearest(key, known)}")

    def names(self, content: Mapping[str, Any], where: str) -> None:
        """Refuse names that make no folder name."""
        self.problems += [
            f"{where}: {n!r} is no name (letters, digits and ._+-)" for n in content if not _NAME.fullmatch(n)
        ]

    def knobs(self, content: Any, where: str, bundles: Sequence[Bundle]) -> dict[str, Any]:
        """Knobs that every one of ``bundles`` knows, with parameters put in and values converted."""
        made: dict[str, Any] = {}
        for name, given in self.section(content, where).items():
            ignorant = next((bundle for bundle in bundles if name not in bundle.knobs), None)
            if why := self.set_elsewhere(name, where):
                self.problems.append(f"{where}.{name}: not set here; {why}")
            elif ignorant is not None:
                hint = nearest(name, sorted(ignorant.knobs))
                self.problems.append(f"{where}.{name}: no such knob in {ignorant.name}{hint}")
            else:
                made[name] = self.value(name, self.insert(given), where)
        return made

    def insert(self, value: Any) -> Any:
        """The value, or the parameter that it names."""
        named = _PARAMETER.fullmatch(value) if isinstance(value, str) else None
        if named is None:
            return value
        if named[1] not in self.parameters:
            self.problems.append(f"{value}: no such parameter{nearest(named[1], list(self.parameters))}")
            return None
        return self.parameters[named[1]]

    def value(self, name: str, value: Any, where: str) -> Any:
        """A knob's value in its type; expressions of MONAI (``$...``) are left as they are."""
        if isinstance(value, str) and value.startswith(("$", "@", "%")):
            return value
        try:
            converted = KNOBS[name].convert(value)
        except (ValueError, TypeError, re.error):
            if value is not None or "none" not in KNOBS[name].expected:
                self.problems.append(f"{where}.{name}: expected {KNOBS[name].expected}, got {value!r}")
            return value
        if name in PATHS and converted:
            converted = str(Path(converted).absolute())
            if not Path(converted).exists():
                self.problems.append(f"{where}.{name}: no such {'file' if name == 'checkpoint' else 'folder'}: {value}")
        return converted


def _set_elsewhere(name: str, where: str) -> str:
    """Why a knob is not for this part of a study file; empty where it is."""
    if name in _LABELS and not where.startswith("budgets"):
        return "budgets say how many labels"
    if name == "seed" and "pretrain" not in where:
        return "seeds has the seeds of fine-tuning, a pretraining may have its own"
    return _OF_TRIALS.get(name, "")


def nearest(name: str, known: Sequence[str]) -> str:
    """``; did you mean ...?``, or which there are."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; expected one of {', '.join(known)}" if 0 < len(known) <= 12 else ""


def read_study(file: Path, given: Mapping[str, str] | None = None) -> Study:
    """Read and check a study file.

    Args:
        file: of the study.
        given: name -> value of its parameters, as typed.

    Raises:
        InputError: everything that is wrong with it, at once.
    """
    content = read_object(file, "study")
    reader = Reader(file, read_parameters("study", file, content.get("parameters", {}), given or {}), _set_elsewhere)
    reader.keys(content, "the study", _KEYS)
    study = _read(reader, content)
    reader.refuse("study")
    assert study is not None
    return study


def read_object(file: Path, what: str) -> dict[str, Any]:
    """The JSON object in a file that is called ``what``.

    Raises:
        InputError: there is none.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{what} {file}: not a JSON file that can be read ({error})") from error
    if not isinstance(content, dict):
        raise InputError(f"{what} {file}: expected an object")
    return content


def read_parameters(what: str, file: Path, declared: Any, given: Mapping[str, str]) -> dict[str, Any]:
    """The parameters that a file called ``what`` declares: as typed, or by default.

    Raises:
        InputError: one is not declared, or has neither.
    """
    if not isinstance(declared, dict):
        raise InputError(f"{what} {file}: parameters: expected an object, got {declared!r}")
    values: dict[str, Any] = {}
    for name, declaration in declared.items():
        if isinstance(declaration, dict) and "default" in declaration:
            values[name] = declaration["default"]
    for name, text in given.items():
        if name not in declared:
            raise InputError(f"--set {name}={text}: the {what} has no such parameter{nearest(name, list(declared))}")
        try:
            values[name] = json.loads({"True": "true", "False": "false", "None": "null"}.get(text, text))
        except ValueError:
            values[name] = text
    if missing := [name for name in declared if name not in values]:
        listed = "\n".join(f"  --set {n}=...  {_help(declared[n])}" for n in missing)
        raise InputError(f"{what} {file}: give its parameters on the command line:\n{listed}")
    return values


def _help(what: Any) -> str:
    return str(what.get("help", "") if isinstance(what, dict) else what)


def _read(reader: Reader, content: Mapping[str, Any]) -> Study | None:
    """The parts in turn; None where a bundle is missing, so that nothing more can be checked."""
    name = content.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        reader.problems.append(f"name: expected letters, digits and ._+-, got {name!r}")
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
    budgets = _budgets(reader, content.get("budgets"), finetune)
    return Study(
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
        seeds=_seeds(reader, content.get("seeds")),
        published=_published(reader, content.get("published"), list(arms), list(data), [b.name for b in budgets]),
    )


def read_bundle(reader: Reader, entry: Any, where: str) -> Bundle | None:
    """The bundle that ``"config"`` of an entry names; None, and a problem, where there is none."""
    entry = reader.section(entry, where)
    reader.keys(entry, where, ("config", "knobs"))
    name = entry.get("config")
    if not isinstance(name, str) or not name:
        reader.problems.append(f'{where}: expected "config", the name of a bundle')
        return None
    folder = reader.file.absolute().parent
    places = [folder / name] if name.endswith(".json") else [folder / f"{name}.json", folder.parent / f"{name}.json"]
    path = next((place.resolve() for place in places if place.is_file()), None)
    if path is None:
        there = sorted({p.stem for place in places for p in place.parent.glob("*.json")})
        reader.problems.append(f"{where}.config: no bundle {name!r}{nearest(name, there)}")
        return None
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        section = config["knobs"]
        # a knob that stands there for MONAI's sake follows another one
        knobs = {key for key in section if key in KNOBS and not str(config.get(key, "@")).startswith("@")}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reader.problems.append(f"{where}.config: {path} is no bundle with knobs ({error!r})")
        return None
    return Bundle(path.stem, path, config, frozenset(knobs))


def _stage(reader: Reader, entry: Mapping[str, Any], where: str, bundle: Bundle) -> Stage:
    return Stage(bundle, reader.knobs(entry.get("knobs", {}), f"{where}.knobs", [bundle]))


def _arms(reader: Reader, content: Any, pretrain: Sequence[str], finetune: Bundle) -> dict[str, Arm]:
    content = reader.section(content, "arms")
    reader.names(content, "arms")
    if len(content) < 2:
        reader.problems.append(f"arms: expected at least two to compare, got {len(content)}")
    arms = {}
    for name, given in content.items():
        where = f"arms.{name}"
        entry = reader.section(given, where)
        reader.keys(entry, where, ("init", "pretrain", "checkpoint", "scenario", "knobs"))
        init, source, checkpoint = entry.get("init"), entry.get("pretrain"), reader.insert(entry.get("checkpoint"))
        if init not in INITIALIZATIONS:
            hint = nearest(str(init), INITIALIZATIONS)
            reader.problems.append(f"{where}.init: no initialization {init!r}{hint}")
            continue
        if source is not None and source not in pretrain:
            reader.problems.append(f"{where}.pretrain: no pretraining {source!r}{nearest(str(source), pretrain)}")
        if (source is not None) + (checkpoint is not None) != needs_checkpoint(init):
            expected = 'either "pretrain" or "checkpoint"' if needs_checkpoint(init) else "none"
            reader.problems.append(f"{where}: init {init} expects {expected} to load from")
        if checkpoint is not None:
            checkpoint = reader.value("checkpoint", checkpoint, where)
        knobs = reader.knobs(entry.get("knobs", {}), f"{where}.knobs", [finetune])
        arms[name] = Arm(init, source, checkpoint, str(entry.get("scenario", SCENARIOS[init])), knobs)
    if unused := [name for name in pretrain if name not in {arm.pretrain for arm in arms.values()}]:
        reader.problems.append(f"pretrain: no arm starts from {', '.join(unused)}")
    return arms


def _data(
    reader: Reader, content: Any, pretrainers: Sequence[Bundle], finetune: Bundle
) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    content = reader.section(content, "data")
    reader.names(content, "data")
    if not content:
        reader.problems.append("data: expected at least one data set")
    made = {}
    for name, given in content.items():
        entry = reader.section(given, f"data.{name}")
        reader.keys(entry, f"data.{name}", ("pretrain", "finetune"))
        made[name] = (
            reader.knobs(entry.get("pretrain", {}), f"data.{name}.pretrain", pretrainers),
            reader.knobs(entry.get("finetune", {}), f"data.{name}.finetune", [finetune]),
        )
    return made


def _budgets(reader: Reader, content: Any, finetune: Bundle) -> list[Budget]:
    budgets: list[Budget] = []
    for index, given in enumerate(reader.section(content, "budgets", list)):
        knobs = reader.knobs(given, f"budgets[{index}]", [finetune])
        count, fraction = (knobs.get(name) for name in _LABELS)
        if count is not None and fraction is not None:
            reader.problems.append(f"budgets[{index}]: expected label_count or label_fraction, got both")
        name, value = ("all", 1.0)
        if isinstance(count, int):
            name, value = f"n{count}", float(count)
        elif isinstance(fraction, float):
            name, value = f"f{fraction:g}", fraction
        # the one that is not given may have a default in the bundle
        budgets.append(Budget(name, value, {**dict.fromkeys(_LABELS, None), **knobs}))
    if len({budget.value for budget in budgets}) < len(budgets):
        reader.problems.append("budgets: two of one value (1 label and all labels count as one, too)")
    if not budgets:
        reader.problems.append("budgets: the grid is empty, expected at least one; [{}] takes all labels")
    return budgets


def _seeds(reader: Reader, content: Any) -> list[int]:
    seeds = reader.section(content, "seeds", list)
    if not seeds:
        reader.problems.append("seeds: the grid is empty, expected at least one")
    if any(isinstance(seed, bool) or not isinstance(seed, int) or seed < 0 for seed in seeds):
        reader.problems.append(f"seeds: expected whole numbers of at least 0, got {seeds!r}")
    elif len(set(seeds)) < len(seeds):
        reader.problems.append(f"seeds: one is there twice: {seeds!r}")
    return list(seeds)


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
                reader.problems.append(f"published: no {what} {name!r}{nearest(str(name), known)}")
    return section
