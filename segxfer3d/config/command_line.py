"""Command-line checks for ``python -m monai.bundle run``.

MONAI takes any ``--key value`` and ignores the ones that no config knows; here such a key is refused before any
work starts. Everything in this module stays quiet when the process was not started by ``monai.bundle run`` (a
test, a labelling server or a federated client may load the same config).
"""

from __future__ import annotations

import importlib.util
import itertools
import logging
import os
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from segxfer3d.config import stopping
from segxfer3d.config.help import help_text
from segxfer3d.config.options import OptionInfo, load_table
from segxfer3d.config.short_errors import show_error
from segxfer3d.config.values import is_expression
from segxfer3d.errors import InputError, closest, installed_with

RUN_ARGUMENTS = (
    "run_id", "init_id", "final_id", "meta_file", "config_file", "logging_file", "tracking", "args_file",
    "workflow_name", "workflow_type", "properties_path",
)  # fmt: skip


def started_by_bundle(argv: Sequence[str] | None = None) -> bool:
    """Whether this process is ``python -m monai.bundle ...`` (torchrun's workers included)."""
    argv = sys.argv if argv is None else argv
    return len(argv) > 1 and Path(argv[0]).parts[-3:] == ("monai", "bundle", "__main__.py")


def started_by_bundle_run(argv: Sequence[str] | None = None) -> bool:
    """Whether this process is ``python -m monai.bundle run ...``."""
    argv = sys.argv if argv is None else argv
    return started_by_bundle(argv) and argv[1] == "run"


def argument(argv: Sequence[str], name: str) -> str:
    """What the command line says behind ``--name``; empty for nothing."""
    for index, word in enumerate(argv):
        if word == f"--{name}":
            return argv[index + 1] if index + 1 < len(argv) else ""
        if word.startswith(f"--{name}="):
            return word.partition("=")[2]
    return ""


def listed_files(argv: Sequence[str], name: str) -> list[str]:
    """The files that the command line names behind ``--name``, one or a list, as MONAI takes it."""
    text = argument(argv, name) or argument(argv, name.replace("_", "-"))
    if not text.startswith("["):
        return [text] if text else []
    from fire.parser import DefaultParseValue

    value = DefaultParseValue(text)
    return [str(item) for item in value] if isinstance(value, list) else [text]


def config_files(argv: Sequence[str]) -> list[str]:
    """The config files that the command line names, itself or in its ``--args_file``."""
    if files := listed_files(argv, "config_file"):
        return files
    named = arguments_of(argv).get("config_file") or []
    return [str(name) for name in ([named] if isinstance(named, str) else named)]


def files_of_run(argv: Sequence[str] | None = None) -> list[str]:
    """All files that say values of the run that this process is, the later ones winning; none where it is no run."""
    argv = sys.argv if argv is None else argv
    return [*config_files(argv), *listed_files(argv, "args_file")] if started_by_bundle_run(argv) else []


def arguments_of(argv: Sequence[str]) -> dict[str, Any]:
    """What the files behind ``--args_file`` hold, the later ones winning.

    Raises:
        InputError: a file is missing, or cannot be read.
    """
    arguments: dict[str, Any] = {}
    for file in listed_files(argv, "args_file"):
        arguments |= load_config(file, what="--args_file")
    return arguments


def load_config(file: str | os.PathLike[str], *, what: str = "bundle") -> dict[str, Any]:
    """One config, in JSON or YAML, that is called ``what`` where it cannot be read.

    Raises:
        InputError: it is missing, or cannot be read.
    """
    from monai.bundle import ConfigParser

    if not Path(file).is_file():
        listed = "; several are listed as \"['a.json','b.json']\"" if "," in str(file) else ""
        raise InputError(f"{what} {file}: no such file{listed}")
    try:
        content = ConfigParser.load_config_file(file)
    except Exception as error:  # the readers of JSON and YAML have their own kinds
        why = " ".join(str(error).split())
        raise InputError(f"{what} {file}: no JSON or YAML that can be read ({why})") from error
    if not isinstance(content, dict):
        raise InputError(f"{what} {file}: expected an object with the bundle's values, got {type(content).__name__}")
    return content


def merged_config(files: Sequence[str | os.PathLike[str]]) -> dict[str, Any]:
    """The configs (JSON or YAML) merged as MONAI merges them, the later ones winning.

    Raises:
        InputError: a file is missing, or cannot be read.
    """
    from monai.bundle import ConfigParser

    for file in files:
        load_config(file)
    merged: dict[str, Any] = ConfigParser.load_config_files([str(file) for file in files])
    return merged


def check_command_line(argv: Sequence[str], config: Mapping[str, Any], known: Collection[str] = ()) -> dict[str, str]:
    """Refuse overrides that would be ignored.

    Args:
        argv: the command line.
        config: the bundle, as its files say it.
        known: names of its options.

    Returns:
        the overrides as typed: key to value.

    Raises:
        InputError: an unknown key (with the nearest known one), a value that MONAI would drop or rewrite.
    """
    overrides: dict[str, str] = {}
    words = list(argv[2:])
    refuse_stray(words)
    index = 0
    while index < len(words):
        word = words[index]
        index += 1
        if not word.startswith("--"):
            continue  # `run RUN_ID`
        name, has_value, value = word[2:].partition("=")
        if not has_value and index < len(words) and not words[index].startswith("--"):
            value, has_value = words[index], "="
            index += 1
        name = name.replace("-", "_")
        if name in RUN_ARGUMENTS or name == "help":
            continue
        check_key(name, config, known)
        if not has_value:
            if isinstance(config.get(name), bool):
                raise InputError(f"--{name}: expected --{name} True or --{name} False")
            raise InputError(f"--{name}: a value is missing")
        if value in ("None", "null"):
            raise InputError(f"--{name} {value} would be ignored; to say none, write --{name} '$None'")
        check_value(name, value)
        if name in overrides:
            raise InputError(f"--{name}: given twice ({overrides[name]} and {value}); expected once")
        overrides[name] = value
    return overrides


def refuse_stray(words: Sequence[str]) -> None:
    """Refuse words that belong to no option, which MONAI takes for the ids of what it should run.

    Args:
        words: of a command line, behind ``run``; the first may be such an id.

    Raises:
        InputError: with how a list is written, where they are its numbers.
    """
    name, taken = "", [""]
    for index, word in enumerate(words):
        if word.startswith("--"):
            name, has_value, value = word.partition("=")
            taken = [value] if has_value else []
            continue
        taken.append(word)
        if len(taken) > 1 and index > 0:
            behind = itertools.takewhile(lambda other: not other.startswith("--"), words[index + 1 :])
            values = [*taken, *behind]
            numbers = name and all(re.fullmatch(r"-?[0-9.]+", value) for value in values)
            hint = f"; several are one value: {name} {','.join(values)}" if numbers else ""
            raise InputError(f"{word!r}: expected --name value{hint}")


def check_key(name: str, config: Mapping[str, Any], known: Collection[str] = ()) -> None:
    """Refuse a key that no config knows, or that stands there for MONAI's sake and follows another one.

    Raises:
        InputError: with the nearest known one.
    """
    alias = config.get(name)
    if isinstance(alias, str) and alias.startswith("@") and alias[1:] in (known or config):
        raise InputError(f"--{name}: this bundle takes --{alias[1:]} instead")
    parts = name.replace("#", "::").split("::")
    component = isinstance(config.get(name), Mapping) and "_target_" in config[name]
    if len(parts) == 1 and (name not in config or (component and name in load_table())):
        near = closest(name, sorted(known) or config)
        hint = f"did you mean --{near}?" if near else "--help lists the knobs"
        dotted = f" (write nested keys with ::, as in --{name.replace('.', '::')})" if "." in name else ""
        raise InputError(f"--{name}: no such knob in this bundle; {hint}{dotted}")
    node: Any = config
    for depth, part in enumerate(parts):
        inside = isinstance(node, Mapping) and part in node
        in_list = isinstance(node, list) and part.isdigit() and int(part) < len(node)
        last_of_section = depth == len(parts) - 1 and depth > 0 and isinstance(node, Mapping) and "_target_" in node
        if not (inside or in_list or last_of_section):
            raise InputError(f"--{name}: nothing called {'::'.join(parts[: depth + 1])!r} in this bundle")
        if inside:
            node = node[part]
        elif in_list:
            node = node[int(part)]


def check_value(name: str, value: Any) -> None:
    """Refuse a text that MONAI would rewrite.

    Raises:
        InputError: there is a ``#`` in it.
    """
    if isinstance(value, str) and "#" in value and not is_expression(value):
        raise InputError(f"--{name} {value}: MONAI rewrites '#' in a value; use a path without '#'")


def start(known: Mapping[str, OptionInfo] = {}, argv: Sequence[str] | None = None) -> dict[str, str]:
    """Check the command line of this process and install the short error display; ``--help`` ends here.

    Args:
        known: the options of the bundle.
        argv: the command line; by default this process's.

    Returns:
        the overrides as typed, empty where the process was not started by ``monai.bundle run``.

    Raises:
        InputError: what :func:`check_command_line` refuses.
    """
    argv = sys.argv if argv is None else argv
    shorten_errors(argv)
    if not started_by_bundle_run(argv):
        return {}
    arguments = arguments_of(argv)
    if not (files := config_files(argv)):
        raise InputError("no bundle named: --config_file names it")
    config = merged_config(files)
    if "--help" in argv or "-h" in argv:
        print(help_text(config, known))
        raise SystemExit(0)
    tracking = "mlflow" in (argument(argv, "tracking"), arguments.get("tracking"))
    if tracking and importlib.util.find_spec("mlflow") is None:
        raise InputError(f"--tracking mlflow: mlflow is not installed; {installed_with('mlflow')}")
    for name, value in arguments.items():
        if name not in RUN_ARGUMENTS:
            check_key(name, config, known)
            check_value(name, value)
    return check_command_line(argv, config, known)


def shorten_errors(argv: Sequence[str] | None = None) -> None:
    """From here on, a process that ``monai.bundle`` started shows errors in two lines, and stops as it is asked."""
    if started_by_bundle(argv):
        stopping.install()
        sys.excepthook = show_error
        logging.raiseExceptions = False  # on a full disk, every line of a log would print a trace of its own
