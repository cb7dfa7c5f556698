"""Choosing cases of a data set by size, and listing them: what ``segxfer3d data list`` does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from segxfer3d import files
from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.io.volumes import read_volume
from segxfer3d.data.layouts import OtherKindError, Request, find_cases
from segxfer3d.data.layouts.decathlon import name_of_files
from segxfer3d.data.layouts.declared import IGNORED
from segxfer3d.data.layouts.listing import volumes_below
from segxfer3d.data.preprocessing.loaded_channels import load_channels
from segxfer3d.errors import InputError, some

LUNG_HU = -500.0  # a volume that has darker voxels is a CT in HU: label maps lie beside the scans in some folders


@dataclass(frozen=True)
class CaseList:
    """A list of cases that was written.

    Attributes:
        path: its ``dataset.json``.
        labeled: how many labeled cases are listed.
        known: how many the data set has.
        scans: how many unlabeled CTs were added.
    """

    path: Path
    labeled: int
    known: int
    scans: int

    def text(self) -> str:
        """In words."""
        return f"{self.path}: {self.labeled} of {self.known} labeled cases, {self.scans} scans more"


def write_case_list(
    dataset_dir: str | Path,
    output_dir: str | Path,
    *,
    min_slices: int = 1,
    extra_dir: str | Path | None = None,
    dataset: str = "",
    progress: bool = False,
    **chosen: Any,
) -> CaseList:
    """Write ``dataset.json`` with labeled volumes that are large enough, and CTs without labels for pretraining.

    The folder that is written serves as ``--dataset_dir`` of every 3D bundle and study; it holds paths, no copies.
    Volumes of several channels are listed with all of them, and their names where these are known.

    Args:
        dataset_dir: labeled volumes, in any layout.
        output_dir: the folder to write.
        min_slices: voxels along the third axis that a case needs.
        extra_dir: a folder of further volumes, of which those in HU that show air are added without labels.
        dataset: the layout of ``dataset_dir``; empty: the one that fits.
        progress: show a bar.
        chosen: which files are meant: ``patient_pattern``, ``channel_pattern`` and others of
            :class:`~segxfer3d.data.layouts.Request`.

    Raises:
        InputError: labels that are no label map, regions, some channels of files that hold more, CTs beside several
            channels, no usable volumes there, none that is large enough, or the file cannot be written.
    """
    try:
        case_set = find_cases(dataset_dir, Request(layout=dataset, **chosen))
    except OtherKindError as error:
        raise InputError(f"{error.content}; a list is of volumes") from error
    if odd := [case.name for case in case_set.labeled if case.masks or case.label_map]:
        raise InputError(
            f"{dataset_dir}: {len(odd)} labels have a file for each class, or values of their own "
            f"({some(odd, 3, ', ')}); a list is of label maps"
        )
    if case_set.regions:
        raise InputError(f"{dataset_dir}: regions; a list is of label maps")
    if any(case.picked for case in case_set.cases):
        raise InputError(
            f"{dataset_dir}: some channels of files that hold more; a list is of files, expected channel_names in the "
            "training that reads it"
        )
    if extra_dir and case_set.channels > 1:
        raise InputError(f"{extra_dir}: CTs beside volumes of {case_set.channels} channels; expected one kind")
    large = [
        case
        for case in tqdm(case_set.labeled, "sizes", leave=False, disable=not progress)
        if load_channels(case)[0].array.shape[2] >= min_slices
    ]
    if not large:
        raise InputError(f"{dataset_dir}: none of {len(case_set.labeled)} labeled cases has {min_slices} slices")
    volumes = volumes_below(Path(extra_dir)).values() if extra_dir else ()
    scans = [str(path.absolute()) for path in volumes if read_volume(path).array.min() < LUNG_HU]
    if extra_dir and not scans:
        raise InputError(f"{extra_dir}: no CT in it; expected volumes in HU with voxels below {LUNG_HU:g}")
    content = {
        "name": Path(dataset_dir).name,
        "modality": _channels(case_set),
        "labels": {
            "0": "background",
            **{str(value): name for value, name in case_set.classes.items()},
            **{str(value): IGNORED for value in case_set.label_rule.ignore},
        },
        "training": [_entry(case) for case in large if case.part != "val"],
        "test": scans,
    }
    if validation := [_entry(case) for case in large if case.part == "val"]:
        content["validation"] = validation
    path = Path(output_dir) / "dataset.json"
    files.make_folder(path.parent)
    files.write_json(path, content)
    return CaseList(path, len(large), len(case_set.labeled), len(scans))


def _channels(case_set: CaseSet) -> dict[str, str]:
    """What ``dataset.json`` calls the channels: by their names, else each by the modality of all."""
    names = case_set.channel_names or (case_set.modality,) * case_set.channels
    return {str(number): name for number, name in enumerate(names)}


def _entry(case: Case) -> dict[str, Any]:
    """A labeled case as ``dataset.json`` lists it."""
    paths = [str(path.absolute()) for path in case.files]
    entry = {"image": paths if case.further else paths[0], "label": str(Path(case.label or "").absolute())}
    entry["patient"] = case.patient
    if case.name != name_of_files(case.image, case.further):
        entry["name"] = case.name
    return entry if case.fold is None else {**entry, "fold": case.fold}
