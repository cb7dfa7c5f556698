"""The channels of a case of volumes, from one file or from a file each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from segxfer3d.data.case import Case
from segxfer3d.data.io.volumes import Volume, grid_difference, read_channels, read_volume
from segxfer3d.errors import InputError


def load_channels(case: Case) -> Sequence[Volume]:
    """Read the channels of a case: those of one file that are picked, or of a file each.

    Raises:
        InputError: a file that cannot be read, channels on different grids, or that are picked and not there.
    """
    if not case.further:
        channels = read_channels(case.image, uneven=case.uneven)
        if beyond := [number for number in case.picked if number >= len(channels)]:
            raise InputError(f"{case.image}: {_counted(len(channels))}; expected at least {max(beyond) + 1}")
        notes = channels[0].notes
        picked = [channels[number] for number in case.picked] or channels
        return [replace(picked[0], notes=notes), *picked[1:]]
    volumes = [read_volume(path, uneven=case.uneven) for path in case.files]
    for path, volume in zip(case.further, volumes[1:], strict=True):
        if difference := grid_difference(volumes[0], volume, what="channel"):
            raise InputError(f"{path}: {difference}, whose first channel is {case.image.name}")
    return volumes


def require_channels(case: Case, channels: Sequence[Volume], expected: int, names: Sequence[str] = ()) -> None:
    """Make sure that a case has as many channels as its data set, or a model.

    Args:
        case: that was read.
        channels: of it.
        expected: their number.
        names: of those that are expected, for the message.

    Raises:
        InputError: it has more or fewer.
    """
    number = len(channels)
    if number == expected:
        return
    if expected == 1:
        shape = "x".join(map(str, (*channels[0].array.shape, number)))
        raise InputError(
            f"{case.image}: expected a 3D volume of one channel, got shape {shape}; --channel_names says what the "
            "channels of such files are, as in T1,FLAIR"
        )
    named = f" ({', '.join(names)})" if names else ""
    way = "; where each has a file, --channel_pattern says which, such as _(t1|flair)$" if number == 1 else ""
    raise InputError(f"{case.image}: {_counted(number)}; expected {expected}{named}{way}")


def _counted(channels: int) -> str:
    return "1 channel" if channels == 1 else f"{channels} channels"
