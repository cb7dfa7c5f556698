"""The commands that look at data and prepare them: ``check`` and ``data``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from segxfer3d.cli.kinds import FOLDER


@click.command()
@click.argument("data", type=FOLDER)
@click.option("--dataset", default="", help="Layout of a data set of images, such as oxford_pets or voc.")
@click.option("--target", default="", help="What is segmented, where a data set of images has several.")
@click.option("--patient-pattern", default="", help="Regular expression that finds the patient in a file's name.")
def check(data: Path, dataset: str, target: str, patient_pattern: str) -> None:
    """Look over a data set: cases, patients, spacing, intensities, foreground, problems.

    Exit status 1 where a case cannot be used.
    """
    from segxfer3d.data.inspection import inspect

    found = inspect(data, dataset, target=target, patient_pattern=patient_pattern, progress=sys.stderr.isatty())
    click.echo(found.text())
    if found.problems:
        raise SystemExit(1)


@click.group()
def data() -> None:
    """Prepare data: LUNA16 with LIDC's masks, cube stores, lists of cases."""
