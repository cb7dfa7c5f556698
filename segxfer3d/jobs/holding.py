"""Where the volumes of a job are held: in memory where they are few, else preprocessed on disk."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from segxfer3d.config import groups
from segxfer3d.config.options import Options
from segxfer3d.config.store import MEMORY, Store
from segxfer3d.data.case import Case
from segxfer3d.data.dataset import WholeCases
from segxfer3d.data.preprocessing import Item
from segxfer3d.data.preprocessing.protocol import memory_limit
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.data.store.cases import StoredCases
from segxfer3d.data.store.place import VolumeStore, require_usable, usual_folder
from segxfer3d.errors import InputError
from segxfer3d.jobs.source import Source
from segxfer3d.machine import size_text
from segxfer3d.run.folder import RunFolder

IN_MEMORY = 2**30  # bytes that the volumes of a job take in memory at most, before they are held on disk
_FLOAT = 4  # bytes of what a network sees


@dataclass(frozen=True)
class Holding:
    """How the cases of a job are held.

    Attributes:
        source: whose cases.
        labels: whether their labels are held too.
        progress: whether bars are shown.
        stored: where they are preprocessed on disk; None where they are held in memory.
    """

    source: Source
    labels: bool
    progress: bool
    stored: StoredCases | None = None

    def hold(self, cases: Sequence[Case]) -> Sequence[Item]:
        """Items to draw patches or cubes from.

        Raises:
            InputError: cases that do not fit in memory, or a file that cannot be read.
        """
        source = self.source
        if self.stored is not None:
            return self.stored.items(cases, labels=self.labels)
        return source.preprocessing.hold(
            cases, source.case_set, labels=self.labels, progress=self.progress, kept=source.kept
        )

    def whole(self, cases: Sequence[Case], *, once: bool = False) -> WholeCases:
        """Whole cases, to be measured, once or again and again."""
        source, stored = self.source, None if self.stored is None else self.stored.whole
        return WholeCases(cases, source.case_set, source.preprocessing, source.kept, stored, once=once)


def held_volumes(options: Options, run: RunFolder, source: Source, cases: Sequence[Case], *, labels: bool) -> Holding:
    """Settle where cases are held, and put them there where that is the disk.

    Args:
        options: of the job.
        run: told where they are, where that is the disk.
        source: whose cases; images are held in memory.
        cases: that will be looked at more than once.
        labels: hold their labels too.

    Raises:
        InputError: a folder that cannot be a store, a disk without room, or a file that cannot be read.
    """
    progress = options[groups.Run].progress and run.main
    preprocessing = source.preprocessing
    asked = options.find(Store)
    if asked is None or asked.store == MEMORY or not isinstance(preprocessing, VolumePreprocessing):
        return Holding(source, labels, progress)
    in_memory, needed = (size_of(source, cases, labels=labels) for size_of in (bytes_in_memory, bytes_on_disk))
    if in_memory <= min(IN_MEMORY, memory_limit()):
        if asked.store:
            require_usable(Path(asked.store))
            run.say(
                f"{len(cases)} volumes are held in memory ({size_text(in_memory)}); nothing is stored in {asked.store}"
            )
        return Holding(source, labels, progress)
    require_usable(folder_of(asked), needed)
    store = VolumeStore(folder_of(asked))
    stored = StoredCases(store, source.case_set, preprocessing, source.report.identities, source.report.checksums)
    made = stored.make(cases, labels=labels, kept=source.kept, progress=progress, needed=needed)
    for name, why in made.again.items():
        run.say(f"store: {name} was {why}, and was made again")
    run.say(
        f"{len(cases)} volumes are held in the store {store.folder} ({size_text(needed)}; {made.number} were made "
        "now): segxfer3d data store lists and clears it, --store moves it"
    )
    source.kept.drop(cases)
    return Holding(source, labels, progress, stored)


def stored_before(options: Options, source: Source) -> StoredCases | None:
    """The store as other jobs have left it; None where there is none that can be used, or images are looked at.

    Raises:
        InputError: a folder that is asked for cannot be a store.
    """
    asked, preprocessing = options.find(Store), source.preprocessing
    if asked is None or asked.store == MEMORY or not isinstance(preprocessing, VolumePreprocessing):
        return None
    if asked.store:
        require_usable(Path(asked.store))
    with suppress(InputError):  # no home folder: nothing can be there
        if store := VolumeStore.found(folder_of(asked)):
            return StoredCases(store, source.case_set, preprocessing, source.report.identities, source.report.checksums)
    return None


def folder_of(asked: Store) -> Path:
    """The folder that is asked for, or the usual one."""
    return Path(asked.store) if asked.store else usual_folder()


def bytes_in_memory(source: Source, cases: Sequence[Case], *, labels: bool) -> float:
    """What the images of cases, and their labels, a channel for each class, take in memory."""
    case_set = source.case_set
    masks = len(case_set.classes) + bool(case_set.label_rule.ignore) if labels else 0
    return _FLOAT * (case_set.channels + masks) * sum(_voxels(source, case) for case in cases)


def bytes_on_disk(source: Source, cases: Sequence[Case], *, labels: bool) -> float:
    """What they take in a store: a byte a voxel of a label, on either grid."""
    voxels = sum(_voxels(source, case) for case in cases)
    stored = sum(math.prod(source.report.shapes[case.name]) for case in cases)
    return _FLOAT * source.case_set.channels * voxels + (voxels + stored if labels else 0)


def _voxels(source: Source, case: Case) -> float:
    """Of a volume once it is resampled."""
    voxels = float(math.prod(source.report.shapes[case.name]))
    spacing = getattr(source.preprocessing, "spacing", None)
    return voxels * math.prod(source.report.spacings[case.name]) / math.prod(spacing) if spacing else voxels
