"""The benchmark starts, knows its parts and their words, and refuses others."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "scripts" / "benchmark.py"
PARTS = [
    "corruption", "augmentation", "views", "pretext", "step", "engine", "inference", "reading", "start", "main", "demo",
    "images",
]  # fmt: skip


def test_the_benchmark_knows_its_parts():
    result = subprocess.run([sys.executable, SCRIPT, "walking"], capture_output=True, text=True)
    assert result.returncode == 2
    assert f"unknown part walking; expected {', '.join(PARTS)}" in result.stderr
