"""What a preprocessing is written as, entry by entry: in checkpoints and in stores of cubes."""

from __future__ import annotations

from segxfer3d.errors import InputError
from segxfer3d.schema.kinds import FLAG, NUMBER, TEXT, Entries, Kind, ListOf, first_problem, number, optional

SIDE = number("a whole number from 1 to 8192", 1, 8192, whole=True)
_CHANNELS = number("a whole number from 1 to 1024", 1, 1024, whole=True)
_SCALE: dict[str, Kind] = {"intensity": TEXT, "window_low": NUMBER, "window_high": NUMBER}
_MORE: dict[str, Kind] = {"mean": optional(NUMBER), "sd": optional(NUMBER), "nonzero": FLAG}


VOLUMES = Entries(
    {"spacing": optional(ListOf(number("a number above 0 and at most 1000", 1e-6, 1000), 3)), **_SCALE},
    {
        **_MORE,
        "orientation": TEXT,
        "channels": _CHANNELS,
        "channel_names": ListOf(TEXT),
        "further": ListOf(Entries(_SCALE, _MORE)),
    },
)
IMAGES = Entries({"image_size": SIDE, "channels": number("1 or 3", 1, 3, whole=True)})


def require(kind: Kind, values: object) -> None:
    """Refuse a preprocessing of which an entry is missing or cannot be used.

    Raises:
        InputError: so it is.
    """
    if problem := first_problem(kind, values):
        raise InputError(f"preprocessing: {problem}")
