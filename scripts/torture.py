"""Kills, full disks and damaged inputs without end: nothing may be lost, changed without a word, or hang.

``python scripts/torture.py --minutes 60 --record FILE.json --page docs/reliability.md``: all parts, which share the
time; ``python scripts/torture.py kills inputs``: these. Exit status 1 where something failed; each failure is said with
what repeats it (``--repeat "NIfTI .nii:0:17"``: kind, seed and number), and a damaged input that failed stays in the
scratch folder. Inputs that break an outside reader are not for others: commit neither them nor how they are made.

Jobs are tiny, on generated volumes. All of them are forked from this process, which has run each once. Linux only.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path

# before anything counts cores: one core is what a torture run may take, and threads do not survive a fork
os.environ |= {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "SEGXFER3D_AMP": "False"}

from torture_disks import can_mount, disk_trials
from torture_files import files_of
from torture_jobs import TinyJob, jobs_of
from torture_kills import Bench, kill_trials
from torture_record import PARTS, Tally, about, keep, read_record, write_page
from torture_volumes import IMAGES, VOLUMES
from torture_worker import Kind, Outcome, Worker, one_trial, run_trials

_SHARES = {"kills": 0.55, "disks": 0.1, "inputs": 0.35}  # of the time
_SHARES_OF_INPUTS = {"volumes": 0.45, "images": 0.1, "others": 0.45}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that are asked for; 1 where something failed."""
    asked = _parser().parse_args(arguments)
    parts = asked.parts or list(PARTS)
    if unknown := [part for part in parts if part not in PARTS]:
        raise SystemExit(f"unknown part {unknown[0]}; expected {', '.join(PARTS)}")
    if asked.table:
        write_page(asked.page, read_record(asked.record))
        return 0
    scratch = Path(tempfile.mkdtemp(prefix="torture-", dir=asked.scratch))
    began = time.monotonic()
    tally = Tally()
    try:
        if asked.jobs > 1:
            _at_a_time(asked, parts, tally, scratch)
            parts = []
        made = _Made(scratch)
        if asked.repeat:
            return _repeat(asked.repeat, made)
        for part in parts:
            left = began + 60 * asked.minutes - time.monotonic()
            share = _SHARES[part] / sum(_SHARES[other] for other in parts[parts.index(part) :])
            until = time.monotonic() + max(0.0, left) * share
            _PARTS[part](made, tally, asked.seed, until)
            print(f"{part}: {_said(tally, part)}", flush=True)
    finally:
        if not tally.failures:
            shutil.rmtree(scratch, ignore_errors=True)
    if asked.record:
        minutes = asked.jobs * (time.monotonic() - began) / 60
        record = keep(asked.record, tally, about(minutes, asked.seed, asked.parts or list(PARTS)))
        if asked.page:
            write_page(asked.page, record)
    print(f"{len(tally.failures)} failures{f'; inputs that failed are in {scratch}' if tally.failures else ''}")
    return int(bool(tally.failures))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("parts", nargs="*", help=f"What to do: {', '.join(PARTS)} [all].")
    parser.add_argument("--minutes", type=float, default=2.0, help="Of all parts together [2].")
    parser.add_argument("--seed", type=int, default=0, help="Of everything drawn [0].")
    parser.add_argument("--jobs", type=int, default=1, help="So many runs at a time, with seeds from --seed on [1].")
    parser.add_argument("--record", type=Path, help="JSON that the counts are added to.")
    parser.add_argument("--page", type=Path, help="Page whose table is written anew from the record.")
    parser.add_argument("--table", action="store_true", help="Only write the page from the record.")
    parser.add_argument("--repeat", help="One damaged input again, with its trace: KIND:SEED:NUMBER.")
    parser.add_argument("--scratch", type=Path, help="Folder for all files [the system's temporary one].")
    return parser


def _at_a_time(asked: argparse.Namespace, parts: Sequence[str], tally: Tally, scratch: Path) -> None:
    """Runs of this script beside each other, each with a core; their counts and failures are taken together."""
    started = []
    for number in range(asked.jobs):
        record = scratch / f"record-{number}.json"
        words = [sys.executable, __file__, *parts, "--minutes", str(asked.minutes), "--seed", str(asked.seed + number)]
        words += ["--record", str(record), "--scratch", str(scratch)]
        started.append((subprocess.Popen(words, stdout=subprocess.PIPE, text=True), record))
    for process, record in started:
        said, _ = process.communicate()
        tally.merge(read_record(record)["counts"])
        print(said, end="", flush=True)
        tally.failures += [line.removeprefix("FAILED ") for line in said.splitlines() if line.startswith("FAILED ")]
        if process.returncode and not record.exists():
            tally.failures.append(f"a run ended with exit status {process.returncode}")


class _Made:
    """What the parts share, made when it is first asked for: jobs that have run once, and good inputs."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self._jobs: list[TinyJob] = []

    @property
    def jobs(self) -> list[TinyJob]:
        """The jobs, each of which this process has run: what is imported and compiled is there in its forks."""
        if not self._jobs:
            warnings.simplefilter("ignore")
            root = self.scratch / "jobs"
            with _quiet(self.scratch / "output.txt"):
                self._jobs = jobs_of(root)
                for job in self._jobs:
                    job.run(root / "warm" / job.name, False)
        return self._jobs

    def kinds(self, group: str = "") -> list[Kind]:
        """All kinds of inputs of a group, their good ones written."""
        kinds: list[Kind] = [*VOLUMES, *IMAGES]
        if group in ("", "others"):
            kinds += files_of(self.scratch / "jobs", self.jobs, Bench(self.scratch / "stopped"))
        kinds = [kind for kind in kinds if group in ("", kind.group)]
        with _quiet(self.scratch / "output.txt"):
            for kind in kinds:
                kind.prepare(self.scratch / "good")
        return kinds


class _quiet:
    """What jobs print goes to a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self.before = [os.dup(number) for number in (1, 2)]
        with self.path.open("ab") as file:
            for number in (1, 2):
                os.dup2(file.fileno(), number)

    def __exit__(self, *_: object) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, before in zip((1, 2), self.before, strict=True):
            os.dup2(before, number)
            os.close(before)


def _kills(made: _Made, tally: Tally, seed: int, until: float) -> None:
    def say(what: str, number: int, problem: str, seconds: float) -> None:
        kind = what.partition(",")[0]
        tally.add("kills", kind, number=number, seconds=seconds)
        if problem:
            tally.fail("kills", kind, f"{what} of seed {seed}: {problem}")

    kill_trials(Bench(made.scratch / "kills"), made.jobs, seed=seed, until=until, first=_first(seed), say=say)


def _disks(made: _Made, tally: Tally, seed: int, until: float) -> None:
    if why := can_mount(made.scratch / "disk"):
        print(f"disks: skipped, no small file system can be mounted here ({why})")
        return

    def say(what: str, number: int, problem: str, seconds: float) -> None:
        kind = what.partition(",")[0]
        tally.add("disks", kind, number=number, seconds=seconds)
        if problem:
            tally.fail("disks", kind, f"{what} of seed {seed}: {problem}")

    disk_trials(made.scratch / "disk", made.jobs, seed=seed, until=until, first=_first(seed), say=say)


def _inputs(made: _Made, tally: Tally, seed: int, until: float) -> None:
    def say(name: str, number: int, outcome: Outcome) -> None:
        words = {outcome.word: 1} if outcome.good else {}
        tally.add("inputs", name, seconds=outcome.seconds, growth=outcome.growth, **words)
        if not outcome.good:
            tally.fail("inputs", name, f"{outcome.word}, {outcome.detail} (--repeat '{name}:{seed}:{number}')")

    left = dict(_SHARES_OF_INPUTS)
    for group in _SHARES_OF_INPUTS:
        kinds = made.kinds(group)
        seconds = max(0.0, until - time.monotonic()) * left[group] / sum(left.values())
        del left[group]
        worker = Worker(kinds, seed, made.scratch / "inputs")
        names = [kind.name for kind in kinds]
        run_trials(worker, names, until=time.monotonic() + seconds, first=0, say=say)


def _first(seed: int) -> int:
    """The number of the first trial, so that runs of other seeds kill at other writes."""
    return 1000 * seed


def _repeat(what: str, made: _Made) -> int:
    name, seed, number = what.rsplit(":", 2)
    kind = next(kind for kind in made.kinds() if kind.name == name)
    place = made.scratch / f"{name}-{seed}-{number}"
    read = kind.read

    def shown(place: Path) -> None:
        try:
            read(place)
        except BaseException:
            traceback.print_exc()
            raise

    kind.read = shown  # type: ignore[method-assign]
    print(one_trial(kind, int(seed), int(number), place))
    return 0


def _said(tally: Tally, part: str) -> str:
    kinds = tally.counts.get(part, {})
    return ", ".join(f"{kind} {of['tried']:.0f}" for kind, of in kinds.items()) or "nothing tried"


_PARTS = {"kills": _kills, "disks": _disks, "inputs": _inputs}

if __name__ == "__main__":
    raise SystemExit(main())
