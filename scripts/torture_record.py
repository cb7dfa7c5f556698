"""What torture runs found: a record that adds up, and its table in a page."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- torture: begin -->", "<!-- torture: end -->"
FORMAT = 1
PARTS = {"kills": "Kills", "disks": "Full disks", "inputs": "Damaged inputs"}


class Tally:
    """Counts of one run: part to kind to what happened, with the most that a trial took."""

    def __init__(self) -> None:
        self.counts: dict[str, dict[str, dict[str, float]]] = {}
        self.failures: list[str] = []

    def add(
        self, part: str, kind: str, *, number: int = 1, seconds: float = 0.0, growth: int = 0, **words: int
    ) -> None:
        """Count a trial.

        Args:
            part: of :data:`PARTS`.
            kind: of job or input.
            number: what it counts for: kills of a trial, for one.
            seconds, growth: that it took; the largest stay.
            words: how often what happened, such as ``read=1``.
        """
        of_kind = self.counts.setdefault(part, {}).setdefault(kind, {"tried": 0, "seconds": 0.0, "growth": 0})
        of_kind["tried"] += number
        of_kind["seconds"] = max(of_kind["seconds"], round(seconds, 1))
        of_kind["growth"] = max(of_kind["growth"], growth)
        for word, count in words.items():
            of_kind[word] = of_kind.get(word, 0) + count

    def fail(self, part: str, kind: str, what: str) -> None:
        """Note a failure, and say it at once."""
        self.add(part, kind, number=0, failed=1)
        self.failures.append(f"{kind}: {what}")
        print(f"FAILED {self.failures[-1]}", flush=True)

    def merge(self, other: Mapping[str, Any]) -> None:
        """Add the counts of another run."""
        for part, kinds in other.items():
            for kind, known in kinds.items():
                more = {name: int(count) for name, count in known.items() if name not in ("tried", "seconds", "growth")}
                taken = {"seconds": float(known["seconds"]), "growth": int(known["growth"])}
                self.add(part, kind, number=int(known["tried"]), **taken, **more)  # type: ignore[arg-type]


def about(minutes: float, seed: int, parts: list[str]) -> dict[str, Any]:
    """When and where a run was, of which code."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit(),
        "hardware": hardware(),
        "minutes": round(minutes, 1),
        "seed": seed,
        "parts": parts,
    }


def commit() -> str:
    """Of the code, short; with a mark where it was changed since."""
    root = Path(__file__).parents[1]
    words = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=10"]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def hardware() -> str:
    """Processor and memory."""
    model = platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {os.cpu_count()} cores, {gib:.0f} GiB"


def read_record(path: Path) -> dict[str, Any]:
    """A record, or an empty one."""
    if not path.is_file():
        return {"format": FORMAT, "runs": [], "counts": {}}
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if content.get("format") != FORMAT:
        raise SystemExit(f"{path}: no record of this script")
    return content


def keep(path: Path, tally: Tally, run: Mapping[str, Any]) -> dict[str, Any]:
    """Add a run to a record, and write it."""
    record = read_record(path)
    total = Tally()
    total.merge(record["counts"])
    total.merge(tally.counts)
    record["counts"] = {part: dict(sorted(total.counts[part].items())) for part in sorted(total.counts)}
    record["runs"] = [*record["runs"], dict(run)]
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def table(record: Mapping[str, Any]) -> str:
    """A record in Markdown."""
    counts, runs = record["counts"], record["runs"]
    lines: list[str] = []
    for part, kinds in (("kills", counts.get("kills", {})), ("disks", counts.get("disks", {}))):
        if not kinds:
            continue
        noun = "killed" if part == "kills" else "without room"
        lines += [f"| {PARTS[part]}: job | {noun} | other bits, traces, left-overs |", "| --- | ---: | ---: |"]
        lines += [f"| {kind} | {_n(of['tried'])} | {_n(of.get('failed', 0))} |" for kind, of in kinds.items()]
        lines += [f"| all | {_n(_sum(kinds, 'tried'))} | {_n(_sum(kinds, 'failed'))} |", ""]
    if inputs := counts.get("inputs", {}):
        lines += [
            "| Damaged inputs: kind | tried | read | refused shortly | failed | longest, s | growth, MiB |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]
        lines += [_input_row(kind, of) for kind, of in inputs.items()]
        most = {"seconds": max(of["seconds"] for of in inputs.values())}
        most["growth"] = max(of["growth"] for of in inputs.values())
        summed = {name: _sum(inputs, name) for name in ("tried", "read", "refused", "failed")}
        lines += [_input_row("all", {**summed, **most}), ""]
    minutes = sum(run["minutes"] for run in runs)
    commits = ", ".join(dict.fromkeys(run["commit"] for run in runs))
    days = ", ".join(dict.fromkeys(run["date"] for run in runs))
    machines = "; ".join(dict.fromkeys(run["hardware"] for run in runs))
    lines.append(f"{minutes:.0f} minutes on one core of {machines}; {days}, code {commits}.")
    return "\n".join(lines)


def _input_row(kind: str, of: Mapping[str, float]) -> str:
    cells = [kind, *(_n(of.get(name, 0)) for name in ("tried", "read", "refused", "failed"))]
    cells += [f"{of['seconds']:.1f}", _n(of["growth"] / 2**20)]
    return f"| {' | '.join(cells)} |"


def _n(number: float) -> str:
    return f"{number:,.0f}"


def _sum(kinds: Mapping[str, Mapping[str, float]], name: str) -> float:
    return sum(of.get(name, 0) for of in kinds.values())


def write_page(path: Path, record: Mapping[str, Any]) -> None:
    """Put the table between its marks in a page.

    Raises:
        SystemExit: the page has no such marks.
    """
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{path}: expected {BEGIN} and {END} in it")
    path.write_text(f"{before}{BEGIN}\n\n{table(record)}\n\n{END}{after}", encoding="utf-8")
