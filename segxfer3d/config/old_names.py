"""Names of earlier versions, for bundles that name components by them: one table of where they were and are.

A module that has moved can still be imported by its old name, which gives the names of this table and no others. Of a
bundle of the old form (``knobs`` and ``session`` sections), the first component that is built says which lines to
change.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from segxfer3d.errors import InputError

_PACKAGE = "segxfer3d"
OLD_FORM = (
    "this bundle has the form of an earlier version. Change three lines: "
    'take out the section "knobs"; '
    'replace the section "session" by "options": "$reading.read(\'NAME\', groups.Run, groups.Data, ...)", "place" and '
    '"run_folder" as in the bundles that `segxfer3d bundles copy` writes; '
    'and write "initialize": ["@options", "@run_folder", "@train::trainer", "$@run_folder.begin()"]'
)
# modules of the old form, which nothing stands for any more
OLD_FORM_MODULES = (
    "knobs", "guard", "runs", "bundle", "apply", "handlers", "evaluation.CaseTable", "image_evaluation",
    "jobs.volumes", "jobs.images", "jobs.training", "pretext_monitor",
)  # fmt: skip
# old module -> (name -> where it is now); "*": every name of that module
OLD_NAMES: dict[str, dict[str, str]] = {}


class _Moved(ModuleType):
    """A module under its old name."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        old = self.__name__.removeprefix(f"{_PACKAGE}.")
        if old in OLD_FORM_MODULES:
            raise InputError(OLD_FORM)
        table = OLD_NAMES[old]
        place = table.get(name, f"{table['*']}.{name}" if "*" in table else "")
        if not place:
            raise AttributeError(f"{self.__name__} has moved, and {name} is not among what it keeps")
        module, _, attribute = place.rpartition(".")
        return getattr(importlib.import_module(f"{_PACKAGE}.{module}"), attribute)


class _Finder(MetaPathFinder, Loader):
    """Finds what no other finder of Python finds: modules under their old names."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module, if it is in the table."""
        package, _, name = fullname.partition(".")
        if package != _PACKAGE or (name not in OLD_NAMES and name not in OLD_FORM_MODULES):
            return None
        return ModuleSpec(fullname, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """An empty one."""
        return _Moved(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run: names are found when they are asked for."""


def install() -> None:
    """Let old names be found; they never stand in for a module that is there."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
