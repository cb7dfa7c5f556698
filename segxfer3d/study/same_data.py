"""Whether trainings that are compared were made from the same: files may change between two of them.

Names and sizes of files are part of what a trial of a study is. Here what they hold is compared, by what each run keeps
of it (``made_from.json``, see :mod:`segxfer3d.run.made_from`): values of cases, classes, modality, preprocessing, and
the weights that it started from, each among the trainings that no option makes differ in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segxfer3d import documents
from segxfer3d.changes import changes
from segxfer3d.config import groups
from segxfer3d.config.image_files import ImageFiles
from segxfer3d.config.options import infos
from segxfer3d.config.volume_files import VolumeFiles
from segxfer3d.errors import InputError, some
from segxfer3d.files import digest
from segxfer3d.study.restoring import AGAIN
from segxfer3d.study.trials import Trial

MADE_FROM = "made_from.json"
ACCEPTED = "accepted.json"
OTHER = "made from other data"
# trainings that differ in these alone read the same cases
_DRAWS = {
    "seed", "label_count", "label_fraction", "init", "checkpoint", "fold", "folds", "split_seed", "split_file",
    "pretrain_fraction", "validation_fraction", "test_fraction", "official_split", "patient_pattern",
    "accept_changed_data", "output_dir", "resume",
}  # fmt: skip
_READING = {
    name
    for group in (groups.Data, groups.Images, groups.Phantoms, VolumeFiles, ImageFiles)
    for name in infos(group)
    if name not in _DRAWS
}
_PREPROCESSING = ("spacing", "intensity", "window_low", "window_high", "image_size")
_MORE = ("extra_data", "cubes")  # of pretrainings, each as one fingerprint
_FINGERPRINT = re.compile(r"[0-9a-f]{32}")
_DIGITS = 8  # of a fingerprint in a record: 32 bits tell two states of a file apart


@dataclass(frozen=True)
class Training:
    """What is known of a training.

    Attributes:
        name: its folder, for messages.
        kind: ``pretrain`` or ``finetune``.
        bundle: of which.
        knobs: that are set, or all of them.
        parts: ``made_from.json``.
        accepted: ``accepted.json``, states of its cases that it went on with.
        start: what its checkpoint is called; those of one name have one. Empty: it is not compared.
    """

    name: str
    kind: str
    bundle: str
    knobs: Mapping[str, Any]
    parts: Mapping[str, Any]
    accepted: Sequence[Mapping[str, Any]] = ()
    start: str = ""


@dataclass
class Seen:
    """What trainings were made from, the first of each kind; the others are compared with it."""

    _first: dict[tuple[Any, ...], tuple[str, Any]] = field(default_factory=dict)

    def differences(self, training: Training) -> list[str]:
        """What a training was made from that is not as in those before, in words; nothing where all is."""
        knobs, parts = training.knobs, training.parts
        reading = digest({name: value for name, value in knobs.items() if name in _READING and value is not None})
        data = dict(parts.get("data") or {})
        channels = digest([data.get("channels"), data.get("channel_names")])
        wrong: dict[str, dict[str, None]] = {}  # of another training: the cases
        for state in (parts.get("cases"), *(entry.get("cases") for entry in training.accepted)):
            if isinstance(state, Mapping):
                for other, case in self._cases(training, reading, state, channels):
                    wrong.setdefault(other, {})[case] = None
        words = [f"{some(sorted(cases), 5, ', ')} not as in {other}" for other, cases in wrong.items()]
        of_bundle = (training.kind, training.bundle)
        sizes = digest({name: knobs.get(name) for name in _PREPROCESSING})
        modality = data.pop("modality", None)
        words += self._values(training.name, {"modality": modality} if modality else None, "modality", reading)
        words += self._values(training.name, data, "data", reading, *of_bundle)
        words += self._values(training.name, parts.get("preprocessing"), "preprocessing", reading, sizes, *of_bundle)
        others = digest({name: value for name, value in knobs.items() if name not in _DRAWS})
        for name in _MORE:
            words += self._values(training.name, {name: parts[name]} if name in parts else None, name, others)
        if training.start and parts.get("checkpoint"):
            words += self._values(training.name, {"checkpoint": parts["checkpoint"]}, "checkpoint", training.start)
        return words

    def _cases(
        self, training: Training, reading: str, state: Mapping[str, Any], channels: str
    ) -> Iterator[tuple[str, str]]:
        """Another training and the case that is not as in it; images are compared across bundles, labels where there
        are some, and who is there at all within a bundle."""
        for case, values in state.items():
            for number, value in enumerate(values if isinstance(values, list) else ()):
                if value:
                    key: tuple[Any, ...] = ("case", reading, channels, case, number)
                    other, known = self._first.setdefault(key, (training.name, value))
                    if _brief(known) != _brief(value):
                        yield other, case
        key = ("names", reading, training.kind, training.bundle)
        other, names = self._first.setdefault(key, (training.name, state.keys()))
        yield from ((other, case) for case in names ^ state.keys())

    def _values(self, name: str, values: Any, *key: str) -> Iterable[str]:
        if not values:
            return []
        other, known = self._first.setdefault(key, (name, values))
        return [f"{change} as in {other}" for change in changes(values, known)]


def in_short(parts: Mapping[str, Any]) -> dict[str, Any]:
    """``made_from.json`` for a record: what a comparison looks at. Fingerprints hardly compress, and each training has
    those of all cases.

    Example:
        >>> in_short({"cases": {"p1": ["15d70e0dd1ec387108eb99534399db4e", ""]}, "seen": {"p1": {}}, "split": {}})
        {'cases': {'p1': ['15d70e0d', '']}, 'split': {}}
    """
    cases = parts.get("cases")
    short = {name: value for name, value in parts.items() if name != "seen"}
    if isinstance(cases, Mapping):
        short["cases"] = {
            case: [_brief(value) for value in values] if isinstance(values, list) else values
            for case, values in cases.items()
        }
    return short


def _brief(value: Any) -> Any:
    return value[:_DIGITS] if isinstance(value, str) and _FINGERPRINT.fullmatch(value) else value


def refuse_other_data(trials: Sequence[Trial], folder: Path) -> None:
    """Refuse a study of which some trainings were made from another state of the data than others.

    Args:
        trials: of the study; those that are there and keep what they were made from are compared.
        folder: of the study.

    Raises:
        InputError: which, and what of it.
    """
    if wrong := differing(trials, folder):
        raise InputError(
            f"{folder}: its trainings saw different data, so they do not compare; bring the data back, delete the "
            f"folders of those that saw others, and run it again:\n  {some(wrong, 5, chr(10) + '  ')}"
        )


def differing(trials: Sequence[Trial], folder: Path) -> list[str]:
    """The trainings of a study that were made from another state of the data than those before, each with what.

    Those that are done come before the others, so that one that was stopped for it is named, and not what it differs
    from.
    """
    seen = Seen()
    ordered = sorted(trials, key=lambda trial: not (folder / trial.folder / "done.json").is_file())
    return [f"{trial.folder}: {words}" for trial in ordered if (words := compare(seen, trial, folder))]


def compare(seen: Seen, trial: Trial, folder: Path) -> str:
    """What a trial of a study was made from that is not as in those before it, in words; empty where all is."""
    place = folder / trial.folder
    parts, accepted = _read(place / MADE_FROM, {}), _read(place / ACCEPTED, [])
    if not parts:
        return ""
    # a pretraining that a record made again may have other weights, which is said of it (segxfer3d.study.restoring)
    start = str(trial.depends[0] if trial.depends else trial.knobs.get("checkpoint") or "")
    if (folder / start.replace("-", "/", 1) / AGAIN).is_file():
        start = ""
    training = Training(trial.folder, trial.kind, trial.config, trial.knobs, parts, accepted, start)
    return some(seen.differences(training), 5)


def _read(path: Path, nothing: Any) -> Any:
    """Of a run; nothing where an earlier version kept nothing, or it cannot be read: its own resume says so."""
    try:
        return documents.own(path) if path.is_file() else nothing
    except InputError:
        return nothing
