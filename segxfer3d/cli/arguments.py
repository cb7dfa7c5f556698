"""What arguments of commands may be: folders, files, names of what is shipped."""

from __future__ import annotations

from pathlib import Path

import click

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)
NAMED = click.Path(path_type=Path)  # a file, or the name of a shipped one, which may be a folder's name here too
