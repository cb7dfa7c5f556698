"""What channels of volumes are, by what a ``dataset.json`` or a user calls them."""

from __future__ import annotations

from collections.abc import Iterable

UNKNOWN = "unknown"
MODALITIES = {"CT": ("CT",), "MR": ("MR", "T1", "T2", "FLAIR", "PD", "ADC", "DWI")}  # and how their names begin


def modality_of_names(names: Iterable[str]) -> str:
    """``CT`` or ``MR`` where all names are of one, else ``unknown``.

    Example:
        >>> modality_of_names(["T1 (post-contrast)", "flair"]), modality_of_names(["CT", "PET"])
        ('MR', 'unknown')
    """
    upper = [name.upper() for name in names]
    for modality, prefixes in MODALITIES.items():
        if upper and all(name.startswith(prefixes) for name in upper):
            return modality
    return UNKNOWN
