"""Reading what a user wrote, so that all that is wrong with it is said at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segxfer3d.config.values import is_expression
from segxfer3d.errors import InputError, shortened
from segxfer3d.schema.kinds import shown
from segxfer3d.study import options, plan_files, references, trust
from segxfer3d.study.definition import Bundle
from segxfer3d.study.documents import find_document, nearest, read_object, read_parameters

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_PARAMETER = re.compile(r"\{(\w+)\}")


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
        problems = list(dict.fromkeys(self.problems))
        if len(problems) == 1:
            raise InputError(f"{what} {self.file}: {problems[0]}")
        if problems:
            listed = "\n".join(f"  {problem}" for problem in shortened(problems))
            raise InputError(f"{what} {self.file}: {len(problems)} things are wrong:\n{listed}")

    def section(self, content: Any, where: str, kind: type | tuple[type, ...] = dict) -> Any:
        """``content`` if it is of ``kind``, else an empty one, and a problem."""
        if isinstance(content, kind):
            return content
        expected = "an object" if kind is dict else "a list"
        self.problems.append(f"{where}: expected {expected}, got {shown(content)}")
        return {} if kind is dict else []

    def keys(self, content: Mapping[str, Any], where: str, known: Sequence[str]) -> None:
        """Refuse keys that nothing reads."""
        for key in content:
            if key not in known:
                self.problems.append(f"{where}: no key {shown(key)} is known{nearest(key, known)}")

    def names(self, content: Mapping[str, Any], where: str) -> None:
        """Refuse names that make no folder name."""
        self.problems += [
            f"{where}: {shown(n)} is no name (letters, digits and ._+-)" for n in content if not NAME.fullmatch(n)
        ]

    def knobs(self, content: Any, where: str, bundles: Sequence[Bundle]) -> dict[str, Any]:
        """Knobs that every one of ``bundles`` knows, with parameters put in and values converted."""
        knobs: dict[str, Any] = {}
        for name, value in self.section(content, where).items():
            ignorant = next((bundle for bundle in bundles if name not in bundle.knobs), None)
            if why := self.set_elsewhere(name, where):
                self.problems.append(f"{where}.{name}: not set here; {why}")
            elif ignorant is not None:
                hint = nearest(name, sorted(ignorant.knobs))
                self.problems.append(f"{where}.{name}: no such knob in {ignorant.name}{hint}")
            else:
                knobs[name] = self.value(name, self.insert(value), where, bundles)
        for name in knobs:
            if why := references.circle(name, knobs):
                self.problems.append(f"{where}.{name}: {why}")
        return knobs

    def insert(self, value: Any) -> Any:
        """The value, or the parameter that it names."""
        named = _PARAMETER.fullmatch(value) if isinstance(value, str) else None
        if named is None:
            return value
        if named[1] not in self.parameters:
            self.problems.append(f"{value}: no such parameter{nearest(named[1], list(self.parameters))}")
            return None
        return self.parameters[named[1]]

    def value(self, name: str, value: Any, where: str, bundles: Sequence[Bundle]) -> Any:
        """A knob's value in its type; left as they are are expressions of MONAI (``$...``), where they are trusted, and
        names of other knobs of the bundles (``@...``)."""
        why = trust.knob_problem(name, value, self.file.absolute().parent) or references.problem(name, value, bundles)
        if why:
            self.problems.append(f"{where}.{name}: {why}")
            return value
        if is_expression(value):
            return value
        option = options.table()[name]
        try:
            converted = options.convert(name, value)
        except (ValueError, TypeError, OverflowError):
            self.problems.append(f"{where}.{name}: expected {option.expected}, got {shown(value)}")
            return value
        if name == plan_files.PLAN and plan_files.names_file(converted):
            path = plan_files.find(converted, self.file.parent)
            if why := plan_files.problem(path):
                self.problems.append(f"{where}.{name}: {why}")
            return str(path)
        if option.limits.path in ("file", "folder") and converted:
            converted = str(Path(converted).absolute())
            if not Path(converted).exists():
                self.problems.append(f"{where}.{name}: no such {option.limits.path}: {value}")
        return converted


def begin(
    file: Path,
    what: str,
    *,
    folder: str,
    keys: Sequence[str],
    settings: Mapping[str, str] | None,
    set_elsewhere: Callable[[str, str], str],
) -> tuple[Reader, dict[str, Any]]:
    """Find a file and read its parameters; what it says beside them is still to be read.

    Args:
        file: as typed: a path, or the name of a shipped one.
        what: it is called: "study", "search".
        folder: of the shipped ones, below that of the bundles.
        keys: that it may have.
        settings: name -> value of its parameters, as typed.
        set_elsewhere: see :class:`Reader`.

    Returns:
        the reader of the file, and the file's content.

    Raises:
        InputError: no such file, no object in it, or parameters that are missing or unknown.
    """
    file = find_document(file, what, folder)
    content = read_object(file, what)
    parameters = read_parameters(what, file, content.get("parameters", {}), settings or {})
    reader = Reader(file, parameters, set_elsewhere)
    reader.keys(content, f"the {what}", keys)
    return reader, content
