"""Command-line checks for ``python -m monai.bundle run``, and short errors.

MONAI takes any ``--key value`` and ignores the ones that no config knows; here such a key is refused before any
work starts. Everything in this module stays quiet when the process was not started by ``monai.bundle run`` (a
test, a labelling server or a federated client may load the same config).
"""

from __future__ import annotations

import ast
import importlib.util
import logging
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from segxfer3d.config.options import OptionInfo
from segxfer3d.errors import STOPPED, InputError, closest

RUN_ARGUMENTS = (
    "run_id", "init_id", "final_id", "meta_file", "config_file", "logging_file", "tracking", "args_file",
)  # fmt: skip


# a process that is not the first waits so long before it shows an error: the first one mostly finds the same, and
# torchrun ends all others when one has failed
SECONDS_BEHIND = 10.0

_hint = ""


def set_hint(text: str) -> None:
    """What a user who stops the process with Ctrl-C should know; empty for nothing."""
    global _hint
    _hint = text


def started_by_bundle_run(argv: Sequence[str] | None = None) -> bool:
    """Whether this process is ``python -m monai.bundle run ...`` (torchrun's workers included)."""
    argv = sys.argv if argv is None else argv
    return len(argv) > 1 and Path(argv[0]).parts[-3:] == ("monai", "bundle", "__main__.py") and argv[1] == "run"


def argument(argv: Sequence[str], name: str) -> str:
    """What the command line says behind ``--name``; empty for nothing."""
    for index, word in enumerate(argv):
        if word == f"--{name}":
            return argv[index + 1] if index + 1 < len(argv) else ""
        if word.startswith(f"--{name}="):
            return word.partition("=")[2]
    return ""


def config_files(argv: Sequence[str]) -> list[str]:
    """The config files that the command line names."""
    value = argument(argv, "config_file") or argument(argv, "config-file")
    if value.startswith("["):
        return [str(item) for item in ast.literal_eval(value)]
    return [value] if value else []


def merged_config(files: Sequence[str | os.PathLike[str]]) -> dict[str, Any]:
    """The configs (JSON or YAML) merged as MONAI merges them, the later ones winning.

    Raises:
        InputError: a file is missing, or cannot be read.
    """
    from monai.bundle import ConfigParser

    for file in files:
        if not Path(file).is_file():
            raise InputError(f"bundle {file}: no such file")
        try:
            content = ConfigParser.load_config_file(file)
        except Exception as error:  # the readers of JSON and YAML have their own kinds
            raise InputError(f"bundle {file}: no JSON or YAML that can be read ({error})") from error
        if not isinstance(content, dict):
            raise InputError(
                f"bundle {file}: expected an object with the bundle's values, got {type(content).__name__}"
            )
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
    index = 0
    while index < len(words):
        word = words[index]
        index += 1
        if not word.startswith("--"):
            if overrides or index > 1:
                raise InputError(f"{word!r}: expected --name value")
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
        if "#" in value and not value.startswith(("$", "@", "%")):
            raise InputError(f"--{name} {value}: MONAI rewrites '#' in a value; use a path without '#'")
        if name in overrides:
            raise InputError(f"--{name}: given twice ({overrides[name]} and {value}); expected once")
        overrides[name] = value
    return overrides


def check_key(name: str, config: Mapping[str, Any], known: Collection[str] = ()) -> None:
    """Refuse a key that no config knows, or that stands there for MONAI's sake and follows another one.

    Raises:
        InputError: with the nearest known one.
    """
    alias = config.get(name)
    if isinstance(alias, str) and alias.startswith("@") and alias[1:] in (known or config):
        raise InputError(f"--{name}: this bundle takes --{alias[1:]} instead")
    parts = name.replace("#", "::").split("::")
    if len(parts) == 1 and name not in config:
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


def help_text(config: Mapping[str, Any], known: Mapping[str, OptionInfo]) -> str:
    """The options of a bundle, one a line, with their defaults."""
    lines = [str(config.get("description", "")), "", "knobs (--name value):"]
    lines += [f"  --{name:<22} {info.help} [{default_of(name, config)}]" for name, info in known.items()]
    return "\n".join(lines)


def default_of(name: str, config: Mapping[str, Any]) -> str:
    """What a bundle says for an option, in words."""
    default = config.get(name)
    return "none" if default in ("", None) else str(default).lstrip("$").replace("@", "")


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
    if not started_by_bundle_run(argv):
        return {}
    shorten_errors(argv)
    files, arguments = config_files(argv), _args_file(argv)
    if not files:
        named = arguments.get("config_file") or []
        files = [str(name) for name in ([named] if isinstance(named, str) else named)]
    config = merged_config(files)
    if "--help" in argv or "-h" in argv:
        print(help_text(config, known))
        raise SystemExit(0)
    tracking = "mlflow" in (argument(argv, "tracking"), arguments.get("tracking"))
    if tracking and importlib.util.find_spec("mlflow") is None:
        raise InputError("--tracking mlflow: mlflow is not installed; pip install 'segxfer3d[mlflow]'")
    for name in arguments:
        if name not in RUN_ARGUMENTS:
            check_key(name, config, known)
    return check_command_line(argv, config, known)


def shorten_errors(argv: Sequence[str] | None = None) -> None:
    """From here on, a process that ``monai.bundle run`` started shows errors in two lines."""
    if started_by_bundle_run(argv):
        sys.excepthook = show_error
        logging.raiseExceptions = False  # on a full disk, every line of a log would print a trace of its own


def _args_file(argv: Sequence[str]) -> dict[str, Any]:
    """What ``--args_file`` holds; MONAI has read it before, so that it can be read."""
    name = argument(argv, "args_file") or argument(argv, "args-file")
    return merged_config([name]) if name else {}


def root_cause(error: BaseException) -> BaseException:
    """The InputError in a chain of exceptions, else the one that started the chain."""
    seen = set()
    current: BaseException | None = error
    last = error
    while current is not None and id(current) not in seen:
        if isinstance(current, InputError):
            return current
        seen.add(id(current))
        last = current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return last


def show_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Two lines instead of a hundred: what is wrong, and where the whole trace is."""
    if issubclass(kind, KeyboardInterrupt):
        print(f"stopped{'; ' if _hint else ''}{_hint}", file=sys.stderr)
        raise SystemExit(STOPPED)  # a hook may: Python's own status for Ctrl-C depends on how it was started
    log = _keep_trace("".join(traceback.format_exception(kind, error, trace)))
    cause = root_cause(error)
    message = str(cause) if isinstance(cause, InputError) else f"{type(cause).__name__}: {cause}"
    rank = os.environ.get("RANK", "0")
    if rank != "0":
        time.sleep(SECONDS_BEHIND)
        message = f"(process {rank}) {message}"
    sys.stdout.flush()
    print(f"error: {message}", file=sys.stderr)
    if log:
        print(f"full trace: {log}", file=sys.stderr)


def _keep_trace(text: str) -> str:
    """Write a trace to the run's log, else to a file of its own; gives its name, empty where nothing can be written."""
    logs = [h.baseFilename for h in logging.getLogger().handlers if isinstance(h, logging.FileHandler)]
    try:
        if logs:
            with Path(logs[-1]).open("a", encoding="utf-8") as file:
                file.write(text)
            return logs[-1]
    except OSError:
        pass  # the disk is full: perhaps another one is not
    try:
        handle, log = tempfile.mkstemp(prefix="segxfer3d-error-", suffix=".log", text=True)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError:
        return ""
    return log
