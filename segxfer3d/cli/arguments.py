"""What arguments of commands may be: folders, files, names of what is shipped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from segxfer3d.config.volume_files import MODALITIES, UNEVEN, VolumeFiles

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)
NAMED = click.Path(path_type=Path)  # a file, or the name of a shipped one, which may be a folder's name here too

# messages say which option settles something as bundles spell it, --image_pattern; here that is --image-pattern
AS_IN_BUNDLES = {"token_normalize_func": lambda name: name.replace("_", "-") if name.islower() else name}

_HELP = {
    "series": "Which DICOM series of a folder: its UID, number, description or a part of that.",
    "image_pattern": "Regular expression: which volumes are images, searched in the path without the ending.",
    "label_pattern": "Regular expression: which volumes are the labels of others, searched in the same.",
    "channel_pattern": "Regular expression whose first group is the channel, where each has a file: _(t1|flair)$.",
    "channel_names": "Which channels, in which order, separated by commas.",
    "modality": "What volumes are; auto: what DICOM or dataset.json says, else CT.",
    "uneven_slices": "DICOM slices that are missing or unevenly spaced: refuse them, or resample to even ones.",
}
_CHOICES = {"modality": MODALITIES, "uneven_slices": UNEVEN}


class EachChannel(click.ParamType):  # type: ignore[type-arg]  # generic in some versions of click
    """A value for all channels of volumes, or a list of one for each, as bundles take it: ``[window,percentile]``.

    Args:
        kind: what makes a value of a text.
        choices: that there are; empty: any.
    """

    def __init__(self, kind: Callable[[str], Any], choices: tuple[str, ...] = ()) -> None:
        self.kind = kind
        self.choices = choices
        self.name = f"[{'|'.join(choices)}]" if choices else "float"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """One value, or a tuple of them where the text is a list."""
        if not isinstance(value, str):
            return value
        listed = value.strip().startswith("[") and value.strip().endswith("]")
        texts = [text.strip(" '\"") for text in (value.strip()[1:-1].split(",") if listed else [value])]
        try:
            values = tuple(self.kind(text) for text in texts)
        except ValueError:
            values = ()
        if not values or (self.choices and not set(values) <= {*self.choices}):
            what = f"one of {', '.join(self.choices)}" if self.choices else "a number"
            self.fail(f"expected {what}, or a list of one for each channel, got {value!r}", param, ctx)
        return values if listed else values[0]


label_map = click.option(
    "--label-map", default="", help="Values of label files that stand for others, such as 255:1 or 64:1,128:2."
)


def volume_files(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of bundles that say which files of a folder are the volumes that are meant; it gets
    them by keyword, as :class:`~segxfer3d.data.layouts.Request` does."""
    for field in reversed(fields(VolumeFiles)):
        known: dict[str, Any] = {}
        if field.name in _CHOICES:
            known = {"type": click.Choice(_CHOICES[field.name]), "show_default": True}
        name = "--" + field.name.replace("_", "-")
        command = click.option(name, field.name, default=field.default, help=_HELP[field.name], **known)(command)
    return command
