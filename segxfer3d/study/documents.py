"""Files that a user writes: studies and searches, in JSON or YAML, beside them or among the shipped ones."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segxfer3d.config.shipped import ENDINGS, shipped_folder
from segxfer3d.documents import text_of
from segxfer3d.errors import InputError, closest
from segxfer3d.schema.kinds import OBJECT, refuse, shown
from segxfer3d.schema.parsing import TOO_DEEP, check, once, parse


def nearest(name: str, known: Sequence[str]) -> str:
    """``; did you mean ...?``, or which there are."""
    if near := closest(name, known):
        return f"; did you mean {near}?"
    return f"; expected one of {', '.join(known)}" if 0 < len(known) <= 12 else ""


def find_document(file: Path, what: str, folder: str) -> Path:
    """A file by its path, or by the name of a shipped one.

    Args:
        file: as typed.
        what: it is called, for the message.
        folder: of the shipped ones, below that of the bundles.

    Raises:
        InputError: no file, and no shipped one, has this name.
    """
    if file.is_file():
        return file
    if len(file.parts) == 1 and file.suffix not in ENDINGS:
        shipped = sorted(path for path in (shipped_folder() / folder).glob("*") if path.suffix in ENDINGS)
        for path in shipped:
            if path.stem == file.name:
                return path
        names = [path.stem for path in shipped]
        raise InputError(f"{what} {file}: no such file, and none of that name is shipped{nearest(file.name, names)}")
    return file


def read_object(file: Path, what: str) -> dict[str, Any]:
    """The object in a JSON or YAML file that is called ``what``.

    Raises:
        InputError: there is none.
    """
    form = "YAML" if file.suffix in (".yaml", ".yml") else "JSON"
    try:
        text = text_of(file)
        content: dict[str, Any] = parse_yaml(text) if form == "YAML" else parse(text)
        refuse(OBJECT, content)
    except ValueError as error:
        raise InputError(f"{what} {file}: not a {form} file that can be read ({error})") from error
    return content


def _number(loader: Any, node: Any) -> float:
    return float(loader.construct_scalar(node))


def parse_yaml(text: str) -> Any:
    """The content of a YAML text, as JSON would mean it: 1e-3 is a number, ``no`` a text, and every key a text.

    Raises:
        ValueError: it is no YAML.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """YAML 1.2, where only what JSON has is more than text."""

        yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  (not the parent's)

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode):
                    key.tag = "tag:yaml.org,2002:str"
            once([(key.value, None) for key, _ in node.value if isinstance(key, yaml.ScalarNode)])
            return super().construct_mapping(node, deep)

    for tag, pattern in (
        ("null", r"null|~|"), ("bool", r"true|false|True|False"), ("int", r"[-+]?(0|[1-9][0-9]*)"),
        ("float", r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?"),
    ):  # fmt: skip
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), None)
    Loader.add_constructor("tag:yaml.org,2002:float", _number)
    try:
        content = yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    check(content)
    return content


def read_parameters(what: str, file: Path, declared: Any, settings: Mapping[str, str]) -> dict[str, Any]:
    """The parameters that a file called ``what`` declares: as typed, or by default.

    Raises:
        InputError: one is not declared, or has neither.
    """
    if not isinstance(declared, dict):
        raise InputError(f"{what} {file}: parameters: expected an object, got {shown(declared)}")
    values: dict[str, Any] = {}
    for name, declaration in declared.items():
        if isinstance(declaration, dict) and "default" in declaration:
            values[name] = declaration["default"]
    for name, text in settings.items():
        if name not in declared:
            raise InputError(f"--set {name}={text}: the {what} has no such parameter{nearest(name, list(declared))}")
        try:
            values[name] = parse({"True": "true", "False": "false", "None": "null"}.get(text, text))
        except ValueError:
            values[name] = text
    if missing := [name for name in declared if name not in values]:
        listed = "\n".join(f"  --set {n}=...  {_help(declared[n])}" for n in missing)
        raise InputError(f"{what} {file}: give its parameters on the command line:\n{listed}")
    return values


def _help(what: Any) -> str:
    return str(what.get("help", "") if isinstance(what, dict) else what)
