"""Who may import whom: each layer knows only what is below it."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "segxfer3d"
BELOW = {"errors"}
ALLOWED = {
    "errors": set(),
    "compiled": BELOW,
    "checkpoint": BELOW,
    "metrics": BELOW,
    "networks": BELOW,
    "data": BELOW | {"data", "compiled"},
    "inference": BELOW | {"metrics"},
    "optimization": BELOW,
    "transfer": BELOW | {"networks"},
    "weights": BELOW | {"networks", "checkpoint"},
    "pretexts": BELOW | {"networks", "compiled", "pretexts"},
    "engines": BELOW | {"pretexts"},
    "knobs": BELOW | {"transfer"},
    "analysis": BELOW | {"networks", "checkpoint", "transfer", "data"},
    "guard": BELOW | {"knobs"},
    "runs": BELOW | {"guard", "knobs", ""},
}


def layer(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("segxfer3d"):
            parts = node.module.split(".")
            yield from [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("segxfer3d"):
                    yield [*alias.name.split("."), ""][1]


def test_layers_look_down_only():
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        name = layer(path)
        if name in ALLOWED:
            allowed = ALLOWED[name] | {name}
            place = path.relative_to(PACKAGE)
            wrong += [f"{place} imports {other}" for other in imported(path) if other not in allowed]
    assert wrong == []
