"""Options: every value that a user may turn, typed, with its limits, default and help in one place.

A group is a frozen dataclass whose fields are made by :func:`option`; it checks its values when it is made, from Python
(``Training(lr=1e-3)``) as from a bundle. A bundle names the groups that it takes once, in a call of
:func:`~segxfer3d.config.reading.read`. Nothing here needs torch.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from segxfer3d.config.apart import apart_problems
from segxfer3d.config.values import Limits, convert, expected
from segxfer3d.errors import InputError

_KEY = "segxfer3d.option"
SHIPPED_TABLE = "options.json"

GroupT = TypeVar("GroupT", bound="Group")


@dataclass(frozen=True)
class OptionInfo:
    """What is known of an option, as ``options.json`` holds it.

    Attributes:
        name: as it is typed, without the dashes.
        type: of its value, as its annotation spells it, such as ``int | None``.
        default: where a bundle says nothing else.
        help: what it means.
        limits: what it may be.
        changes_result: False for what changes nothing of what is computed, but for rounding on another device.
        tells_arms: False for what makes no two arms of a study: what is drawn, where files are, how fast it goes.
    """

    name: str
    type: str
    default: Any
    help: str
    limits: Limits
    changes_result: bool = True
    tells_arms: bool = True

    @property
    def expected(self) -> str:
        """What a value should be, in words."""
        return expected(self.type, self.limits)

    @property
    def is_path(self) -> bool:
        """Whether it names a file or a folder."""
        return self.limits.path != ""

    def convert(self, value: Any) -> Any:
        """The value in the option's type.

        Raises:
            ValueError, TypeError: it is none that the option allows.
        """
        return convert(self.type, self.limits, value)


def option(
    default: Any,
    help: str,
    *,
    choices: Sequence[str] = (),
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    multiple: int = 1,
    path: str = "",
    pattern: bool = False,
    empty: bool = True,
    text: str = "",
    form: str = "",
    changes_result: bool = True,
    tells_arms: bool = True,
) -> Any:
    """A field of a group of options; its type is the field's annotation.

    Args:
        default: where a bundle says nothing else.
        help: what it means, in a line.
        choices: all values that a text may have.
        least, most: limits that a number may reach.
        above, below: limits that it may not reach.
        multiple: of which a whole number has to be one.
        path: ``file``, ``folder`` or ``place`` (either), where a text names one.
        pattern: the text is a regular expression.
        empty: whether a text may be empty.
        text: what is expected, in words, where the limits do not say it well.
        form: a regular expression that all of a text fits, unless it is empty.
        changes_result, tells_arms: see :class:`OptionInfo`.
    """
    limits = Limits(tuple(choices), least, most, above, below, multiple, path, pattern, empty, text, form)
    meta = {"help": help, "limits": limits, "changes_result": changes_result, "tells_arms": tells_arms}
    return dataclasses.field(default=default, metadata={_KEY: meta})


@dataclass(frozen=True)
class Group:
    """Base of all groups: values are converted to their types and checked.

    Raises:
        InputError: values that are not allowed, all of them at once.
    """

    def __post_init__(self) -> None:
        problems = []
        for info in infos(type(self)).values():
            value = getattr(self, info.name)
            try:
                object.__setattr__(self, info.name, info.convert(value))
            except (ValueError, TypeError, OverflowError):
                problems.append(f"{info.name}: expected {info.expected}, got {value!r}")
        if not problems:
            problems += apart_problems({name: getattr(self, name) for name in infos(type(self))}) + self.problems()
        if problems:
            raise InputError("; ".join(problems))

    def problems(self) -> list[str]:
        """What is wrong between the values of a group, each of which is allowed; nothing by default."""
        return []


def infos(group: type[Group]) -> dict[str, OptionInfo]:
    """The options of a group, by name."""
    return _infos(typing.cast(Any, group))


@cache
def _infos(group: Any) -> dict[str, OptionInfo]:
    hints = typing.get_type_hints(group)
    known = {}
    for field in dataclasses.fields(group):
        meta = field.metadata[_KEY]
        known[field.name] = OptionInfo(field.name, _spelled(hints[field.name]), field.default, **meta)
    return known


def _spelled(hint: Any) -> str:
    """An annotation as text: ``int | None``, ``tuple[float, float, float]``."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return " | ".join(_spelled(part) for part in typing.get_args(hint))
    if hint is type(None):
        return "None"
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint)


class Options:
    """The groups of options that one job takes, filled.

    ``options[Training].lr`` is checked by a type checker; ``options.values`` are all of them by name.

    Args:
        job: name of the bundle.
        groups: filled ones.
        typed: the overrides of the command line, as typed.
        by_hand: names of those that somebody set: the bundle, as it was run, has a value and no expression.
        components: what else of the bundle makes the result, as written: name to loss, optimizer, data and so on.
        steps: what the bundle does, as written: its lists ``imports``, ``initialize``, ``run`` and ``finalize``.
    """

    def __init__(
        self,
        job: str,
        groups: Iterable[Group],
        typed: Mapping[str, str] | None = None,
        by_hand: Iterable[str] = (),
        components: Mapping[str, Any] | None = None,
        steps: Mapping[str, Any] | None = None,
    ) -> None:
        self.job = job
        self.by_hand = frozenset(by_hand)
        self._groups: dict[Any, Any] = {type(group): group for group in groups}
        self.typed = dict(typed or {})
        self.components = dict(components or {})
        self.steps = dict(steps or {})

    def __getitem__(self, group: type[GroupT]) -> GroupT:
        filled: GroupT | None = self.find(group)
        if filled is None:
            raise KeyError(f"the job {self.job} takes no options of {group.__name__}")
        return filled

    def find(self, group: type[GroupT]) -> GroupT | None:
        """A group, or None where the job does not take it."""
        filled: GroupT | None = self._groups.get(group)
        return filled

    @property
    def values(self) -> dict[str, Any]:
        """Name to value of all options, as JSON has them (lists, no tuples)."""
        merged: dict[str, Any] = {}
        for group in self._groups.values():
            for name in infos(type(group)):
                value = getattr(group, name)
                merged[name] = list(value) if isinstance(value, tuple) else value
        return merged

    def is_asked(self, name: str, usual: Any = None) -> bool:
        """Whether somebody set an option: typed it, or gave it another value than the usual one.

        Args:
            name: of an option of the job.
            usual: its value where nobody sets it; None: its default.
        """
        default = self.infos()[name].default if usual is None else usual
        return name in self.typed or self.values[name] != (list(default) if isinstance(default, tuple) else default)

    def infos(self) -> dict[str, OptionInfo]:
        """What is known of all options of the job, by name."""
        return {name: info for group in self._groups for name, info in infos(group).items()}


def differences(before: Mapping[str, Any], options: Options) -> list[str]:
    """What makes the options of an earlier run those of another run than ``options`` mean, in words.

    Paths are compared from the working directory; what changes no result is passed over.
    """
    known, changed = options.infos(), []
    for name, value in options.values.items():
        if name not in before or not known[name].changes_result or before[name] == value:
            continue
        if known[name].is_path and before[name] and value and Path(before[name]).resolve() == Path(value).resolve():
            continue
        changed.append(f"{name} {_shown(before[name])}, not {_shown(value)}")
    return changed


def _shown(value: Any) -> str:
    return "none" if value in (None, "") else str(value)


def as_table(groups: Iterable[type[Group]]) -> dict[str, Any]:
    """The content of ``options.json``: every option of the groups, by name.

    Raises:
        InputError: two groups have options of one name that are not the same.
    """
    table: dict[str, Any] = {}
    for group in groups:
        for name, info in infos(group).items():
            entry = asdict(info)
            del entry["name"]
            entry["limits"] = {key: value for key, value in entry["limits"].items() if value != getattr(Limits(), key)}
            entry = json.loads(json.dumps(entry))
            if table.setdefault(name, entry) != entry:
                raise InputError(f"option {name}: {group.__name__} has another one of this name than other groups")
    return dict(sorted(table.items()))


@cache
def load_table(path: Path | None = None) -> Mapping[str, OptionInfo]:
    """What is known of all options of the shipped bundles, from ``options.json``; imports no group.

    Raises:
        InputError: the file is missing or damaged.
    """
    from segxfer3d.config.shipped import shipped_folder

    path = path or shipped_folder() / SHIPPED_TABLE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {
            name: OptionInfo(name, **{**entry, "limits": Limits.from_dict(entry["limits"])})
            for name, entry in content.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path}: the table of options cannot be read ({error}); install segxfer3d again") from error
