"""The benchmark starts, knows its parts and their words, and refuses others."""

import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "scripts" / "benchmark.py"
PARTS = [
    "corruption", "augmentation", "views", "pretext", "step", "engine", "engines", "inference", "reading", "start",
    "main", "demo", "images",
]  # fmt: skip


def test_the_benchmark_knows_its_parts(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "walking"])
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert stopped.value.code == 2
    assert f"unknown part walking; expected {', '.join(PARTS)}" in capsys.readouterr().err
