"""Command-line checks for ``python -m monai.bundle run``, and short errors.

MONAI takes any ``--key value`` and ignores the ones that no config knows; here such a key is refused before any
work starts. Everything in this module stays quiet when the process was not started by ``monai.bundle run`` (a
test, a labelling server or a federated client may load the same config).
"""

from __future__ import annotations

import ast
import difflib
import importlib.util
import json
import logging
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from segxfer3d.config.knobs import KNOBS, listed
from segxfer3d.errors import InputError

RUN_ARGUMENTS = (
    "run_id", "init_id", "final_id", "meta_file", "config_file", "logging_file", "tracking", "args_file",
)  # fmt: skip


# a process that is not the first waits so long before it shows an error: the first one mostly finds the same, and
# torchrun ends all others when one has failed
STOPPED = 130  # exit status of a run that Ctrl-C ended, as shells have it
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
    """The top level of the configs, later ones winning, as MONAI merges them (only the keys matter here).

    Raises:
        InputError: a file is missing or no JSON.
    """
    merged: dict[str, Any] = {}
    for file in files:
        try:
            merged.update(json.loads(Path(file).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"bundle {file}: not a JSON config ({error})") from error
    return merged


def check_command_line(argv: Sequence[str], config: Mapping[str, Any]) -> dict[str, str]:
    """Refuse overrides that would be ignored.

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
        check_key(name, config)
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


def check_key(name: str, config: Mapping[str, Any]) -> None:
    """Refuse a key that no config knows, or that stands there for MONAI's sake and follows another one.

    Raises:
        InputError: with the nearest known one.
    """
    alias = config.get(name)
    if name in KNOBS and isinstance(alias, str) and alias.startswith("@"):
        raise InputError(f"--{name}: this bundle takes --{alias[1:]} instead")
    parts = name.replace("#", "::").split("::")
    if len(parts) == 1 and name not in config:
        near = difflib.get_close_matches(name, [key for key in config if key in KNOBS], n=1, cutoff=0.6)
        hint = f"did you mean --{near[0]}?" if near else "--help lists the knobs"
        dotted = f" (write nested keys with ::, as in --{name.replace('.', '::')})" if "." in name else ""
        raise InputError(f"--{name}: no such knob in this bundle; {hint}{dotted}")
    node: Any = config
    for depth, part in enumerate(parts):
        known = isinstance(node, Mapping) and part in node
        in_list = isinstance(node, list) and part.isdigit() and int(part) < len(node)
        last_of_section = depth == len(parts) - 1 and depth > 0 and isinstance(node, Mapping) and "_target_" in node
        if not (known or in_list or last_of_section):
            raise InputError(f"--{name}: nothing called {'::'.join(parts[: depth + 1])!r} in this bundle")
        if known:
            node = node[part]
        elif in_list:
            node = node[int(part)]


def help_text(config: Mapping[str, Any]) -> str:
    """The knobs of a bundle, one a line, with their defaults."""
    lines = [str(config.get("description", "")), "", "knobs (--name value):"]
    lines += [f"  --{name:<22} {knob.help} [{default}]" for name, (default, knob) in listed(config).items()]
    return "\n".join(lines)


def start(argv: Sequence[str] | None = None) -> dict[str, str]:
    """Check the command line of this process and install the short error display; ``--help`` ends here.

    Returns:
        the overrides as typed, empty where the process was not started by ``monai.bundle run``.
    """
    argv = sys.argv if argv is None else argv
    if not started_by_bundle_run(argv):
        return {}
    sys.excepthook = show_error
    logging.raiseExceptions = False  # on a full disk, every line of a log would print a trace of its own
    files = config_files(argv)
    if not files:
        return {}  # --args_file names the configs: its overrides are for MONAI alone
    config = merged_config(files)
    if "--help" in argv or "-h" in argv:
        print(help_text(config))
        raise SystemExit(0)
    if argument(argv, "tracking") == "mlflow" and importlib.util.find_spec("mlflow") is None:
        raise InputError("--tracking mlflow: mlflow is not installed; pip install 'segxfer3d[mlflow]'")
    return check_command_line(argv, config)


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
