"""The committed records of the baseline: a JSON file and compressed cases for each trial, byte for byte repeatable."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

from baseline_grid import VARIANTS, WIDE, Trial, all_trials, rates_of

from segxfer3d import files
from segxfer3d.errors import InputError
from segxfer3d.study.records import content_hash, packed

Tables = Mapping[str, Sequence[Mapping[str, Any]]]

PLAIN = "plain"  # without mirroring; nnU-Net's second table


@dataclass(frozen=True)
class Record:
    """What is known of a trial.

    Attributes:
        trial: that was run.
        about: seconds, steps, settings and versions.
        rows: a row for each case, in the columns of ``cases.csv``.
        others: the same with another inference, by its name.
    """

    trial: Trial
    about: dict[str, Any]
    rows: list[dict[str, str]]
    others: dict[str, list[dict[str, str]]] = field(default_factory=dict)

    def with_inference(self, name: str) -> Record | None:
        """The same training with another inference; None where it was not measured."""
        return Record(self.trial, self.about, self.others[name]) if name in self.others else None

    @property
    def dice(self) -> float:
        """Mean over patients, in points."""
        return 100 * mean(self.by_patient().values())

    def by_patient(self) -> dict[str, float]:
        """Dice of each patient in [0, 1], the mean of his cases."""
        of: dict[str, list[float]] = {}
        for row in self.rows:
            of.setdefault(row["patient"], []).append(float(row["dice"]))
        return {patient: mean(values) for patient, values in sorted(of.items())}


def keep(folder: Path, trial: Trial, about: Mapping[str, Any], tables: Tables) -> None:
    """Add a trial to the records.

    Args:
        folder: of all records.
        trial: that was run.
        about: what its program wrote of it.
        tables: name to rows; "" for the cases that count, or the name of another inference, such as ``plain``.
    """
    path = folder / trial.path
    rows = [{"inference": name, **row} for name, table in tables.items() for row in table]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    files.make_folder(path.parent)
    files.write_bytes(Path(f"{path}.csv.gz"), packed(text.getvalue()))
    content = {"trial": trial.as_dict(), **about, "cases": content_hash(text.getvalue())}
    files.write_text(Path(f"{path}.json"), json.dumps(content, indent=None, sort_keys=True) + "\n")


def is_kept(folder: Path, trial: Trial) -> bool:
    """Whether a trial is among the records."""
    return Path(f"{folder / trial.path}.json").is_file()


def read(folder: Path, trial: Trial) -> Record:
    """The record of a trial.

    Raises:
        InputError: it is damaged, its cases were edited, or it is of another trial than its place says.
    """
    path = folder / trial.path
    try:
        about = json.loads(Path(f"{path}.json").read_text(encoding="utf-8"))
        text = gzip.decompress(Path(f"{path}.csv.gz").read_bytes()).decode()
        rows = list(csv.DictReader(io.StringIO(text)))
        if about.pop("trial") != trial.as_dict() or not rows:
            raise InputError(f"{path}: the record of another trial")
        if about.pop("cases") != content_hash(text):
            raise InputError(f"{path}.csv.gz: its cases were edited after they were recorded")
        tables: dict[str, list[dict[str, str]]] = {}
        for row in rows:
            tables.setdefault(row["inference"], []).append(row)
        measured = tables.pop("")
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: a damaged record ({error})") from error
    return Record(trial, about, measured, tables)


def read_all(folder: Path, trials: Sequence[Trial] | None = None) -> list[Record]:
    """Every record that is there, in the order of the trials."""
    return [read(folder, trial) for trial in trials or all_trials() if is_kept(folder, trial)]


def best_variant(records: Sequence[Record]) -> str:
    """The variant of nnU-Net with the highest mean dice on validation patients, of the four of one width.

    Raises:
        InputError: one has not been run with both seeds.
    """
    return _best(records, "variants", "nnunet", [name for name in VARIANTS if name != WIDE], ["hippocampus"])


def best_rate(records: Sequence[Record], method: str) -> str:
    """The learning rate of a method with the highest dice on validation patients, mean of the means of both data sets,
    as a choice of :func:`baseline_grid.rates_of`.

    Raises:
        InputError: one has not been run with both seeds on both.
    """
    places = ["hippocampus", "nodules"]
    return _best(records, "rates", method, rates_of(method), places)


def _best(records: Sequence[Record], stage: str, method: str, choices: Sequence[str], data: Sequence[str]) -> str:
    wanted = [t for t in all_trials() if (t.stage, t.method) == (stage, method) and t.choice in choices]
    found = {record.trial: record.dice for record in records}
    if lost := [trial.path for trial in wanted if trial not in found]:
        raise InputError(f"{stage} of {method}: {len(lost)} trials to run before the choice, such as {lost[0]}")
    return max(
        choices,
        key=lambda choice: mean(
            mean(found[t] for t in wanted if (t.choice, t.data) == (choice, place)) for place in data
        ),
    )


def refuse_mixed(records: Sequence[Record]) -> None:
    """Refuse records of one method and data set, in the grid, that were not made with the same settings.

    Raises:
        InputError: two that differ, with what they differ in.
    """
    seen: dict[tuple[str, str], tuple[Record, dict[str, Any]]] = {}
    for record in records:
        if record.trial.stage != "grid":
            continue
        settings = record.about["settings"]
        first, expected = seen.setdefault((record.trial.method, record.trial.data), (record, settings))
        if odd := sorted(key for key in settings.keys() | expected.keys() if settings.get(key) != expected.get(key)):
            raise InputError(f"{record.trial.path}: other settings than {first.trial.path} ({', '.join(odd)})")
