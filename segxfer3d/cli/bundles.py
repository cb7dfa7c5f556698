"""The commands ``segxfer3d run`` and ``segxfer3d bundles``: the bundles that come with the package."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from segxfer3d.cli.arguments import FOLDER
from segxfer3d.errors import InputError

_CONFIG_FILE = ("--config_file", "--config-file")


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
    first = next((index for index, word in enumerate(words) if word.startswith("-")), len(words))
    options = list(words[first:])
    files = _files(words[:first], options)
    if not files:
        click.echo(_usage())
        return
    if "--help" in options or "-h" in options:
        click.echo(_help(files))
        return
    from segxfer3d.config import command_line, short_errors

    command_line.refuse_stray(options)
    # MONAI reads them before anything of this package runs, and its errors are long
    config = command_line.merged_config(files)
    for name in command_line.arguments_of(["", "", *options]):
        if name not in command_line.RUN_ARGUMENTS:
            command_line.check_key(name, config)
    place = str(files[0]) if len(files) == 1 else str([str(file) for file in files])
    # as `python -m monai.bundle` would: every other check of the command line is made there
    sys.argv = ["segxfer3d", "run", "--config_file", place, *options]
    try:
        runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
    except (Exception, KeyboardInterrupt) as error:
        short_errors.show_error(type(error), error, error.__traceback__)
        raise SystemExit(1) from None


def _usage() -> str:
    from segxfer3d.config.shipped import bundle_names

    known = "\n".join(f"  {name}" for name in bundle_names())
    return f"segxfer3d run NAME [OVERLAY...] [--KNOB VALUE...]\n\nNAME is the path of a bundle, or one of\n{known}"


def _help(files: Sequence[Path]) -> str:
    """What ``--help`` behind a bundle says, from the tables that come with the package: it imports neither torch nor
    MONAI."""
    from segxfer3d.config.help import help_text
    from segxfer3d.config.options import load_table
    from segxfer3d.study.documents import read_object

    config: dict[str, Any] = {}
    for file in files:
        config |= read_object(file, "bundle")
    table = load_table()
    taken = [name for name, value in config.items() if name in table and not _is_alias_or_component(value)]
    return help_text(config, {name: table[name] for name in taken})


def _is_alias_or_component(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, str) and value.startswith("@"))


def _files(names: Sequence[str], options: list[str]) -> list[Path]:
    """The bundle and its overlays; ``--config_file``, as MONAI's own command has it, is taken out of the options.

    Gives nothing where only help is wanted.

    Raises:
        InputError: none is named, or there is none of that name.
    """
    from segxfer3d.config import command_line
    from segxfer3d.config.shipped import find_bundle

    words = ["", "", *options]
    named = list(names) or command_line.config_files(words)
    if not named and any(option in ("-h", "--help") for option in options):
        return []
    if not named:
        raise InputError(f"no bundle named; {_usage()}")
    if command_line.listed_files(words, "config_file"):
        if names:
            raise InputError(f"--config_file: the bundle is named already, {names[0]}")
        index = next(i for i, word in enumerate(options) if word.partition("=")[0] in _CONFIG_FILE)
        del options[index : index + (1 if "=" in options[index] else 2)]
    return [find_bundle(name) for name in named]


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
