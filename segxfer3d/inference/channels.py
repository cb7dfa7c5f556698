"""The channels that a model takes, and those of what it is given."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segxfer3d.config.channels import names_of
from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.layouts.channel_files import NUMBERED, are_numbered, choose_channels, with_channels
from segxfer3d.data.layouts.dataset_json import read_channel_names
from segxfer3d.data.layouts.volume_files import FoundVolumes
from segxfer3d.errors import InputError
from segxfer3d.spelling import one_form


@dataclass(frozen=True)
class ModelChannels:
    """The channels of the volumes that a model was trained on.

    Attributes:
        number: of them.
        names: where they are known.
        checkpoint: of the model, for messages.
    """

    number: int = 1
    names: tuple[str, ...] = ()
    checkpoint: str = ""

    @staticmethod
    def of(preprocessing: Mapping[str, Any], checkpoint: str) -> ModelChannels:
        """Those that a checkpoint's preprocessing has."""
        names = tuple(map(one_form, preprocessing.get("channel_names", ())))
        return ModelChannels(preprocessing.get("channels", 1), names, checkpoint)

    def refuse_others(self, place: str, case_set: CaseSet) -> None:
        """Refuse volumes of another number of channels, or of other ones or in another order where all are known by
        name, upper and lower case alike.

        Args:
            place: where they are, for the message.
            case_set: the volumes.

        Raises:
            InputError: so it is.
        """
        if case_set.channels != self.number:
            raise InputError(f"{place}: {_words(case_set.channels, case_set.channel_names)}; {self}")
        if not self.names or not case_set.channel_names:
            return
        ours, its = ([name.casefold() for name in names] for names in (self.names, case_set.channel_names))
        if ours != its:
            same = sorted(ours) == sorted(its)
            way = f"; --channel_names {shlex.quote(','.join(self.names))}" if same else self._renaming(its)
            raise InputError(f"{place}: {_words(self.number, case_set.channel_names)}; {self}{way}")

    def _renaming(self, others: Sequence[str]) -> str:
        """How a user says that channels of other names are the model's."""
        ours = next(name for name in self.names if name.casefold() not in others)
        return f"; one that is there by another name is called so by --channel_names, as in ITS_NAME={ours},..."

    def __str__(self) -> str:
        whose = f"checkpoint {self.checkpoint}" if self.checkpoint else "the model"
        return f"{whose} was trained on {_words(self.number, self.names)}" + (", in this order" if self.names else "")


def put_together(found: FoundVolumes, pattern: str, model: ModelChannels) -> FoundVolumes:
    """Volumes whose channels lie in files of their own, by a pattern, or for a model of several channels by nnU-Net's
    numbers where all volumes have one.

    Raises:
        InputError: see :func:`~segxfer3d.data.layouts.channel_files.with_channels`.
    """
    if not pattern and model.number > 1 and are_numbered(found):
        pattern = NUMBERED
    return with_channels(found, pattern) if pattern else found


def cases_of_model(
    cases: tuple[Case, ...], place: Path, model: ModelChannels, *, names: tuple[str, ...] = (), chosen: str = ""
) -> tuple[Case, ...]:
    """Cases with the channels that a model takes.

    What channels are called, their files say, or a ``dataset.json`` in the folder, or beside one called
    ``images...``. Channels that have a
    file each and are called by names are taken in the model's order, for files have none; others as they lie there.

    Args:
        cases: as they were found.
        place: the file or the folder.
        model: that is to see them.
        names: by which files are called.
        chosen: by the user, separated by commas; empty: all.

    Raises:
        InputError: other channels than the model's, where that is known before a file is opened; or names that no
            channel has.
    """
    files = max((len(case.files) for case in cases), default=1)
    known = names or next(filter(None, map(read_channel_names, _folders(place))), ())
    if files not in (1, len(known)):
        known = ()
    case_set = CaseSet(place, "folder", 3, cases, channels=len(known) or files, channel_names=known)
    wanted = names_of(chosen)
    by_name = {name.casefold(): name for name in names}
    if not wanted and names and all(name.casefold() in by_name for name in model.names):
        wanted = tuple(by_name[name.casefold()] for name in model.names)
    case_set = choose_channels(case_set, wanted)
    if files > 1 or (case_set.channel_names and (model.names or wanted)):
        model.refuse_others(f"input {place}", case_set)
    return case_set.cases


def _folders(place: Path) -> tuple[Path, ...]:
    """Where a ``dataset.json`` may say what the channels are."""
    folder = place.parent if place.is_file() else place
    return (folder, folder.parent) if folder.name.startswith("images") else (folder,)


def _words(number: int, names: tuple[str, ...]) -> str:
    counted = "1 channel" if number == 1 else f"{number} channels"
    return f"{counted} ({', '.join(names)})" if names else counted
