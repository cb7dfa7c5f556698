"""The commands ``segxfer3d run`` and ``segxfer3d bundles``: the bundles that come with the package."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import click

from segxfer3d.cli.arguments import FOLDER
from segxfer3d.errors import InputError


@click.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True},
    short_help="Run a bundle: a training, an evaluation or an inference.",
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="NAME [OVERLAY...] [--KNOB VALUE...]")
def run(words: tuple[str, ...]) -> None:
    """Run a bundle by its name or path, with overlays behind it; --help behind the name lists its knobs.

    Bundles that come with the package are found by their names, such as genesis_finetune.
    """
    from segxfer3d.config.shipped import bundle_names, find_bundle

    first = next((index for index, word in enumerate(words) if word.startswith("-")), len(words))
    names, options = words[:first], words[first:]
    if not names:
        known = "\n".join(f"  {name}" for name in bundle_names())
        text = f"segxfer3d run NAME [OVERLAY...] [--KNOB VALUE...]\n\nNAME is the path of a bundle, or one of\n{known}"
        if any(option in ("-h", "--help") for option in options):
            click.echo(text)
            return
        raise InputError(f"no bundle named; {text}")
    files = [find_bundle(name) for name in names]
    place = str(files[0]) if len(files) == 1 else str([str(file) for file in files])
    # as `python -m monai.bundle` would: every check of the command line is made there
    sys.argv = ["segxfer3d", "run", "--config_file", place, *options]
    runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)


@click.group(short_help="List or copy the bundles and studies of the package.")
def bundles() -> None:
    """The bundles and studies that come with the package."""


@bundles.command("list")
def list_bundles() -> None:
    """Their names."""
    from segxfer3d.config.shipped import bundle_names, study_names

    click.echo("\n".join([*bundle_names(), *(f"study {name}" for name in study_names())]))


@bundles.command("copy")
@click.argument("folder", type=FOLDER)
@click.option("--force", is_flag=True, help="Replace files of these names.")
def copy(folder: Path, force: bool) -> None:
    """Write them to FOLDER/bundles, to be run and edited there."""
    from segxfer3d.config.shipped import copy_bundles

    files = copy_bundles(folder, force=force)
    click.echo(f"{len(files)} files in {folder / 'bundles'}")
