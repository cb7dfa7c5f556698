"""Files to arrays: each format in a module of its own, volumes.py in front of those of volumes."""

from __future__ import annotations

from segxfer3d.data.io.gdcm_first import import_gdcm

import_gdcm()


def cause(error: BaseException) -> str:
    """The last line of a library's message, where the cause stands."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:150] if lines else type(error).__name__
