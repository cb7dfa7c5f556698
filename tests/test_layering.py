"""Who may import whom: each layer knows only what is below it."""

import ast
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "segxfer3d"
BELOW = {"errors"}
ALLOWED = {
    "errors": set(),
    "compiled": BELOW,
    "checkpoint": BELOW,
    "metrics": BELOW,
    "lesions": BELOW,
    "study": BELOW | {"files", "guard", "initializations", "knobs", ""},
    "networks": BELOW,
    "data": BELOW | {"data", "compiled"},
    "inference": BELOW | {"metrics"},
    "optimization": BELOW,
    "initializations": BELOW,
    "transfer": BELOW | {"networks", "initializations"},
    "weights": BELOW | {"networks", "checkpoint"},
    "losses": BELOW,
    "monitors": BELOW,
    "pretexts": BELOW | {"analysis", "networks", "losses", "compiled", "pretexts"},
    "engines": BELOW | {"pretexts"},
    "files": BELOW,
    "processes": BELOW,
    "knobs": BELOW | {"initializations"},
    "analysis": BELOW | {"networks", "checkpoint", "transfer", "data"},
    "report": BELOW | {"analysis", "study", "previews", "files", ""},
    "guard": BELOW | {"knobs"},
    "runs": BELOW | {"files", "guard", "knobs", "processes", ""},
    "bundle": BELOW | {"guard", "runs"},
    "previews": BELOW | {"analysis", "files"},
    "evaluation": BELOW | {"analysis", "data", "handlers", "lesions", "metrics", "previews", "runs"},
    "handlers": BELOW | {"checkpoint", "files", "networks", "processes", "runs"},
    # what the bundles compose; jobs runs one bundle inside another
    "jobs": BELOW
    | {"bundle", "checkpoint", "data", "engines", "evaluation", "networks", "pretexts", "processes", "runs"}
    | {"transfer", "weights"},
    "image_evaluation": BELOW | {"engines", "evaluation", "handlers", "losses", "metrics", "pretexts", "previews"},
    "pretext_monitor": BELOW | {"engines", "handlers", "jobs", "monitors", "pretexts", "runs"},
    "apply": BELOW
    | {"checkpoint", "data", "engines", "evaluation", "inference", "jobs", "networks", "runs", "transfer"},
    "cli": BELOW | {"data", "study", "weights"},
}


def layer(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
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
        name, place = layer(path), path.relative_to(PACKAGE)
        if name == "__init__":
            continue
        if name not in ALLOWED:
            wrong.append(f"{place} is in no layer")
            continue
        allowed = ALLOWED[name] | {name}
        wrong += [f"{place} imports {other}" for other in imported(path) if other not in allowed]
    assert wrong == []


def test_statistics_need_neither_torch_nor_monai():
    code = "import sys, segxfer3d.study; print([m for m in ('torch', 'monai') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
