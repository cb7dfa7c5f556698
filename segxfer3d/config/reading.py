"""Filling groups of options from the bundle that is being built, wherever it was started from.

MONAI applies overrides, overlays and expressions before anything of a bundle is built; :func:`read` takes each option
through the resolver that does it. So the door is the same for ``python -m monai.bundle run``, ``ConfigWorkflow(...)``,
:func:`~segxfer3d.run.bundle.run_bundle` and a bare ``ConfigParser``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from segxfer3d.config import command_line
from segxfer3d.config.options import Group, OptionInfo, Options, infos
from segxfer3d.errors import InputError, closest

# what stands at the top of a bundle for MONAI's sake; the ids of its properties come from MONAI itself
_OF_MONAI = (
    "_meta_", "description", "imports", "bundle_root", "initialize", "run", "finalize", "tracking_uri",
    "experiment_name", "run_name", "save_execute_config",
)  # fmt: skip


def read(job: str, *groups: type[Group]) -> Options:
    """The options of a job, every one the top-level value of its name.

    Args:
        job: name of the bundle.
        groups: that it takes.

    Raises:
        InputError: what the command line would have ignored; a top-level value that no group has and nothing in the
            bundle refers to; an option that the bundle lacks; values that are not allowed. All of one kind at once.
        RuntimeError: no bundle is being built.
    """
    resolver = _resolver()
    bundle = resolver.items[""].get_config()  # as written, overrides applied, nothing resolved
    known = {name: info for group in groups for name, info in infos(group).items()}
    typed = command_line.start(known)
    _refuse_unread(bundle, known)
    values = {name: _as_typed(info, resolver.get_resolved_content(name), typed) for name, info in known.items()}
    filled, problems = [], []
    for group in groups:
        try:
            filled.append(group(**{name: values[name] for name in infos(group)}))
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError("; ".join(dict.fromkeys(problems)))
    return Options(job, filled, typed)


def _resolver() -> Any:
    """The resolver that builds the component from which this is called: the innermost, where a bundle runs another."""
    from monai.bundle import ReferenceResolver

    frame = sys._getframe(1)
    while frame is not None:
        if isinstance(resolver := frame.f_locals.get("self"), ReferenceResolver):
            return resolver
        frame = frame.f_back  # type: ignore[assignment]
    raise RuntimeError("options are read by a bundle only; in Python, call the group itself: Training(lr=..., ...)")


def _refuse_unread(bundle: Mapping[str, Any], known: Mapping[str, OptionInfo]) -> None:
    """Refuse top-level values that nothing reads, and options that are not there."""
    aliases = {name for name, value in bundle.items() if isinstance(value, str) and value.startswith("@")}
    names = set(bundle) - set(known) - set(_references(bundle)) - aliases - _names_of_monai() - {"options"}
    problems = []
    for name in sorted(names):
        near = closest(name, sorted(known))
        hint = f"; did you mean --{near}?" if near else "; --help lists the knobs"
        problems.append(f"--{name}: no such knob in this bundle, nothing in it reads the value{hint}")
    problems += [f"{name}: the bundle has no such value, and its job needs it" for name in known if name not in bundle]
    if problems:
        raise InputError("; ".join(problems))


def _references(content: Any) -> Iterator[str]:
    """The top-level names that anything in a bundle refers to."""
    from monai.bundle import ReferenceResolver

    if isinstance(content, str):
        for name in ReferenceResolver.match_refs_pattern(content):
            yield name.split(ReferenceResolver.sep)[0]
    elif isinstance(content, Mapping):
        for inner in content.values():
            yield from _references(inner)
    elif isinstance(content, list):
        for inner in content:
            yield from _references(inner)


@cache
def _names_of_monai() -> frozenset[str]:
    """What MONAI looks for at the top of a bundle: its properties, and its settings of tracking.

    An option may have the name of a property too (``lr``, ``device``); it is no reason to let it through unread where a
    job does not take it.
    """
    from monai.bundle import properties
    from monai.bundle.utils import DEFAULT_MLFLOW_SETTINGS

    from segxfer3d.config.options import load_table

    tables = (properties.TrainProperties, properties.InferProperties, properties.MetaProperties)
    ids = {entry[properties.BundlePropertyConfig.ID].split("::")[0] for table in tables for entry in table.values()}
    return frozenset({*_OF_MONAI, *DEFAULT_MLFLOW_SETTINGS["configs"], *(ids - set(load_table()))})


def _as_typed(info: OptionInfo, value: Any, typed: Mapping[str, str]) -> Any:
    """``value``; where a text is meant and the shell's parser made a number of it, the text as it was typed."""
    if info.type != "str" or isinstance(value, str) or info.name not in typed:
        return value
    from fire.parser import DefaultParseValue

    text = typed[info.name]
    return text if DefaultParseValue(text) == value else value
