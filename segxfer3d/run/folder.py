"""A run is a folder that explains itself; a session is the process that fills it.

``Session`` is the first thing a bundle builds: it checks the command line and the knobs, joins the process group
that torchrun started, seeds, and picks the folder. Nothing is written before :meth:`Session.begin`, so that bad
input leaves nothing behind.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import platform
import random
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ignite
import ignite.distributed as idist
import monai
import numpy as np
import torch

import segxfer3d
from segxfer3d import files
from segxfer3d.config import command_line as guard
from segxfer3d.config.knobs import Knobs, differences
from segxfer3d.errors import InputError, some
from segxfer3d.run import processes

logger = logging.getLogger("segxfer3d")

_chosen: dict[tuple[str, bool], str] = {}
_open: list[Session] = []  # a session may run another inside: fine-tuning on phantoms pretrains first


def next_folder(base: str, resume: bool = False) -> str:
    """The folder of a new run below ``base`` (001, 002, ...), or of its newest run when ``resume``.

    Asked again within one process, before the run began, it gives the same answer (a bundle may be parsed twice).
    With several processes the first one chooses.
    """
    processes.join()
    if (base, resume) not in _chosen:
        taken = sorted(p.name for p in Path(base).glob("[0-9]*") if p.name.isdigit()) if Path(base).is_dir() else []
        if resume and not taken:
            raise InputError(f"resume: no run in {base} to go on with")
        number = int(taken[-1]) if resume else (int(taken[-1]) + 1 if taken else 1)
        _chosen[base, resume] = str(Path(base) / f"{number:03d}")
        if idist.get_world_size() > 1:
            _chosen[base, resume] = idist.broadcast(_chosen[base, resume], safe_mode=True)
    return _chosen[base, resume]


def check_command_line() -> None:
    """The first thing a bundle does: refuse overrides that would be ignored, and shorten errors from here on."""
    _chosen.clear()
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nothing is sent anywhere unless the user asks
    guard.start()


def open_sessions() -> list[Session]:
    """The sessions of this process that have not ended, the innermost last."""
    return list(_open)


def tracking_uri(session: Session) -> str:
    """Where ``--tracking mlflow`` records, if nothing else is said: ``mlruns.db`` in the run's folder (made here)."""
    if session.main:
        try:
            session.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"output_dir: {session.folder} cannot be written ({error})") from error
    return f"sqlite:///{(session.folder / 'mlruns.db').absolute()}"


def seed_everything(*numbers: int) -> None:
    """Seed Python, NumPy and torch from several numbers (seed, epoch, process)."""
    state = np.random.SeedSequence(list(numbers)).generate_state(3)
    random.seed(int(state[0]))
    np.random.seed(int(state[1]))  # noqa: NPY002  (libraries draw from the legacy generator)
    torch.manual_seed(int(state[2]))


def has_fast_bf16(device: str) -> bool:
    """Whether ``device`` multiplies bf16 faster than float32: a GPU that has it, a CPU with matrix units for it (AMX).

    Other CPUs emulate it, many times slower; those with AVX-512's bf16 instructions alone are slower than in float32
    too (docs/results/speed.md: 1.5 times, for a training step).

    A name that is no device, or a GPU that is not there, gives False: the session refuses it with a better message.
    """
    if device.startswith("cuda"):
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # older torch does not tell
    return any(capabilities.get(name, False) for name in ("amx_bf16", "bf16"))


def _processor() -> str:
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    name = capabilities.get("cpu_name") or platform.processor() or platform.machine()
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


def versions() -> dict[str, str]:
    """What the run was made with."""
    return {
        "segxfer3d": segxfer3d.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "monai": monai.__version__,
        "ignite": ignite.__version__,
        "numpy": np.__version__,
        "processor": _processor(),
        "threads": str(torch.get_num_threads()),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
    }


class Session:
    """One job in this process.

    Args:
        job: name of the bundle.
        knobs: the checked knobs.

    Raises:
        InputError: a bad command line, a device that is not there, a folder that cannot be used.
    """

    def __init__(self, job: str, knobs: Knobs) -> None:
        self.job = job
        self.knobs = knobs
        self.overrides = guard.start()
        processes.join()
        self.rank = idist.get_rank()
        self.world_size = idist.get_world_size()
        self.device = self._device(knobs.device)
        self.resume = bool(knobs.get("resume", False))
        self.folder = Path(knobs.output_dir)
        self._check_folder()
        self.finished = (self.folder / "done.json").is_file()
        self.records: dict[str, Any] = {}
        self._log: logging.FileHandler | None = None
        self.started = time.time()
        if self.device.type == "cuda":
            torch.backends.cudnn.benchmark = False
            torch.backends.cudnn.deterministic = True
        seed_everything(knobs.get("seed", 0))
        if knobs.get("amp") and not has_fast_bf16(str(self.device)):
            self.say(f"warning: bf16 is emulated on this {self.device.type} and slower than float32; --amp False")
        _open.append(self)

    @property
    def main(self) -> bool:
        """Whether this process is the one that writes and prints."""
        return self.rank == 0

    @property
    def path(self) -> Path:
        """Of the run's folder."""
        return self.folder

    def append_line(self, name: str, line: str) -> None:
        """Add a line to a text file of the run (main process only)."""
        if self.main:
            files.append_line(self.folder / name, line)

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write one file of the run, atomically (main process only); a folder in ``name`` is made."""
        if self.main:
            path = self.folder / name
            files.make_folder(path.parent)
            files.write_bytes(path, content)

    def _device(self, name: str) -> torch.device:
        try:
            device = torch.device(name)
        except RuntimeError:
            raise InputError(f"device: expected cpu, cuda or cuda:<n>, got {name!r}") from None
        if device.type == "cuda":
            if not torch.cuda.is_available():
                raise InputError(f"device: {name} asked for, but torch sees no GPU; --device cpu")
            if self.world_size > 1:
                device = idist.device()
            torch.cuda.set_device(device)
        return device

    def _check_folder(self) -> None:
        folder = self.folder
        if self.resume and not (folder / "run.json").is_file():
            raise InputError(f"resume: {folder} holds no run to go on with")
        if not self.resume and (folder / "run.json").exists():
            hint = "--resume True goes on with it, " if "resume" in self.knobs else ""
            raise InputError(f"output_dir: {folder} holds a run already; {hint}another --output_dir starts a new one")
        nearest = next(p for p in (folder, *folder.absolute().parents) if p.exists())
        if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
            raise InputError(f"output_dir: {folder} cannot be written ({nearest} is no writable folder)")
        if self.resume:
            self._check_run()

    def _check_run(self) -> None:
        """Refuse to go on with a run that is another one than this command means, or that still runs."""
        try:
            before = json.loads((self.folder / "run.json").read_text(encoding="utf-8"))
            job, knobs, count = before["job"], before["knobs"], before["processes"]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(f"resume: {self.folder / 'run.json'} cannot be read ({error})") from error
        if job != self.job:
            raise InputError(f"resume: {self.folder} holds a run of {job}, not of {self.job}")
        changed = differences(knobs, self.knobs)
        if count != self.world_size:
            changed.append(f"{count} processes, not {self.world_size}")
        if changed:
            raise InputError(
                f"resume: {self.folder} was started with {some(changed, 4)}. Repeat its command (it is in "
                "run.json) with --resume True, or start a new run"
            )
        log = self.folder / "log.txt"
        if self.main and log.exists():
            with log.open("a") as file:
                files.lock(file, self.folder)

    def say(self, text: str) -> None:
        """Tell the user, once whatever the number of processes."""
        if self.main:
            logger.info(text)

    def record(self, name: str, content: Any) -> None:
        """Have ``content`` saved as ``<name>.json`` when the run begins (at once if it has begun)."""
        self.records[name] = content
        if self._log is not None:
            self.write_json(f"{name}.json", content)

    def begin(self) -> None:
        """Everything checked: make the folder, start its log, and write what the run is.

        Raises:
            InputError: the folder cannot be written, or another process writes to it.
        """
        if self.main:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                self._log = logging.FileHandler(self.folder / "log.txt")
            except OSError as error:
                raise InputError(f"output_dir: {self.folder} cannot be written ({error})") from error
            if self._log.stream is not None:
                files.lock(self._log.stream, self.folder)
            if not self.resume and (self.folder / "run.json").exists():
                raise InputError(f"output_dir: another run began in {self.folder} meanwhile; start this one again")
            self._log.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
            for name in (None, "ignite"):  # ignite does not propagate, see logging.conf
                logging.getLogger(name).addHandler(self._log)
            if not self.resume:
                self.write_json("run.json", self.description())
            for name, content in self.records.items():
                self.write_json(f"{name}.json", content)
            if "resume" in self.knobs:
                guard.set_hint(f"--output_dir {self.folder} --resume True goes on from the last training state")
        self.say(f"{self.job}: writing to {self.folder}")

    def description(self) -> dict[str, Any]:
        """What the run is: knobs, versions, command."""
        return {
            "job": self.job,
            "knobs": dict(self.knobs),
            "overrides": self.overrides,
            "command": sys.argv,
            "versions": versions(),
            "processes": self.world_size,
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }

    def write_json(self, name: str, content: Any) -> None:
        """Write one JSON file of the run, atomically (main process only)."""
        if self.main:
            files.write_text(self.folder / name, json.dumps(content, indent=1, default=str) + "\n")

    def write_rows(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write one CSV file of the run, atomically (main process only)."""
        if self.main:
            text = io.StringIO(newline="")
            writer = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)))
            writer.writeheader()
            writer.writerows(rows)
            files.write_text(self.folder / name, text.getvalue())

    def end(self) -> None:
        """The run is finished: write how long it took, and close."""
        if not self.finished:
            self.write_json("done.json", {"seconds": round(time.time() - self.started, 1)})
        self.close()
        processes.leave_at_exit()

    def close(self) -> None:
        """Close the log, and with it the lock; also after a failure."""
        if self._log is not None:
            for name in (None, "ignite"):
                logging.getLogger(name).removeHandler(self._log)
            self._log.close()
            self._log = None
        if self in _open:
            _open.remove(self)
        guard.set_hint("")


RunFolder = Session  # until a run's folder is a class of its own
