"""Folders of which one file is damaged: any, a command line, and a run that was killed and goes on."""

from __future__ import annotations

import io
import json
import runpy
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch
from torture_jobs import TinyJob, fingerprint
from torture_kills import Bench
from torture_mutations import changed_bytes, changed_json, changed_text, changed_value, odd_value
from torture_start import Writes
from torture_worker import names_of_file

from segxfer3d.config.options import load_table
from segxfer3d.config.short_errors import root_cause
from segxfer3d.run.folder import RunFolder

MODEL = "model.pt"
SLOW = 4  # a training is tried in one of so many rounds
EXACT = "exact.json"  # whether a run that goes on has to end with the weights of an unbroken one
_ODD_WORDS = (
    "", "0", "-1", "1e300", "nan", "inf", "None", "True", "x", "[]", "[1,2]", "[0,0,0]", "[16,16]", "{}", "1,2", "()",
    "10" * 20, "1e-300", "\udcff", "a" * 5000, "#", "@lr", "%lr", "..", "/dev/null", "'", '"', "é", "--lr", "16,16,8",
)  # fmt: skip


class Files:
    """A folder in which one file is damaged.

    Args:
        name: of the kind.
        make: the good folder, written into a new one.
        which: of its files are damaged.
        use: reads the folder.
    """

    group = "others"
    every = 1

    def __init__(
        self, name: str, make: Callable[[Path], None], which: Sequence[str], use: Callable[[Path], None]
    ) -> None:
        self.name, self.make, self.which, self.use = name, make, which, use
        self.good = Path()

    def prepare(self, root: Path) -> None:
        """Write the good folder."""
        self.good = root / self.name
        self.good.mkdir(parents=True)
        self.make(self.good)

    def damage(self, place: Path, rng: Random) -> Path:
        """See :class:`torture_worker.Kind`."""
        shutil.copytree(self.good, place, dirs_exist_ok=True, symlinks=True)
        files = sorted({path for pattern in self.which for path in place.glob(pattern)})
        path = rng.choice(files)
        path.write_bytes(_changed(path, rng, str(place)))
        return path

    def names(self, place: Path, damaged: Path) -> set[str]:
        """See :class:`torture_worker.Kind`."""
        return names_of_file(place, damaged)

    def read(self, place: Path) -> None:
        """See :class:`torture_worker.Kind`."""
        self.use(place)


def _changed(path: Path, rng: Random, place: str) -> bytes:
    content = path.read_bytes()
    if rng.random() < 0.03:
        return b""
    if path.suffix in (".json", ".yaml") and rng.random() < (0.9 if path.suffix == ".json" else 0.4):
        return changed_json(json.loads(content), rng, place)
    if path.suffix == ".jsonl" and rng.random() < 0.8:
        lines = content.splitlines()
        at = rng.randrange(len(lines))
        lines[at] = changed_json(json.loads(lines[at]), rng, place)
        return b"\n".join(lines) + b"\n"
    if path.name == "model.pt" and rng.random() < 0.5:
        return changed_content(path, rng, place)
    if path.suffix in (".pt", ".npz"):
        return changed_bytes(content, rng)
    if rng.random() < 0.6:
        return changed_text(content, rng, head=len(content))
    return changed_bytes(content, rng)


def changed_content(path: Path, rng: Random, place: str) -> bytes:
    """A file of torch with other content."""
    changed = changed_value(torch.load(path, weights_only=True), rng, place)
    if rng.random() < 0.5:
        changed = _other_tensors(changed, rng)
    file = io.BytesIO()
    torch.save(changed, file)
    return file.getvalue()


def _other_tensors(value: Any, rng: Random) -> Any:
    """Some tensors in place of others: of another type or shape, not finite, or larger than their storage."""
    if isinstance(value, dict):
        return {key: _other_tensors(part, rng) for key, part in value.items()}
    if not isinstance(value, torch.Tensor) or rng.random() < 0.9:
        return value
    whole = rng.choice((torch.int64, torch.bool, torch.float64, torch.complex64, torch.bfloat16))
    return rng.choice(
        (
            lambda: value.to(whole), lambda: value.reshape(-1), lambda: torch.zeros(3),
            lambda: torch.full_like(value, float("nan") if value.is_floating_point() else 9),
            lambda: torch.zeros(1).expand(10**10), lambda: torch.zeros(0), lambda: torch.zeros((1,) * 20),
            lambda: torch.eye(3).to_sparse(), lambda: value[None],
        )
    )()  # fmt: skip


class _EnoughError(Exception):
    """The options have been read."""


def _options(place: Path) -> None:
    """As ``python -m monai.bundle run`` reads its command line, up to what needs the options."""

    def enough(*_: object, **__: object) -> None:
        raise _EnoughError

    words = json.loads((place / "words.json").read_text(encoding="utf-8"))
    before, sys.argv = sys.argv, ["monai.bundle", *words]
    made, RunFolder.__init__ = RunFolder.__init__, enough  # type: ignore[method-assign]
    try:
        runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
    except Exception as error:
        if not isinstance(root_cause(error), _EnoughError):
            raise
    finally:
        sys.argv, RunFolder.__init__ = before, made  # type: ignore[method-assign]


class Overrides(Files):
    """Options on the command line, one to three of them odd.

    Args:
        name: of the kind.
        make: writes what the options name.
    """

    def __init__(self, name: str, make: Callable[[Path], None]) -> None:
        super().__init__(name, make, [], _options)

    def damage(self, place: Path, rng: Random) -> Path:
        """See :class:`torture_worker.Kind`."""
        shutil.copytree(self.good, place, dirs_exist_ok=True, symlinks=True)
        bundle = rng.choice(("genesis_pretrain", "genesis_finetune", "simclr_pretrain", "unet2d_finetune"))
        file = Path(__file__).parents[1] / "bundles" / f"{bundle}.json"
        known = [name for name in json.loads(file.read_text(encoding="utf-8")) if name in load_table()]
        words = ["run", "--config_file", str(file)]
        words += ["--output_dir", str(place / "run"), "--dataset_dir", str(place / "set")]
        for name in rng.sample(known, rng.randint(1, 3)):
            value = rng.choice(_ODD_WORDS) if rng.random() < 0.6 else str(odd_value(rng))
            if value.startswith("$") or name in ("output_dir", "dataset_dir"):
                continue
            forms = [[f"--{name}={value}"], [f"--{name}", value], [f"--{name}"], [f"--{name}s={value}"]]
            words += rng.choices(forms, (8, 8, 1, 1))[0]
        path = place / "words.json"
        path.write_text(json.dumps(words), encoding="utf-8")
        return path

    def names(self, place: Path, damaged: Path) -> set[str]:
        """See :class:`torture_worker.Kind`."""
        words = json.loads(damaged.read_text(encoding="utf-8"))
        options = {word[2:].partition("=")[0] for word in words[3:] if word.startswith("--")}
        return options | {place.name, *(word for word in words[3:] if word[:30])}


class Stopped(Files):
    """A run that was killed; one of its files is damaged, and it goes on: where it does, to an unbroken run's bits.

    Where a state was written anew, its values may be others, and its end is not compared.
    """

    def __init__(self, name: str, job: TinyJob, bench: Bench, which: Sequence[str]) -> None:
        super().__init__(name, self._killed, which, self._go_on)
        self.every = SLOW
        self.job, self.bench = job, bench
        self.expected = ""

    def names(self, place: Path, damaged: Path) -> set[str]:
        """See :class:`torture_worker.Kind`."""
        return {damaged.name, self.bench.folder.name}

    def _killed(self, place: Path) -> None:
        self.bench.clear()
        self.job.run(self.bench.folder, False)
        self.expected = fingerprint(self.bench.folder / MODEL)
        self.bench.clear()
        self.bench.start(self.job, Writes(self.bench.folder, to=MODEL))  # with two states, the older one of use too
        shutil.copytree(self.bench.folder, place, dirs_exist_ok=True)
        self.bench.clear()

    def damage(self, place: Path, rng: Random) -> Path:
        """See :class:`torture_worker.Kind`."""
        shutil.rmtree(self.bench.folder, ignore_errors=True)
        shutil.copytree(self.good, self.bench.folder)
        place.mkdir(exist_ok=True)
        files = sorted({path for pattern in self.which for path in self.bench.folder.glob(pattern)})
        path = rng.choice(files)
        exact = path.suffix != ".pt" or rng.random() < 0.5
        path.write_bytes(_changed(path, rng, str(place)) if exact else changed_content(path, rng, str(place)))
        (place / EXACT).write_text(json.dumps(exact), encoding="utf-8")
        return Path(shutil.copy(path, place))

    def _go_on(self, place: Path) -> None:
        self.job.again(self.bench.folder)
        exact = json.loads((place / EXACT).read_text(encoding="utf-8"))
        if exact and fingerprint(self.bench.folder / MODEL) != self.expected:
            raise AssertionError("went on without a word, and ended with other weights")
