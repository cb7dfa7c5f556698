"""What arguments of commands may be: folders, files, names of what is shipped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from segxfer3d.config.groups import Data
from segxfer3d.config.options import Group, infos
from segxfer3d.config.volume_files import VolumeFiles

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)
NAMED = click.Path(path_type=Path)  # a file, or the name of a shipped one, which may be a folder's name here too


def _trusting(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from segxfer3d.study import trust

        context.with_resource(trust.everything())


trust_option = click.option(
    "--trust",
    is_flag=True,
    expose_value=False,
    callback=_trusting,
    help="Run code that the file holds ($...), and bundles from elsewhere.",
)

# messages say which option settles something as bundles spell it, --image_pattern; here that is --image-pattern
AS_IN_BUNDLES = {"token_normalize_func": lambda name: name.replace("_", "-") if name.islower() else name}


def of_bundles(group: type[Group], name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """An option of bundles as one of a command: its name with dashes, its default, its choices and its help.

    Args:
        group: that has it.
        name: as bundles spell it.
    """
    info = infos(group)[name]
    known: dict[str, Any] = {"default": info.default, "help": f"{info.help[:1].upper()}{info.help[1:]}."}
    if info.limits.choices:
        known |= {"type": click.Choice(info.limits.choices), "show_default": True}
    return click.option("--" + name.replace("_", "-"), name, **known)


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


label_map = of_bundles(Data, "label_map")


def volume_files(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of bundles that say which files of a folder are the volumes that are meant; it gets
    them by keyword, as :class:`~segxfer3d.data.layouts.Request` does."""
    for name in reversed(infos(VolumeFiles)):
        command = of_bundles(VolumeFiles, name)(command)
    return command
