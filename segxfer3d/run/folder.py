"""A run is a folder that explains itself.

Nothing is written before :meth:`RunFolder.begin`, so that bad input leaves nothing behind. All files of a run are
written here and by :mod:`segxfer3d.files`: whole or not at all, in UTF-8.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist

from segxfer3d import files
from segxfer3d.config import earlier, short_errors, stopping
from segxfer3d.config.groups import Run, Training
from segxfer3d.config.learning import STRONG
from segxfer3d.config.options import Options
from segxfer3d.errors import InputError
from segxfer3d.run import precision, processes
from segxfer3d.run.devices import Place, computes_faster_in_bf16, versions
from segxfer3d.run.made_from import FOLLOWING, MadeFrom
from segxfer3d.run.opening import refuse_folder
from segxfer3d.spreadsheets import scores_hash

logger = logging.getLogger("segxfer3d")

_chosen: dict[tuple[str, bool], str] = {}
_open: list[RunFolder] = []  # a run may have another inside: fine-tuning on phantoms pretrains first


def next_folder(base: str, resume: bool = False) -> str:
    """The folder of a new run below ``base`` (001, 002, ...), or of its newest run when ``resume``.

    Asked again within one process, before the run began, it gives the same answer (a bundle may be parsed twice).
    With several processes the first one chooses.
    """
    processes.join()
    key = (str(Path(base).absolute()), resume)
    if key not in _chosen:
        taken = sorted(p.name for p in Path(base).glob("[0-9]*") if p.name.isdigit()) if Path(base).is_dir() else []
        if resume and not taken:
            raise InputError(f"resume: no run in {base} to go on with")
        number = int(taken[-1]) if resume else (int(taken[-1]) + 1 if taken else 1)
        _chosen[key] = str(Path(base) / f"{number:03d}")
        if idist.get_world_size() > 1:
            _chosen[key] = idist.broadcast(_chosen[key], safe_mode=True)
    return _chosen[key]


def recipe_of(folder: str, resume: bool = False) -> str:
    """The recipe of a run where none is asked for: strong, or that of the run in ``folder`` which goes on."""
    return str(earlier.knobs_of(folder).get("recipe", STRONG)) if resume else STRONG


def open_runs() -> list[RunFolder]:
    """The runs of this process that have not ended, the innermost last."""
    return list(_open)


def tracking_uri(run: RunFolder) -> str:
    """Where ``--tracking mlflow`` records, if nothing else is said: ``mlruns.db`` in the run's folder (made here)."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nothing is sent anywhere unless the user asks
    run.make()
    return f"sqlite:///{(run.path / 'mlruns.db').absolute()}"


class RunFolder:
    """The folder that one job fills.

    Args:
        options: of the job.
        place: where it runs.
        pretext: what is pretrained by, in words, for reports: ``title``, ``scenario`` and ``citation``.

    Attributes:
        job: name of the bundle.
        path: of the folder.
        resume: whether a run that is there goes on.
        finished: whether that run had ended.
        before_close: what has to end while the folder is still held.
        started_from: the entry of its model for what its start was trained on; empty before one is loaded, or of none.

    Raises:
        InputError: a folder that cannot be used, or a run in it that is another one than this command means.
    """

    def __init__(self, options: Options, place: Place, pretext: Mapping[str, str] | None = None) -> None:
        self.options = options
        self.place = place
        self.pretext = dict(pretext or {})
        self.job = options.job
        training = options.find(Training)
        self.can_resume = training is not None
        self.resume = training is not None and training.resume
        self.path = Path(options[Run].output_dir)
        refuse_folder(self.path, options, place, resume=self.resume, can_resume=self.can_resume)
        self.finished = (self.path / "done.json").is_file()
        self.made_from = MadeFrom(
            self.path,
            resume=self.resume,
            accept=training is not None and training.accept_changed_data,
            finished=self.finished,
        )
        self.made_from.take(configuration=options.components, steps=options.steps)
        self.before_close: list[Callable[[], None]] = []
        self.started_from: dict[str, Any] = {}
        self._records: dict[str, Any] = {}
        self._log: logging.FileHandler | None = None
        self._started = time.time()
        if options[Run].amp and not computes_faster_in_bf16(options[Run].device):
            self.say(f"warning: bf16 is not faster than float32 on this {place.device.type}; --amp False")
        _open.append(self)

    @property
    def main(self) -> bool:
        """Whether this process is the one that writes and prints."""
        return self.place.main

    def say(self, text: str) -> None:
        """Tell the user, once whatever the number of processes."""
        if self.main:
            logger.info(text)

    def record(self, name: str, content: Any) -> None:
        """Have ``content`` saved as ``<name>.json`` when the run begins (at once if it has begun)."""
        self._records[name] = content
        if self._log is not None:
            self.write_json(f"{name}.json", content)

    def record_path(self, name: str) -> Path | None:
        """Where the record of this name lies, or will when the run begins; None where there is none."""
        path = self.path / f"{name}.json"
        return path if name in self._records or path.is_file() else None

    def goes_on_with(self, name: str) -> bool:
        """Whether this is a run that goes on with its record ``name``; whoever reads it says what is wrong with it.

        One that was killed before the record was written, and before it trained, starts over, which is said.
        """
        if not self.resume:
            return False
        path = self.path / f"{name}.json"
        if path.exists() or self.finished or any((self.path / "checkpoints").glob("*")):
            return True
        self.say(f"resume: {path} was not written; the run starts from the beginning")
        return False

    def make(self) -> None:
        """Make the folder (main process only).

        Raises:
            InputError: it cannot be made.
        """
        if self.main:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(f"output_dir: {self.path} cannot be written ({error})") from error

    def begin(self) -> None:
        """Everything checked: make the folder, start its log, and write what the run is.

        Raises:
            InputError: the folder cannot be written, or another process writes to it.
        """
        if self.main:
            self.make()
            try:
                self._log = logging.FileHandler(self.path / "log.txt", encoding="utf-8")
            except OSError as error:
                raise InputError(f"output_dir: {self.path} cannot be written ({error})") from error
            if self._log.stream is not None:
                files.lock(self._log.stream, self.path)
            for folder in (self.path, self.path / "checkpoints", self.path / "pictures"):
                files.sweep(folder)
            if not self.resume and (self.path / "run.json").exists():
                raise InputError(f"output_dir: another run began in {self.path} meanwhile; start this one again")
            self._log.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
            for name in (None, "ignite"):  # ignite does not propagate, see logging.conf
                logging.getLogger(name).addHandler(self._log)
            for name, content in self._records.items():
                self._write_record(f"{name}.json", content)
            self.made_from.write()
            if not self.resume:  # last: a folder with it has all that a run that goes on needs
                self.write_json("run.json", self.description())
            if self.can_resume:
                short_errors.set_hint(f"--output_dir {self.path} --resume True goes on from the last training state")
        self.say(f"{self.job}: writing to {self.path}")

    def _write_record(self, name: str, content: Any) -> None:
        """What a run was started with stays; what is gone of it is written again, and that is said."""
        if self.resume and (self.path / name).exists():
            return
        self.write_json(name, content)
        if self.resume and name in FOLLOWING:
            self.say(self.made_from.written_again(name))

    def description(self) -> dict[str, Any]:
        """What the run is: options, versions, command."""
        about: dict[str, Any] = {
            "job": self.job,
            "knobs": self.options.values,
            "overrides": self.options.typed,
            "command": sys.argv,
            "versions": versions(),
            "precision": precision.chosen(self.options),
            "processes": self.place.world_size,
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
        return about | ({"pretext": self.pretext} if self.pretext else {})

    def write_json(self, name: str, content: Any) -> None:
        """Write one JSON file of the run, atomically (main process only)."""
        if self.main:
            files.write_json(self.path / name, content)

    def write_rows(self, name: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> None:
        """Write one CSV file of the run, atomically (main process only).

        Args:
            name: of the file.
            rows: column to value.
            columns: their order; by default as they come in the rows.
        """
        if self.main:
            files.write_rows(self.path / name, rows, columns or None)

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write one file of the run, atomically (main process only); a folder in ``name`` is made."""
        if self.main:
            path = self.path / name
            files.make_folder(path.parent, parents=False)
            files.write_bytes(path, content)

    def append_line(self, name: str, line: str) -> None:
        """Add a line to one text file of the run (main process only)."""
        if self.main:
            files.append_line(self.path / name, line)

    def end(self) -> None:
        """The run is finished: write how long it took and the hash of its scores, and close."""
        if not self.finished:
            if self.main and not (self.path / "run.json").is_file():
                raise InputError(f"{self.path} was deleted, or its run.json, while the run went on; start it again")
            cases = self.path / "cases.csv"
            known = {"cases": scores_hash(cases.read_text(encoding="utf-8"))} if cases.is_file() else {}
            self.write_json("done.json", {"seconds": round(time.time() - self._started, 1), **known})
        self.close()
        processes.leave_at_exit()

    def close(self) -> None:
        """Close the log, and with it the lock; also after a failure."""
        stopping.wait(False)
        while self.before_close:
            self.before_close.pop()()
        if self._log is not None:
            for name in (None, "ignite"):
                logging.getLogger(name).removeHandler(self._log)
            self._log.close()
            self._log = None
        if self in _open:
            _open.remove(self)
        for key in [key for key, folder in _chosen.items() if Path(folder) == self.path]:
            del _chosen[key]
        short_errors.set_hint("")
