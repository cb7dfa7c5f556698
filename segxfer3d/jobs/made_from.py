"""What a run is made from, as its folder keeps it: see :mod:`segxfer3d.run.made_from`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segxfer3d.data.case import CaseSet
from segxfer3d.data.check import CheckReport
from segxfer3d.data.preprocessing import Preprocessing
from segxfer3d.data.split import Split, labels_record
from segxfer3d.run.folder import RunFolder

_LAST_WINS = ("pretrain", "test", "validation", "train")  # of the parts that a case is in


def take_data(
    run: RunFolder,
    case_set: CaseSet,
    report: CheckReport,
    *,
    split: Split,
    labels: bool,
    preprocessing: Preprocessing,
    said: Mapping[str, Any],
) -> None:
    """Compare the data of a run that goes on with those that it was started with, and keep those of a new one.

    Args:
        run: of which.
        case_set: what was found.
        report: of its check, with fingerprints.
        split: of the cases.
        labels: whether it draws labels to train on.
        preprocessing: as the options or a checkpoint say, before there is a plan.
        said: of a split file, what it says beside the parts.

    Raises:
        InputError: something is another than at the start.
    """
    run.made_from.take(
        data=data_of(case_set),
        preprocessing=preprocessing.as_dict(),
        split=split.as_dict() | dict(said),
        **({"labels": labels_record(split)} if labels else {}),
        cases=cases_of(case_set, report),
        part_of={case.name: part for part in _LAST_WINS for case in getattr(split, part)},
        empty=report.empty_labels,
        seen={name: {"spacing": spacing, "values": values} for name, (spacing, values) in report.seen.items()},
    )


def data_of(case_set: CaseSet) -> dict[str, Any]:
    """What a data set is, beside its cases."""
    return {
        "layout": case_set.layout,
        "modality": list(case_set.modalities),
        "classes": case_set.classes,
        "regions": [[value, list(parts)] for value, parts in case_set.regions],
        "ignore": list(case_set.label_rule.ignore),
        "target": case_set.target,
        "categories": list(case_set.categories),
        "channels": case_set.channels,
        "channel_names": list(case_set.channel_names),
    }


def cases_of(case_set: CaseSet, report: CheckReport) -> dict[str, list[str]]:
    """Name of each good case -> fingerprints of what its image and its label hold, and its class where it has one."""
    names = case_set.categories
    return {
        case.name: [
            *report.identities.get(case.name, ()),
            *([names[case.category]] if case.category is not None else []),
        ]
        for case in report.good
    }
