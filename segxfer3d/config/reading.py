"""Filling groups of options from the bundle that is being built, wherever it was started from.

MONAI applies overrides, overlays and expressions before anything of a bundle is built; :func:`read` takes each option
through the resolver that does it. So the door is the same for ``python -m monai.bundle run``, ``ConfigWorkflow(...)``,
:func:`~segxfer3d.run.bundle.run_bundle` and a bare ``ConfigParser``.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from segxfer3d.config import command_line, earlier
from segxfer3d.config.apart import apart_problems
from segxfer3d.config.options import Group, OptionInfo, Options, infos, load_table
from segxfer3d.config.values import is_expression
from segxfer3d.config.written import as_meant, written_texts
from segxfer3d.errors import InputError, closest

# what stands at the top of a bundle for MONAI's sake; the ids of its properties come from MONAI itself
_OF_MONAI = (
    "_meta_", "description", "imports", "bundle_root", "initialize", "run", "finalize", "tracking_uri",
    "experiment_name", "run_name", "save_execute_config",
)  # fmt: skip
_STEPS = ("imports", "initialize", "run", "finalize")  # of these, what is computed with, and what is done


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
    if (resolver := _resolver()) is None:
        raise RuntimeError("options are read by a bundle only; in Python, call the group itself: Training(lr=..., ...)")
    bundle = resolver.items[""].get_config()  # as written, overrides applied, nothing resolved
    known = {name: info for group in groups for name, info in infos(group).items()}
    outermost = _resolver(other_than=resolver) is None  # the command line is not meant for a bundle inside another
    typed = command_line.start(known) if outermost else {}
    written = written_texts(command_line.files_of_run()) if outermost else {}
    _refuse_unread(bundle, known)
    by_hand = {name for name in known if name in typed or not is_expression(bundle[name])}
    if outermost and {"resume", "output_dir"} <= known.keys() and "output_dir" in by_hand:
        _go_on_when_requeued(resolver)
    values = {}
    for name, value in _as_before(resolver, bundle).items():
        if name in known and name not in by_hand and known[name].changes_result:
            resolver.resolved_content[name] = value
    failed: RuntimeError | None = None
    for name, info in known.items():
        try:
            arrived = resolver.get_resolved_content(name)
        except RuntimeError as error:  # an expression that another option's value was not made for
            failed = failed or error
            continue
        values[name] = as_meant(info, arrived, typed, written)
        if values[name] is not arrived:
            resolver.resolved_content[name] = values[name]  # for what refers to the option
    filled, problems = [], []
    for group in groups:
        try:
            filled.append(group(**{name: values[name] for name in infos(group) if name in values}))
        except InputError as error:
            problems.append(str(error))
    if values.get("resume") is not True:  # earlier runs that had both go on as they began
        problems += apart_problems({name: values[name] for name in by_hand if name in values})
    if problems:
        raise InputError("; ".join(dict.fromkeys(problems)))
    if failed is not None:
        raise failed
    components = {name: value for name, value in bundle.items() if name not in known and name not in _OF_MONAI}
    steps = {name: bundle[name] for name in _STEPS if name in bundle}
    return Options(job, filled, typed, by_hand, components, steps)


def _go_on_when_requeued(resolver: Any) -> None:
    """A job that Slurm runs again after a stop goes on with its run, though its command does not say so."""
    count = os.environ.get("SLURM_RESTART_COUNT", "")
    if not (count.isdecimal() and int(count)) or resolver.get_resolved_content("resume"):
        return
    folder = Path(str(resolver.get_resolved_content("output_dir"))).expanduser()
    there = (folder / "run.json").is_file()
    if there:
        resolver.resolved_content["resume"] = True
    logging.getLogger("segxfer3d").info(
        f"SLURM_RESTART_COUNT is {count} and {folder} holds "
        + ("a run: resume True" if there else "no run: it starts from the beginning")
    )


def _as_before(resolver: Any, bundle: Mapping[str, Any]) -> dict[str, Any]:
    """What a run that goes on was started with: defaults of today are not its own."""
    if "resume" not in bundle or resolver.get_resolved_content("resume") is not True:
        return {}
    return earlier.knobs_of(str(resolver.get_resolved_content("output_dir")))


def _resolver(other_than: Any = None) -> Any:
    """The resolver that builds the component from which this is called: the innermost, where a bundle runs another."""
    from monai.bundle import ReferenceResolver

    frame = sys._getframe(1)
    while frame is not None:
        if isinstance(resolver := frame.f_locals.get("self"), ReferenceResolver) and resolver is not other_than:
            return resolver
        frame = frame.f_back  # type: ignore[assignment]
    return None


def _refuse_unread(bundle: Mapping[str, Any], known: Mapping[str, OptionInfo]) -> None:
    """Refuse top-level values, and values of sections, that nothing reads, and options that are not there."""
    # a property of MONAI that follows an option ("@input"), or is a component or an expression of the bundle
    texts = {name: value for name, value in bundle.items() if isinstance(value, str)}
    ids = {name.split("::")[0] for name in _properties_of_monai()}
    aliases = {name for name, value in texts.items() if value.startswith("@") and name in ids}
    plain = {name for name in ids if not isinstance(bundle.get(name), (Mapping, list, str))}
    references = set(_references(bundle))
    read = {reference.split("::")[0] for reference in references} | (_names_of_monai() - plain)
    problems = []
    for name in sorted(set(bundle) - set(known) - read - aliases - {"options"}):
        near = closest(name, sorted(known))
        hint = f"; did you mean --{near}?" if near else "; --help lists the knobs"
        problems.append(f"--{name}: no such knob in this bundle, nothing in it reads the value{hint}")
    problems += [
        f"--{name}: nothing in this bundle reads the value" for name in _unread_in_sections(bundle, references)
    ]
    problems += [f"{name}: the bundle has no such value, and its job needs it" for name in known if name not in bundle]
    if problems:
        raise InputError("; ".join(problems))


def _unread_in_sections(bundle: Mapping[str, Any], references: Collection[str]) -> Iterator[str]:
    """``section::name`` of the plain values that nothing refers to, in sections that nobody takes whole.

    Components, lists and expressions are passed over: an overlay may put others in their places.
    """
    for section, content in bundle.items():
        if section == "_meta_" or section in references or not isinstance(content, Mapping) or "_target_" in content:
            continue
        for name, value in content.items():
            path = f"{section}::{name}"
            inside = any(reference == path or reference.startswith(f"{path}::") for reference in references)
            passed = inside or name.startswith("_") or path in _properties_of_monai()
            if not passed and not isinstance(value, list) and _is_plain(value):
                yield path


def _is_plain(value: Any) -> bool:
    """Whether a value is what it says: no component, and nothing that MONAI evaluates."""
    return "_target_" not in value if isinstance(value, Mapping) else not is_expression(value)


def _references(content: Any) -> Iterator[str]:
    """What anything in a bundle refers to: ``name`` or ``section::name``."""
    from monai.bundle import ReferenceResolver

    if isinstance(content, str):
        yield from ReferenceResolver.match_refs_pattern(content)
    elif isinstance(content, Mapping):
        for inner in content.values():
            yield from _references(inner)
    elif isinstance(content, list):
        for inner in content:
            yield from _references(inner)


@cache
def _properties_of_monai() -> frozenset[str]:
    """The ids of the properties that MONAI asks a bundle for, such as ``train::dataset``."""
    from monai.bundle import properties

    tables = (properties.TrainProperties, properties.InferProperties, properties.MetaProperties)
    return frozenset(entry[properties.BundlePropertyConfig.ID] for table in tables for entry in table.values())


@cache
def _names_of_monai() -> frozenset[str]:
    """What MONAI looks for at the top of a bundle: its properties, and its settings of tracking.

    An option may have the name of a property too (``lr``, ``device``); it is no reason to let it through unread where a
    job does not take it.
    """
    from monai.bundle.utils import DEFAULT_MLFLOW_SETTINGS

    ids = {name.split("::")[0] for name in _properties_of_monai()}
    return frozenset({*_OF_MONAI, *DEFAULT_MLFLOW_SETTINGS["configs"], *(ids - set(load_table()))})
