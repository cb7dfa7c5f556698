"""The command ``plan``: what a training on a data set should look like, and why."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from segxfer3d.cli.arguments import AS_IN_BUNDLES, FILE, FOLDER, label_map, volume_files

_ABOVE_0 = click.FloatRange(0, min_open=True)


@click.command(short_help="Say what a training on a data set should look like.", context_settings=AS_IN_BUNDLES)
@click.argument("data", type=FOLDER)
@click.option("--minutes", type=_ABOVE_0, help="Of training; nothing: as long as it takes.")
@click.option("--memory", type=_ABOVE_0, metavar="GIB", help="For training [a share of the device's].")
@click.option("--device", default="cpu", show_default=True, help="Where it would train: cpu, cuda or cuda:<n>.")
@click.option("--network", type=click.Choice(["plain_unet", "resenc_unet"]), default="plain_unet", show_default=True)
@click.option("--label-count", type=click.IntRange(1), help="Training patients whose labels are used [all].")
@click.option("--split-seed", type=click.IntRange(0), default=0, show_default=True, help="Of the split by patient.")
@click.option("--dataset", default="", help="Layout of the data; nothing: the one that fits.")
@click.option("--patient-pattern", default="", help="Regular expression that finds the patient in a file's name.")
@label_map
@volume_files
@click.option("--json", "output", type=FILE, help="Write the plan to a file, too.")
def plan(
    data: Path,
    minutes: float | None,
    memory: float | None,
    device: str,
    network: str,
    label_count: int | None,
    split_seed: int,
    dataset: str,
    patient_pattern: str,
    output: Path | None,
    **files: Any,
) -> None:
    """Plan a training on volumes: spacing, intensities, patch, batch, network.

    Derived as nnU-Net derives them, from the training cases of the split that the bundles draw by default, then cut to
    what memory and minutes allow. With minutes the device's speed is measured first.
    """
    from segxfer3d.data.layouts import OtherKindError, Request, find_cases
    from segxfer3d.data.layouts.label_files import require_labels
    from segxfer3d.data.planning.words import plan_text
    from segxfer3d.data.split import by_patient
    from segxfer3d.errors import InputError
    from segxfer3d.files import write_json
    from segxfer3d.run.devices import find_device, has_fast_bf16
    from segxfer3d.training.capacity import plan_for

    progress = sys.stderr.isatty()
    try:
        request = Request(layout=dataset, patient_pattern=patient_pattern, progress=progress, **files)
        case_set = find_cases(data, request)
    except OtherKindError as error:
        raise InputError(f"{error.content}; a plan is for volumes, images are resized to --image_size") from error
    labeled = require_labels(case_set, "a plan is made from image/label pairs")
    cases = by_patient(labeled, split_seed=split_seed, label_count=label_count).labeled
    where, amp = find_device(device), has_fast_bf16(device)
    planned, room = plan_for(
        where, cases, case_set, network=network, amp=amp, minutes=minutes, memory=memory, progress=progress
    )
    click.echo(f"{case_set.name}: {len(cases)} of {len(labeled)} labeled volumes train; {case_set.modality}")
    measured = f", {room.voxels_per_second:,.0f} voxels a second" if room.voxels_per_second else ""
    click.echo(f"{network} on {device}: {room.memory:.3g} GiB{measured}")
    click.echo(plan_text(planned))
    if output is not None:
        write_json(output, planned.as_dict())
