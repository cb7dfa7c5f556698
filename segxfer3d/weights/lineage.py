"""What a model was trained on: itself, and through the checkpoints that it started from.

A model notes the trainings of its start (``started_from``: the nearest first, each as its own checkpoint noted it), for
what those saw is in its weights, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

from segxfer3d.config.initializations import INITIALIZATIONS, needs_checkpoint
from segxfer3d.weights import checkpoint
from segxfer3d.weights.formats.base import read_content

STARTED_FROM = "started_from"
# what is kept of a start: whose values are for inference, or for its own training alone, stays in its own file
_KEPT = (
    "job", "init", "pretext", "trained_parts", "data", "store", "cubes", "target", "cases", "patients", "cases_hash",
    "contents", "official_parts", "extra", "extra_data",
)  # fmt: skip
# data sets of the same files: cases of one name are one picture, or a part of it
_FILES_OF = {"cityscapes_cars": "cityscapes"}
_UNKNOWN = "a checkpoint whose training is not noted"


@dataclass
class Sighting:
    """Cases that a model has seen while it, or what it started from, was trained.

    Attributes:
        through_start: by a training that it started from, not by its own.
        masks: with their masks.
        extra: among images of another data set that a pretext was given beside its own.
        patients: who are known by name.
        layout: that of the data set of ``patients`` where it is another layout of the same files, else empty.
        nameless: the cube store that ``patients`` are from where it does not say of which data set it is, else empty.
        contents: of further cases, what they show.
        places: the data sets in which they were.
    """

    through_start: bool
    masks: bool
    extra: bool
    patients: set[str] = field(default_factory=set)
    layout: str = ""
    nameless: str = ""
    contents: set[str] = field(default_factory=set)
    places: list[str] = field(default_factory=list)

    @property
    def how(self) -> str:
        """With masks or without, in words to put behind what was seen."""
        return f"{'with' if self.masks else 'without'} their masks{', as extra images' if self.extra else ''}"


def start_of(path: str | PathLike[str]) -> list[dict[str, Any]]:
    """What a model notes of the checkpoint that it starts from; nothing where that is from elsewhere and says nothing.

    Args:
        path: of the checkpoint.

    Raises:
        InputError: it cannot be read.
    """
    if "format" not in read_content(path):
        return []
    provenance = checkpoint.read_model(path)["provenance"]
    own = {name: provenance[name] for name in _KEPT if name in provenance}
    return _distinct([own, *provenance.get(STARTED_FROM, [])])


def together(provenances: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The starts of several models."""
    return _distinct([start for provenance in provenances for start in provenance.get(STARTED_FROM, [])])


def sightings(
    provenance: Mapping[str, Any], *, name: str, patients: Set[str], contents: Mapping[str, str]
) -> list[Sighting]:
    """Which of some cases a model has seen: by its own training first, then through its start, with masks first.

    Cases of one data set, and of another layout of its files, are told by their patients, and so are those of a cube
    store that does not say of which data set it is; all also by what they show, under any folder and name.

    Args:
        provenance: of the model.
        name: of the data set that the cases are of.
        patients: of the cases.
        contents: what they show, see :mod:`segxfer3d.data.content_hash`: each hash that a case is known by, and the
            one that stands for the case.
    """
    found: dict[tuple[bool, bool, bool], Sighting] = {}
    for kind, training in _trainings(provenance):
        seen = patients_seen(training, name) & patients
        shown = {contents[value] for value in training.get("contents", []) if value in contents}
        if not seen and not shown:
            continue
        sighting = found.setdefault(kind, Sighting(*kind))
        place = _place(training)
        if seen:
            data = training.get("data")
            named = _same_files(data, name) or (sighting.patients and not sighting.nameless)
            sighting.layout = str(data) if _same_files(data, name) and data != name else sighting.layout
            sighting.nameless = "" if named else place
            sighting.patients |= seen
        else:
            sighting.contents |= shown
            sighting.places += [] if place in sighting.places else [place]
    return [found[kind] for kind in sorted(found, key=lambda kind: (kind[0], not kind[1], kind[2]))]


def _trainings(provenance: Mapping[str, Any]) -> Iterator[tuple[tuple[bool, bool, bool], Mapping[str, Any]]]:
    """What a model was trained on, data set by data set: through a start, with masks, as extra images; and which."""
    for number, training in enumerate([provenance, *provenance.get(STARTED_FROM, [])]):
        kind = number > 0, _saw_masks(training)
        yield (*kind, False), training
        if "extra" in training:
            yield (*kind, True), training["extra"]


def _saw_masks(training: Mapping[str, Any]) -> bool:
    """Only the segmentation pretext and fine-tuning see masks."""
    return bool(training.get("pretext", "Segmentation") == "Segmentation")


def _place(training: Mapping[str, Any]) -> str:
    """The data set of a training; earlier versions did not say which cases are extra ones of another."""
    place, extra = str(training.get("data")), training.get("extra_data")
    return f"{place} or {extra}" if extra else place


def patients_seen(provenance: Mapping[str, Any], name: str) -> set[str]:
    """The patients of a data set that a training may have seen; those of cube stores of earlier versions are of any.

    Args:
        provenance: of the training.
        name: of the data set.
    """
    nameless = "cubes" in provenance and "store" not in provenance  # the store's folder is called so, not its data set
    return set(provenance.get("patients", [])) if nameless or _same_files(provenance.get("data"), name) else set()


def _same_files(data: Any, name: str) -> bool:
    return bool(_FILES_OF.get(data, data) == _FILES_OF.get(name, name))


def in_words(provenance: Mapping[str, Any]) -> str:
    """The trainings that a model started from, the nearest first, on one line; empty where it started from none."""
    return " <- ".join(_words(provenance))


def _words(provenance: Mapping[str, Any]) -> Iterator[str]:
    starts = provenance.get(STARTED_FROM, [])
    for start in starts:
        parts = [start, *([start["extra"]] if "extra" in start else [])]
        data, cases = (" and ".join(str(part.get(name)) for part in parts) for name in ("data", "cases"))
        how = "with masks" if _saw_masks(start) else "without masks"
        init = f", init {start['init']}" if start.get("init") else ""
        yield f"{start.get('job')} of {data} ({cases} cases {how}{init})"
    if _loads([provenance, *starts][-1].get("init")):
        yield _UNKNOWN


def _loads(init: Any) -> bool:
    """Whether an initialization loads anything, of those that are known."""
    return init in INITIALIZATIONS and needs_checkpoint(init)


def _distinct(starts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each once: a chain of trainings on the same cases does not grow with its length."""
    return [start for number, start in enumerate(starts) if start not in starts[:number]]
