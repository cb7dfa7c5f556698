"""Bundles, made from a base and what a recipe does differently; ``scripts/write_bundles.py`` writes them as JSON.

A pretext or a network says in its own file what its bundle is: a :class:`Recipe`. :func:`compose` puts it on one of the
bases of :mod:`segxfer3d.config.bases`. The JSON that comes out is plain: it can be read, run and edited without this.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from segxfer3d.config.bases import BASES, COMMON, DIMENSIONS
from segxfer3d.config.options import Group, infos
from segxfer3d.config.values import is_expression
from segxfer3d.errors import InputError, some

_WIDTH = 130


@dataclass(frozen=True)
class Recipe:
    """What a bundle is.

    Attributes:
        name: of the bundle and of its job, such as ``moco_pretrain``.
        description: a sentence, which ``--help`` shows.
        base: one of :data:`~segxfer3d.config.bases.BASES`.
        dims: 3 for volumes, 2 for images, 0 where the checkpoint decides.
        title: what it is called in tables and figures; empty where it has no name of its own.
        scenario: the paper's scenario of an encoder pretrained by it, 2 or 4.
        citation: where it was published.
        options: groups of its own, beside those of the base.
        differs: from the base: dictionaries are merged, lists replaced, None takes an entry out; an option's value is
            its default.
        imports: Python that expressions in ``differs`` need, such as ``import segxfer3d.losses as losses``.
    """

    name: str
    description: str
    base: str
    dims: int
    title: str = ""
    scenario: str = ""
    citation: str = ""
    options: tuple[type[Group], ...] = ()
    differs: Mapping[str, Any] = field(default_factory=dict)
    imports: tuple[str, ...] = ()


def compose(recipe: Recipe) -> dict[str, Any]:
    """The bundle of a recipe.

    Raises:
        InputError: a difference names neither an option nor an entry of the base, and is no component or expression
            that a new entry may be; or the base is unknown.
    """
    if recipe.base not in BASES:
        raise InputError(f"recipe {recipe.name}: no base {recipe.base!r}; expected one of {', '.join(BASES)}")
    layers = [BASES[recipe.base], *DIMENSIONS.get((recipe.base, recipe.dims), ())]
    groups = [*COMMON, *(group for layer in layers for group in layer.groups), *recipe.options]
    defaults: dict[str, Any] = {}
    for group in groups:
        for name, info in infos(group).items():
            defaults[name] = list(info.default) if isinstance(info.default, tuple) else info.default
    content: dict[str, Any] = copy.deepcopy(dict(layers[0].content))
    for layer in layers[1:]:
        content = merge(content, layer.content)
    _refuse_unknown(recipe, defaults, content)
    content = merge(content, recipe.differs)
    values = {name: content.pop(name) if name in content else default for name, default in defaults.items()}
    if "output_dir" in values:
        resume = "@resume" if "resume" in values else "False"
        values["output_dir"] = f"$folder.next_folder('runs/{recipe.name}', {resume})"
    about = {"title": recipe.title, "scenario": recipe.scenario, "citation": recipe.citation}
    if recipe.title:
        content["run_folder"] = {**content["run_folder"], "pretext": about}
    imports = [*(line for layer in layers for line in layer.imports), *recipe.imports]
    head = {
        "description": recipe.description,
        "imports": [f"${line}" for line in dict.fromkeys([*imports, *_imports_of(groups)])],
        "bundle_root": ".",
    }
    call = ", ".join([repr(recipe.name), *map(_spelled, groups)])
    return {**head, **values, "options": f"$reading.read({call})", **content}


def merge(base: Mapping[str, Any], differs: Mapping[str, Any]) -> dict[str, Any]:
    """``differs`` on top of ``base``: dictionaries merged deeply, lists and values replaced; None takes an entry out.

    Example:
        >>> merge({"a": {"x": 1, "y": 2}, "b": 3}, {"a": {"y": 4}, "b": None})
        {'a': {'x': 1, 'y': 4}}
    """
    merged = dict(copy.deepcopy(dict(base)))
    for name, value in differs.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping) and isinstance(merged.get(name), Mapping) and "_target_" not in value:
            merged[name] = merge(merged[name], value)
        else:
            merged[name] = copy.deepcopy(value)
    return merged


def _refuse_unknown(recipe: Recipe, defaults: Mapping[str, Any], content: Mapping[str, Any]) -> None:
    """A new entry of a bundle is a component or refers to something; a plain value that is no option is a slip."""
    unknown = [
        name
        for name, value in recipe.differs.items()
        if name not in defaults and name not in content
        and not isinstance(value, (Mapping, list)) and not is_expression(value)
    ]  # fmt: skip
    if unknown:
        raise InputError(
            f"recipe {recipe.name}: no option is called {some(unknown)}; expected one of its groups' options"
        )


def _spelled(group: type[Group]) -> str:
    """How an expression of a bundle calls a group."""
    return f"{group.__module__.rpartition('.')[2]}.{group.__qualname__}"


def _imports_of(groups: Iterable[type[Group]]) -> list[str]:
    lines = []
    for group in groups:
        module = group.__module__.rpartition(".")[2]
        if group.__module__ != "segxfer3d.config.groups":
            lines.append(f"import {group.__module__} as {module}")
    return lines


def as_json(bundle: Mapping[str, Any]) -> str:
    """A bundle as text: an entry a line, and what fits on a line on one."""
    return _written(bundle, 0, 0) + "\n"


def _written(value: Any, indent: int, used: int) -> str:
    flat = json.dumps(value, ensure_ascii=False)
    top = indent == 0 and isinstance(value, Mapping)
    if not isinstance(value, (Mapping, list)) or not value or (len(flat) + indent + used <= _WIDTH and not top):
        return flat
    pad = " " * (indent + 1)
    if isinstance(value, Mapping):
        lines = [
            f"{pad}{json.dumps(name)}: {_written(inner, indent + 1, len(name) + 5)}" for name, inner in value.items()
        ]
        return "{\n" + ",\n".join(lines) + "\n" + " " * indent + "}"
    lines = [pad + _written(inner, indent + 1, 1) for inner in value]
    return "[\n" + ",\n".join(lines) + "\n" + " " * indent + "]"
