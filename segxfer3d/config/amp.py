"""How a training's precision is chosen where nobody says it: by the device, or by an environment variable."""

from __future__ import annotations

import os

from segxfer3d.errors import InputError

BY_DEVICE = "$devices.has_fast_bf16(@device)"  # amp of bundles that train
VARIABLE = "SEGXFER3D_AMP"


def said() -> bool | None:
    """What the environment variable ``SEGXFER3D_AMP`` sets in the place of a measurement, for machines that are not
    alike and what is to repeat on all of them; None where it is not set.

    Raises:
        InputError: neither True nor False.
    """
    text = os.environ.get(VARIABLE, "")
    if text not in ("", "True", "False"):
        raise InputError(f"{VARIABLE}: expected True or False in this environment variable, got {text!r}")
    return None if not text else text == "True"
