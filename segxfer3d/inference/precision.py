"""The precision that models are used in where nobody says: what the check at the end of their training found."""

from __future__ import annotations

from segxfer3d.errors import InputError
from segxfer3d.inference.ensemble import members_of
from segxfer3d.weights import checkpoint


def amp_of(path: str, folder: str) -> bool:
    """Whether the model, or all models of a folder, may be used in bf16; wrong ones are refused by whoever loads them.

    One that does not say, as those of earlier versions, is used in float32.

    Args:
        path, folder: of the options ``checkpoint`` and ``model_dir``.
    """
    try:
        paths = [path] if path else members_of(folder) if folder else []
    except InputError:
        return False
    return bool(paths) and all(checkpoint.amp_of(member, unknown=False) for member in paths)
