"""The code that a training runs, found in the source: nothing is imported, and what changes no result is left out.

A bundle names modules in its ``_target_`` entries and imports; these import others. A file counts as what it does:
comments, docstrings and layout do not, and neither do modules that only draw.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import segxfer3d
from segxfer3d.config.old_names import OLD_NAMES
from segxfer3d.documents import text_of
from segxfer3d.files import digest
from segxfer3d.schema.kinds import OBJECT, refuse
from segxfer3d.schema.parsing import TOO_DEEP, check, parse

PACKAGE = "segxfer3d"
ROOT = Path(segxfer3d.__file__).parent
# imported by what trains, and no figure depends on them: they draw, show help, or write bundles, whose content counts
NO_EFFECT = (
    "interpret", "evaluation.previews", "evaluation.preview_cases", "evaluation.slices", "training.pictures",
    "config.bases", "config.bundles", "config.help",
)  # fmt: skip
NAMED_ONLY = ("config.recipes",)  # of the bundles that name them, and of no other that loads their folder
_DOTTED = re.compile(rf"\b{PACKAGE}((?:\.\w+)+)(?: import ([\w, ]+))?")
_FOUND_BY_NAME = {"pkgutil", "importlib"}  # a module that imports these may load any of its folder
_SAYS_NOTHING = {"type_comment", "kind", "ctx", "type_params"}  # differ between versions of Python, or say nothing


@dataclass(frozen=True)
class Source:
    """A module of the package, as its file says.

    Attributes:
        digest: of what it does.
        imports: modules of the package that it may load, by their names below the package.
    """

    digest: str
    imports: frozenset[str]


def code_version(*configs: Mapping[str, Any]) -> str:
    """The package's version, and a fingerprint of the modules that bundles with these contents run."""
    return _version(modules(*configs))


def modules(*configs: Mapping[str, Any]) -> tuple[str, ...]:
    """The modules that bundles with these contents run, by their names below the package, sorted."""
    return _reached(frozenset(name for config in configs for name in _named(config)))


def read_config(path: str) -> dict[str, Any]:
    """The content of a bundle; of one that is gone or damaged, nothing."""
    try:
        return parse_config(Path(path))
    except ValueError:
        return {}


def parse_config(path: Path) -> dict[str, Any]:
    """The content of a bundle, JSON or YAML, as MONAI reads it.

    Raises:
        ValueError: there is no such file, it is neither, or no object.
    """
    text = text_of(path)
    if path.suffix in (".yaml", ".yml"):
        import yaml

        try:
            content: dict[str, Any] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(" ".join(str(error).split())) from error
        except RecursionError:
            raise ValueError(TOO_DEEP) from None
        check(content)
    else:
        content = parse(text)
    refuse(OBJECT, content)
    return content


@cache
def _version(names: tuple[str, ...]) -> str:
    return f"{segxfer3d.__version__}+{digest({name: _source(name).digest for name in names})[:8]}"


@cache
def _reached(names: frozenset[str]) -> tuple[str, ...]:
    waiting = [name for dotted in names for name in _modules_of(dotted)]
    reached: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in reached and not _without_effect(name):
            reached.add(name)
            waiting += _source(name).imports
    return tuple(sorted(reached))


def _named(content: Any) -> Iterator[str]:
    """Dotted names below the package in the texts of a bundle."""
    if isinstance(content, str):
        for dotted, imported in _DOTTED.findall(content):
            yield dotted[1:]
            yield from (f"{dotted[1:]}.{name.split()[0]}" for name in imported.split(",") if name.strip())
    elif isinstance(content, Mapping):
        for key, value in content.items():
            if key != "description":
                yield from _named(value)
    elif isinstance(content, (list, tuple)):
        for value in content:
            yield from _named(value)


def _without_effect(name: str) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in NO_EFFECT)


def _modules_of(dotted: str) -> list[str]:
    """The modules that loading a dotted name runs: every folder's own on the way down, and the last one.

    Of a name of an earlier version, those that it stands for.
    """
    parts = dotted.split(".")
    names = [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
    moved = {place for name in names for place in OLD_NAMES.get(name, {}).values()}
    return [name for name in names if _file(name)] + [name for place in moved for name in _modules_of(place)]


@cache
def _file(name: str) -> Path | None:
    place = ROOT.joinpath(*name.split("."))
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


@cache
def _source(name: str) -> Source:
    path = _file(name)
    assert path is not None
    tree = ast.parse(path.read_bytes())
    loaded: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            dotted_names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # of `from a import b`, b may be a module
            dotted_names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        if _FOUND_BY_NAME & {dotted.split(".")[0] for dotted in dotted_names}:
            loaded |= _beside(path)
        for dotted in dotted_names:
            if dotted.startswith(f"{PACKAGE}."):
                loaded.update(_modules_of(dotted.removeprefix(f"{PACKAGE}.")))
    return Source(_meaning(tree), frozenset(loaded))


def _beside(path: Path) -> set[str]:
    """All modules in the folder of a module, but those that count where they are named only."""
    below = [file.relative_to(ROOT).with_suffix("").parts for file in path.parent.glob("*.py")]
    return {".".join(parts) for parts in below if parts[-1] != "__init__"} - set(NAMED_ONLY)


def _meaning(tree: ast.Module) -> str:
    """A fingerprint of a module without its comments, docstrings and layout; the same in every version of Python."""
    words: list[str] = []

    def describe(node: ast.AST) -> None:
        words.append(type(node).__name__)
        for name in node._fields:
            value = getattr(node, name, None)
            if value is None or value == [] or name in _SAYS_NOTHING:
                continue
            words.append(name)
            for item in value if isinstance(value, list) else [value]:
                if not isinstance(item, ast.AST):
                    words.append(repr(item))
                elif not (name == "body" and _is_text(item)):
                    describe(item)
            words.append(".")

    describe(tree)
    return hashlib.sha256(" ".join(words).encode("utf-8", "backslashreplace")).hexdigest()


def _is_text(node: ast.AST) -> bool:
    """Whether a statement is a text that stands alone, as docstrings do."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
