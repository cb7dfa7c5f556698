"""The rooms' order: 8 floors, each room imports rooms of lower floors only, and none could stand lower."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "segxfer3d"
FLOORS = [
    {"cells", "changes", "errors", "machine", "schema", "spelling", "temporary", "version"},
    {"documents", "files", "spreadsheets", "config", "statistics", "augment", "losses"},
    {"run", "networks", "data", "study"},
    {"weights", "interpret"},
    {"pretexts", "inference"},
    {"training", "evaluation", "export"},
    {"jobs", "report"},
    {"cli", "__init__"},
]
TORCH_FREE = [
    "temporary",
    "cells",
    "errors",
    "schema",
    "spelling",
    "documents",
    "files",
    "spreadsheets",
    "config",
    "statistics",
    "study",
    "report",
]


def floor_of(room):
    """Counted from 0; None for a room that stands on no floor."""
    return next((number for number, rooms in enumerate(FLOORS) if room in rooms), None)


def room_of(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path):
    """The rooms that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "segxfer3d":
            parts = node.module.split(".")
            yield from [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("segxfer3d."):
                    yield alias.name.split(".")[1]


@cache
def arrows():
    """Room to the rooms that it imports, with a file that does."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        room = room_of(path)
        rooms = found.setdefault(room, {})
        for other in imported(path):
            if other != room:
                rooms.setdefault(other, path.relative_to(PACKAGE).as_posix())
    return found


def test_every_room_stands_on_a_floor():
    assert sorted(room for room in arrows() if floor_of(room) is None) == []


def test_imports_go_down_only():
    wrong = [
        f"{path}: {room} (floor {floor_of(room) + 1}) imports {other}"
        for room, others in arrows().items()
        for other, path in others.items()
        if floor_of(other) is None or floor_of(other) >= floor_of(room)
    ]
    assert wrong == []


def test_no_room_could_stand_lower():
    lower = {
        room: 1 + max((floor_of(other) for other in others), default=-1)
        for room, others in arrows().items()
        if room != "__init__"
    }
    high = {room: floor for room, floor in lower.items() if floor < floor_of(room)}
    assert high == {}, "rooms that could stand on this floor (counted from 0)"


def test_rooms_that_may_not_import_torch_do_not():
    code = (
        "import importlib, pkgutil, sys, segxfer3d\n"
        f"for room in {TORCH_FREE}:\n"
        "    module = importlib.import_module(f'segxfer3d.{room}')\n"
        "    for inner in pkgutil.walk_packages(getattr(module, '__path__', []), module.__name__ + '.'):\n"
        "        importlib.import_module(inner.name)\n"
        "        if 'torch' in sys.modules or 'monai' in sys.modules:\n"
        "            sys.exit(f'{inner.name} imports torch')\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
